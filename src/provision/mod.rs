//! Provisions sign-ups and executes admin commands. Calls Cognito and `DynamoDB`, never a queue.

mod audit;
mod command;
mod command_result;
mod groups;
mod invite;
mod outcome;
mod profile;
mod request_log;
mod requester;
mod rules;
mod without_profile;

pub(crate) use audit::audit;

pub(crate) use audit::CommandStage;
pub(crate) use command_result::{CommandResult, InvitationResult, MailStatus};
pub(crate) use invite::groups_of_invited;
pub use outcome::{AlreadyDone, Ignored};
pub(crate) use outcome::{Outcome, Rejection, RejectionClass, Retry};
pub(crate) use profile::render_profile;
pub(crate) use request_log::{RequestLog, RequestLookupError, RequestTransition, RequestView};
pub(crate) use requester::is_administrator;
pub(crate) use rules::{group_sources, groups_for};
pub(crate) use without_profile::is_unprovisioned;

use crate::aws::{Class, Cognito, Failure, ProfileTable};
use crate::config::{Config, GroupName, InvalidConfig};
use crate::event::{PoolId, Scope, SignUp, Sub};
use crate::reason::Reason;
use crate::retry::retry_inline;
use groups::GroupStep;
use profile::ProfileStep;

/// Adds users to their groups and writes their profiles. Every step may be
/// repeated at any time, in any order, by any number of processes.
#[derive(Debug)]
pub struct Provisioner {
    config: Config,
    cognito: Cognito,
    groups: GroupStep,
    /// An error if the table is not known, since the command needs none.
    profile: Result<Option<ProfileStep>, InvalidConfig>,
    requests: RequestLog,
}

impl Provisioner {
    /// `profiles` is `None` when profiles are switched off. With its error, whatever would read
    /// or write a profile is rejected.
    pub fn new(
        config: &Config,
        cognito: Cognito,
        profiles: Result<Option<ProfileTable>, InvalidConfig>,
    ) -> Self {
        let profile_step = |table: ProfileTable| {
            let settings = config.profiles.as_ref()?;
            Some(ProfileStep::new(table, settings.attributes.clone()))
        };
        Self {
            config: config.clone(),
            groups: GroupStep::new(cognito.clone(), config.groups.create_missing),
            cognito,
            profile: profiles.map(|table| table.and_then(profile_step)),
            requests: RequestLog::default(),
        }
    }

    #[must_use]
    pub(crate) fn with_requests(self, requests: RequestLog) -> Self {
        Self { requests, ..self }
    }

    /// Records each admin command when it is queued and when it is settled.
    pub(crate) fn requests(&self) -> &RequestLog {
        &self.requests
    }

    /// The groups within the sign-up's scope, without duplicates.
    pub(crate) fn groups_for(&self, sign_up: &SignUp) -> Vec<GroupName> {
        groups_for(&self.config.groups, sign_up)
    }

    /// Whether the group exists; the result may be a minute old.
    pub(crate) async fn group_exists(
        &self,
        pool: &PoolId,
        group: &GroupName,
    ) -> Result<bool, Failure> {
        retry_inline(|| self.groups.exists(pool, group)).await
    }

    /// Makes one attempt for one confirmed user.
    pub(crate) async fn provision(&self, sign_up: &SignUp) -> Outcome {
        if !self.config.pools.is_allowed(&sign_up.pool) {
            return Outcome::Rejected(Rejection::foreign_pool());
        }
        let sub = sign_up.sub.as_ref().map(Sub::as_str);
        // A user may have chosen another user's `sub` as their user name. Once they are deleted,
        // Cognito finds the other user by it.
        let is_doubtful =
            sign_up.username.is_uuid() && sub.is_some_and(|sub| sub != sign_up.username.reveal());
        let outcome = if is_doubtful {
            self.provision_if_same_user(sign_up).await
        } else {
            self.provision_by_scope(sign_up).await
        };
        outcome.for_confirmed_user()
    }

    /// Like [`Self::provision`], for an old sign-up, such as that of a replayed dead letter. The
    /// user may be deleted, and their user name may belong to another user by now.
    pub(crate) async fn provision_replayed(&self, sign_up: &SignUp) -> Outcome {
        if !self.config.pools.is_allowed(&sign_up.pool) {
            return Outcome::Rejected(Rejection::foreign_pool());
        }
        self.provision_if_same_user(sign_up)
            .await
            .for_confirmed_user()
    }

