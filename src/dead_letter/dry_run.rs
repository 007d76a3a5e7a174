//! What a replay would do to a letter, found out by reading alone.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use crate::aws::{Class, Directory, Failure, Listing, Profiles};
use crate::config::{Config, GroupName};
use crate::event::{Event, PoolId, Scope, SignUp, Sub, parse};
use crate::provision::{Ignored, Rejection, groups_for, is_unprovisioned};
use crate::retry::quickly;

/// What would become of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// An outcome's name.
    pub outcome: &'static str,
    /// Why, as a short code; empty when there is nothing to add.
    pub reason: String,
    /// What the user lacks: groups, and `profile`.
    pub lacks: Vec<String>,
}

/// Judges letters; remembers which groups there are.
#[derive(Debug)]
pub struct DryRun {
    config: Config,
    directory: Directory,
    listing: Listing,
    profiles: Option<Profiles>,
    groups: HashMap<(PoolId, GroupName), bool>,
}

/// In [`Verdict::lacks`].
const PROFILE: &str = "profile";

impl DryRun {
    /// Over the real services.
    pub fn new(
        config: &Config,
        directory: Directory,
        listing: Listing,
        profiles: Option<Profiles>,
    ) -> Self {
        Self {
            config: config.clone(),
            directory,
            listing,
            profiles,
            groups: HashMap::new(),
        }
    }

    /// What a replay of this body would do now.
    pub async fn judge(&mut self, body: &str) -> Verdict {
        match parse(body) {
            Err(malformed) => Verdict::rejected(malformed.code()),
            Ok(event) if self.is_foreign(&event) => Verdict::rejected(Rejection::FOREIGN_POOL),
            Ok(Event::Reconcile(_)) => Verdict::new("done", "reconcile"),
            // Whether it may be done, and finds whom it names, only an attempt tells.
            Ok(Event::Order(order)) => Verdict::new("not_judged", order.action.command()),
            Ok(Event::SignUp(sign_up)) => {
                let verdict = match sign_up.scope {
                    Scope::Reset => self.reset(&sign_up).await,
                    _ => self.sign_up(&sign_up).await,
                };
                verdict.unwrap_or_else(|failure| Verdict::of(&failure))
            }
        }
    }

    fn is_foreign(&self, event: &Event) -> bool {
        event
            .pool()
            .is_some_and(|pool| !self.config.pools.accept(pool))
    }

    async fn reset(&mut self, user: &SignUp) -> Result<Verdict, Failure> {
        // As a replay does it: first whether the name is still the user's.
        let verdict = self.sign_up(user).await?;
        let table = self.profiles.as_ref();
        let is_gone = verdict == Verdict::rejected("user_not_found");
        if is_gone || is_unprovisioned(&self.config, &self.directory, table, user).await? {
            Ok(verdict)
        } else {
            Ok(Verdict::new("ignored", Ignored::ForgotPassword.code()))
        }
    }

    async fn sub_of(&self, user: &SignUp) -> Result<Option<Sub>, Failure> {
        match &user.sub {
            Some(sub) => Ok(Some(sub.clone())),
            None => quickly(|| self.directory.sub_of(&user.pool, &user.username)).await,
        }
    }

    async fn sign_up(&mut self, sign_up: &SignUp) -> Result<Verdict, Failure> {
        let (pool, username) = (&sign_up.pool, &sign_up.username);
        // With ListUsers: AdminGetUser would make the user count as active this month.
        if let Some(sub) = &sign_up.sub {
            let named = quickly(|| self.listing.named_by(pool, sub)).await?;
            if named.as_ref() != Some(username) {
                return Ok(Verdict::rejected("user_not_found"));
            }
        }
        let member_of: BTreeSet<GroupName> =
            quickly(|| self.listing.groups_of(pool, username)).await?;
        let mut lacks = Vec::new();
        let mut refused = None;
        for group in groups_for(&self.config.groups, sign_up) {
            if member_of.contains(&group) {
                continue;
            }
            if !self.config.groups.create_missing && !self.exists(pool, &group).await? {
                refused = Some("group_not_found");
            }
            lacks.push(group.as_str().to_owned());
        }
        if let Some(profiles) = self
            .profiles
            .as_ref()
            .filter(|_| sign_up.scope.has_record())
        {
            match self.sub_of(sign_up).await? {
                None => refused = Some("no_sub"),
                Some(sub) => {
                    let keys = [sub.as_str()];
                    if quickly(|| profiles.present(&keys)).await?.is_empty() {
                        lacks.push(PROFILE.to_owned());
                    }
                }
            }
        }
        let verdict = match refused {
            Some(reason) => Verdict::rejected(reason),
            None if lacks.is_empty() => Verdict::new("already_done", ""),
            None => Verdict::new("done", ""),
        };
        Ok(Verdict { lacks, ..verdict })
    }

    async fn exists(&mut self, pool: &PoolId, group: &GroupName) -> Result<bool, Failure> {
        let key = (pool.clone(), group.clone());
        if let Some(exists) = self.groups.get(&key) {
            return Ok(*exists);
        }
        let exists = quickly(|| self.directory.has_group(pool, group)).await?;
        self.groups.insert(key, exists);
        Ok(exists)
    }
}

impl Verdict {
    fn new(outcome: &'static str, reason: &str) -> Self {
        Self {
            outcome,
            reason: reason.to_owned(),
            lacks: Vec::new(),
        }
    }

    fn rejected(reason: &str) -> Self {
        Self::new("rejected", reason)
    }

    fn of(failure: &Failure) -> Self {
        let outcome = match failure.class {
            Class::NotYet | Class::Permanent => "rejected",
            Class::Throttled | Class::Busy | Class::Transient => "retry",
            Class::Systemic | Class::Credentials => "blocked",
        };
        Self::new(outcome, &failure.reason)
    }
}
