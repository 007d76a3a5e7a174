//! Predicts the outcome of a replay with read calls only.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::aws::{Class, Cognito, Failure, ProfileTable};
use crate::config::{Config, GroupName};
use crate::event::{Event, Scope, SignUp, Sub, parse};
use crate::provision::{
    Ignored, Outcome, Provisioner, RejectionClass, groups_for, is_unprovisioned,
};
use crate::reason::Reason;
use crate::retry::retry_inline;

/// The predicted outcome for one dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DryRunResult {
    /// `done`, `already_done`, `ignored`, `rejected`, `retry` or `blocked`.
    pub outcome: &'static str,
    /// Reason code, or the operation of a command; empty for some outcomes.
    pub reason: String,
    /// Names of the groups that the user is not in.
    pub missing_groups: Vec<String>,
    pub missing_profile: bool,
}

/// Counts predictions.
#[derive(Debug, Default)]
pub(crate) struct DryRunTally {
    /// By the reason of the dead letters, and what is predicted.
    pub(crate) rows: BTreeMap<(String, String), u64>,
    /// By [`DryRunResult::label`].
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
}

impl DryRunTally {
    pub(crate) fn add(&mut self, reason: &str, would: &DryRunResult) {
        let row = (reason.to_owned(), would.describe(reason));
        *self.rows.entry(row).or_default() += 1;
        *self.outcomes.entry(would.label()).or_default() += 1;
    }
}

/// Predicts outcomes.
#[derive(Debug)]
pub(crate) struct DryRun {
    config: Config,
    cognito: Cognito,
    profiles: Option<ProfileTable>,
    /// Judges commands, and remembers which groups exist.
    provisioner: Provisioner,
}

impl DryRun {
    pub(crate) fn new(config: &Config, cognito: Cognito, profiles: Option<ProfileTable>) -> Self {
        Self {
            provisioner: Provisioner::new(config, cognito.clone(), Ok(profiles.clone())),
            config: config.clone(),
            cognito,
            profiles,
        }
    }

    /// A failed call becomes the outcome that it would have in a replay.
    pub(crate) async fn predict(&self, body: &str) -> DryRunResult {
        match parse(body) {
            Err(malformed) => DryRunResult::rejected(malformed.code().into()),
            Ok(event) if self.is_foreign(&event) => DryRunResult::rejected(Reason::ForeignPool),
            Ok(Event::Reconcile(_)) => DryRunResult::new("done", "reconcile"),
            Ok(Event::AdminCommand(command)) => {
                match self.provisioner.judge_queued(&command.replayed()).await {
                    Outcome::Done => DryRunResult::new("done", command.operation.name()),
                    outcome => outcome.into(),
                }
            }
            Ok(Event::SignUp(sign_up)) => {
                let result = match sign_up.scope {
                    Scope::IfNoProfile => self.predict_if_no_profile(&sign_up).await,
                    _ => self.predict_sign_up(&sign_up).await,
                };
                result.unwrap_or_else(|failure| Outcome::from(failure).into())
            }
        }
    }

    fn is_foreign(&self, event: &Event) -> bool {
        event
            .pool()
            .is_some_and(|pool| !self.config.pools.is_allowed(pool))
    }

    async fn predict_if_no_profile(&self, user: &SignUp) -> Result<DryRunResult, Failure> {
        // As in a replay, first check that the user name still belongs to the user.
        let result = self.predict_sign_up(user).await?;
        let table = self.profiles.as_ref();
        let is_gone = result == DryRunResult::rejected(Reason::UserNotFound);
        if is_gone || is_unprovisioned(&self.config, &self.cognito, table, user).await? {
            Ok(result)
        } else {
            Ok(DryRunResult::new("ignored", Ignored::NotNeeded.code()))
        }
    }

    async fn sub_of(&self, user: &SignUp) -> Result<Option<Sub>, Failure> {
        match &user.sub {
            Some(sub) => Ok(Some(sub.clone())),
            None => retry_inline(|| self.cognito.sub_of(&user.pool, &user.username)).await,
        }
    }

    async fn predict_sign_up(&self, sign_up: &SignUp) -> Result<DryRunResult, Failure> {
        let (pool, username) = (&sign_up.pool, &sign_up.username);
        // By ListUsers, since AdminGetUser makes the user count as active this month.
        if let Some(sub) = &sign_up.sub {
            let named = retry_inline(|| self.cognito.username_of(pool, sub)).await?;
            if named.as_ref() != Some(username) {
                return Ok(DryRunResult::rejected(Reason::UserNotFound));
            }
        }
        let member_of: BTreeSet<GroupName> =
            retry_inline(|| self.cognito.groups_of(pool, username)).await?;
        let (mut missing_groups, mut missing_profile) = (Vec::new(), false);
        let mut refused = None;
        for group in groups_for(&self.config.groups, sign_up) {
            if member_of.contains(&group) {
                continue;
            }
            if !self.config.groups.create_missing
                && !self.provisioner.group_exists(pool, &group).await?
            {
                refused = Some(Reason::GroupNotFound);
            }
            missing_groups.push(group.as_str().to_owned());
        }
        if let Some(profiles) = self
            .profiles
            .as_ref()
            .filter(|_| sign_up.scope.includes_profile())
        {
            match self.sub_of(sign_up).await? {
                None => refused = Some(Reason::NoSub),
                Some(sub) => {
                    let keys = [sub.as_str()];
                    let found = retry_inline(|| profiles.existing(&keys)).await?;
                    missing_profile = found.is_empty();
                }
            }
        }
        let result = match refused {
            Some(reason) => DryRunResult::rejected(reason),
            None if missing_groups.is_empty() && !missing_profile => {
                DryRunResult::new("already_done", "")
            }
            None => DryRunResult::new("done", ""),
        };
        Ok(DryRunResult {
            missing_groups,
            missing_profile,
            ..result
        })
    }
}

impl DryRunResult {
    /// The prediction, in words.
    pub(crate) fn label(&self) -> &'static str {
        match self.outcome {
            "done" => "would succeed",
            "already_done" => "would change nothing",
            "ignored" => "would be ignored",
            "rejected" => "would fail again",
            "retry" => "cannot be predicted now",
            _ => "would stop the replay",
        }
    }

    /// The prediction, and its reason if it is not that of the dead letter.
    pub(crate) fn describe(&self, reason: &str) -> String {
        let label = self.label();
        match self.outcome {
            "done" | "already_done" => label.to_owned(),
            _ if self.reason == reason => label.to_owned(),
            _ => format!("{label}: {}", self.reason),
        }
    }

    fn new(outcome: &'static str, reason: &str) -> Self {
        Self {
            outcome,
            reason: reason.to_owned(),
            missing_groups: Vec::new(),
            missing_profile: false,
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "most callers have no other use for it"
    )]
    fn rejected(reason: Reason) -> Self {
        Self::new("rejected", reason.as_str())
    }
}

impl From<Outcome> for DryRunResult {
    fn from(outcome: Outcome) -> Self {
        let name = match &outcome {
            // The user or the group is missing, and a replay is never too early.
            Outcome::Retry(retry)
                if retry.cause.class == RejectionClass::Failure(Class::NotYet) =>
            {
                "rejected"
            }
            other => other.name(),
        };
        Self::new(name, outcome.reason_code())
    }
}