    async fn provision_by_scope(&self, sign_up: &SignUp) -> Outcome {
        if sign_up.scope == Scope::IfNoProfile {
            self.provision_if_no_profile(sign_up).await
        } else {
            self.ensure_groups_and_profile(sign_up, &self.groups_for(sign_up))
                .await
        }
    }

    /// Provisions only if the user who has the name is the one who signed up.
    async fn provision_if_same_user(&self, sign_up: &SignUp) -> Outcome {
        let (pool, username) = (&sign_up.pool, &sign_up.username);
        match retry_inline(|| self.cognito.sub_of(pool, username)).await {
            Ok(sub) if is_another_user(sub.as_ref(), sign_up) => Outcome::Rejected(
                Rejection::user_not_found("the user name belongs to another user"),
            ),
            Ok(_) => self.provision_by_scope(sign_up).await,
            Err(failure) => failure.into(),
        }
    }

    /// Adds the groups first. The profile is the receipt of a finished sign-up: a user who
    /// lacks a group, or whom Cognito does not know, gets none.
    async fn ensure_groups_and_profile(&self, user: &SignUp, groups: &[GroupName]) -> Outcome {
        match self.groups.ensure(&user.pool, &user.username, groups).await {
            Outcome::Done if user.scope.includes_profile() => {
                self.write_profile(user, groups).await
            }
            outcome => outcome,
        }
    }

    async fn write_profile(&self, user: &SignUp, groups: &[GroupName]) -> Outcome {
        let profile = match &self.profile {
            Ok(Some(profile)) => profile,
            Ok(None) => return Outcome::Done,
            Err(missing) => return internal_error(&missing.to_string()),
        };
        let sub = match &user.sub {
            // Cognito has just added the user to a group.
            Some(sub) if !groups.is_empty() => Ok(sub.clone()),
            Some(sub) if user.scope == Scope::NoProfile => self.sub_from_listing(user, sub).await,
            _ => self.sub_of(user).await,
        };
        match sub {
            Ok(sub) => profile.ensure(user, &sub).await,
            Err(outcome) => outcome,
        }
    }

    /// The `sub`, if the pool still lists the user under this name. `AdminGetUser` would make a
    /// dormant user count as active this month.
    async fn sub_from_listing(&self, user: &SignUp, sub: &Sub) -> Result<Sub, Outcome> {
        match retry_inline(|| self.cognito.username_of(&user.pool, sub)).await {
            Ok(Some(name)) if name == user.username => Ok(sub.clone()),
            // Listings lag behind, so another attempt may find the user.
            Ok(_) => Err(Outcome::Retry(Retry::new(Rejection::user_not_found(
                "the user pool does not list the user",
            )))),
            Err(failure) => Err(outcome_of_optional_read(failure)),
        }
    }

    /// Reads the `sub` from the pool. The event may have none that is a UUID, and without a
    /// group no call has shown that the user exists.
    async fn sub_of(&self, sign_up: &SignUp) -> Result<Sub, Outcome> {
        retry_inline(|| self.cognito.sub_of(&sign_up.pool, &sign_up.username))
            .await
            .map_err(Outcome::from)?
            .ok_or_else(|| {
                Outcome::Rejected(Rejection::new(
                    Reason::NoSub,
                    RejectionClass::Malformed,
                    "neither the event nor the user pool has the user's sub",
                ))
            })
    }
}

fn internal_error(error: &str) -> Outcome {
    Outcome::Rejected(Rejection::new(
        Reason::Internal,
        RejectionClass::Internal,
        error,
    ))
}

/// The outcome of a failed call that sign-ups do not need. A systemic or permanent failure is
/// retried, so that it does not block them.
fn outcome_of_optional_read(failure: Failure) -> Outcome {
    match failure.class {
        Class::Systemic | Class::Permanent => Outcome::Retry(Retry::new(failure.into())),
        _ => failure.into(),
    }
}

/// False as well where either `sub` is unknown.
fn is_another_user(sub: Option<&Sub>, sign_up: &SignUp) -> bool {
    let both = sub.zip(sign_up.sub.as_ref());
    both.is_some_and(|(found, signed_up)| found != signed_up)
}
