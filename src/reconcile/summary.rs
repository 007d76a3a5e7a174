//! What a run over one pool has found and done.

use serde::Serialize;

use super::incomplete_user::{IncompleteUser, ProfileState};
use super::plan::ReconcilePlan;
use super::run::ReconcileRun;
use crate::text::plural;

#[derive(Debug, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what was asked for, each for itself"
)]
pub(crate) struct PoolSummary {
    /// Tells the line from that of a user.
    kind: &'static str,
    pool: String,
    pub(crate) users: u64,
    pub(crate) queued: u64,
    pub(crate) refused: u64,
    /// Users who are queued, or would be in a dry run.
    pub(crate) incomplete: u64,
    missing_profile: u64,
    missing_group: u64,
    /// Users who have a profile under another id than their `sub`, and get no second one.
    under_another_id: u64,
    /// The same, with the users from before the run was stopped.
    #[serde(skip)]
    left_out: u64,
    pub(crate) complete: bool,
    #[serde(skip)]
    compares_profiles: bool,
    #[serde(skip)]
    compares_groups: bool,
    #[serde(skip)]
    is_dry_run: bool,
    #[serde(skip)]
    includes_federated: bool,
}

impl PoolSummary {
    pub(super) fn new(plan: &ReconcilePlan, compares_profiles: bool) -> Self {
        Self {
            kind: "pool",
            pool: plan.pool.as_str().to_owned(),
            users: 0,
            queued: 0,
            refused: 0,
            incomplete: 0,
            missing_profile: 0,
            missing_group: 0,
            under_another_id: 0,
            left_out: 0,
            complete: false,
            compares_profiles,
            compares_groups: !plan.groups.is_empty(),
            is_dry_run: plan.dry_run,
            includes_federated: plan.include_federated,
        }
    }

    pub(super) fn add(&mut self, incomplete: &[IncompleteUser]) {
        for user in incomplete {
            self.missing_profile += u64::from(user.profile == ProfileState::Missing);
            self.missing_group += u64::from(!user.groups.is_empty());
        }
    }

    pub(super) fn with_counts(self, run: &ReconcileRun) -> Self {
        let counts = run.counts();
        let queued = counts.queued.saturating_sub(run.refused());
        Self {
            users: counts.users,
            queued: if self.is_dry_run { 0 } else { queued },
            refused: run.refused(),
            incomplete: counts.queued,
            under_another_id: counts.elsewhere,
            left_out: run.cursor().elsewhere,
            ..self
        }
    }

    /// Whether all users were checked and queued. A dry run only reports: users who are left out
    /// do not make it a failure.
    pub(crate) fn is_success(&self) -> bool {
        let leaves_out = !self.is_dry_run && self.left_out > 0;
        self.complete && self.refused == 0 && !leaves_out
    }

    /// Says who could not be queued.
    pub(crate) fn describe_refused(&self) -> Option<String> {
        let refused = plural(self.refused, "user");
        (self.refused > 0).then(|| format!("{refused} could not be queued; the log has each sub"))
    }

    /// Says who is left out, and what to do about it.
    pub(crate) fn describe_left_out(&self) -> Option<String> {
        let left_out = plural(self.left_out, "user");
        (self.left_out > 0).then(|| {
            format!(
                "{left_out} with a profile under another id got no second one: \
                 docs/guide/amplify-migration.md says how to move it, --second-profile writes one \
                 beside it"
            )
        })
    }

    /// In one line. `how` says how groups are compared, if they were not.
    pub(crate) fn describe(&self, how: &str) -> String {
        // Users of an external provider are not confirmed by Cognito.
        let noun = if self.includes_federated {
            "user"
        } else {
            "confirmed user"
        };
        let (pool, checked) = (&self.pool, plural(self.users, noun));
        let missing = self.describe_missing(how);
        let end = if self.is_dry_run {
            format!("dry run: {} would be queued", self.incomplete)
        } else {
            format!("{} queued", self.queued)
        };
        format!("{pool}: {checked} checked: {missing}; {end}")
    }

    /// What users are missing, and what was not compared.
    fn describe_missing(&self, how: &str) -> String {
        let mut missing = Vec::new();
        if self.compares_profiles {
            missing.push(format!("{} missing a profile", self.missing_profile));
            if self.under_another_id > 0 {
                let count = self.under_another_id;
                missing.push(format!("{count} with a profile under another id"));
            }
        }
        missing.push(if self.compares_groups || !self.compares_profiles {
            format!("{} missing a group", self.missing_group)
        } else {
            format!("groups not compared{how}")
        });
        missing.join(", ")
    }
}
