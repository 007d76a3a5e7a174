//! The sign-up that `--fix` queues: the one of reconcile, for this user.

use tokio_util::sync::CancellationToken;

use super::profile::{Profile, State, Unknown};
use crate::app::Services;
use crate::aws::{Failure, Outgoing, PoolUser};
use crate::cli::operator::actor;
use crate::config::{GroupName, GroupsConfig};
use crate::event::{PoolId, Scope, SignUp, Sub};
use crate::provision::groups_for;
use crate::reconcile::{SingleUser, why_not_queued};
use crate::retry::retry_inline;

/// `action` of the audit line.
const AUDIT_ACTION: &str = "users_show_fix";
pub(super) const OTHER_ID_STEP: &str =
    "docs/guide/amplify-migration.md says how to move the profile";

/// The missing groups and profile: those that a sign-up adds, and the others.
pub(super) struct RepairPlan {
    pub(super) adds_groups: Vec<GroupName>,
    pub(super) adds_profile: bool,
    /// Missing groups that it does not give: privileged ones, and those of rules if the user has a
    /// profile.
    pub(super) left: Vec<GroupName>,
    /// `None` if it would add nothing.
    pub(super) message: Option<Outgoing>,
}

/// What became of `--fix`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fix {
    NotAsked,
    /// Nothing is missing.
    NotNeeded,
    Queued,
    /// Not queued, for this reason.
    Refused(String),
}

impl RepairPlan {
    pub(super) fn new(
        config: &GroupsConfig,
        pool: &PoolId,
        user: &PoolUser,
        single_user: &SingleUser,
        missing: &[GroupName],
    ) -> Self {
        let repair = single_user.repair(pool);
        let adds_profile = repair
            .as_ref()
            .is_some_and(|it| it.scope.includes_profile());
        let (scope, message) = repair.map(|it| (it.scope, it.message)).unzip();
        let given = scope.map(|scope| groups_for(config, &sign_up(pool, user, scope)));
        let given = given.unwrap_or_default();
        let missing = missing.iter().cloned();
        let (adds_groups, left): (Vec<_>, Vec<_>) = missing.partition(|it| given.contains(it));
        Self {
            adds_groups,
            adds_profile,
            left,
            message,
        }
    }

    pub(super) fn adds_anything(&self) -> bool {
        self.message.is_some()
    }

    /// `EVERYONE and the profile`
    pub(super) fn describe(&self) -> String {
        let groups = self.adds_groups.iter().map(ToString::to_string);
        let profile = self.adds_profile.then(|| "the profile".to_owned());
        let mut parts: Vec<String> = groups.chain(profile).collect();
        let last = parts.pop().unwrap_or_default();
        if parts.is_empty() {
            last
        } else {
            format!("{} and {last}", parts.join(", "))
        }
    }
}

/// Queues the sign-up, unless it would add nothing or reconcile would not queue it.
pub(super) async fn fix(
    services: &Services,
    pool: &PoolId,
    user: &PoolUser,
    plan: &RepairPlan,
    profile: &Profile,
    stop: &CancellationToken,
) -> anyhow::Result<Fix> {
    let queue = services.queue()?;
    let Some(message) = &plan.message else {
        return Ok(fix_without_message(plan, profile));
    };
    if let Some(cause) = refusal(user, profile) {
        return Ok(Fix::Refused(cause));
    }
    if stop.is_cancelled() {
        return Ok(Fix::Refused("stopped".to_owned()));
    }
    let caller = actor(services.aws()).await;
    let sent = retry_inline(|| queue.send(message.clone())).await;
    let failure = sent.err();
    audit(&caller, pool, user, plan, failure.as_ref());
    Ok(match failure {
        None => Fix::Queued,
        Some(failure) => Fix::Refused(failure.to_string()),
    })
}

fn fix_without_message(plan: &RepairPlan, profile: &Profile) -> Fix {
    if profile.state == State::UnderAnotherId {
        return Fix::Refused(format!(
            "usher writes no second profile beside one under another id; {OTHER_ID_STEP}"
        ));
    }
    if plan.left.is_empty() {
        return Fix::NotNeeded;
    }
    Fix::Refused("no sign-up gives what is missing".to_owned())
}

/// Why reconcile would not queue the user.
fn refusal(user: &PoolUser, profile: &Profile) -> Option<String> {
    let status = why_not_queued(user.to_listed().status);
    if let Some(why) = status {
        return Some(why.to_owned());
    }
    match (profile.state, &profile.unknown) {
        (State::Missing, Some(Unknown::NotSearched(cause))) => Some(format!(
            "the profile may be under another id, and usher writes no second one: {cause}"
        )),
        _ => None,
    }
}

fn audit(
    caller: &str,
    pool: &PoolId,
    user: &PoolUser,
    plan: &RepairPlan,
    failure: Option<&Failure>,
) {
    let groups: Vec<&str> = plan.adds_groups.iter().map(GroupName::as_str).collect();
    let outcome = match failure {
        None => "queued".to_owned(),
        Some(failure) => format!("not queued: {}", failure.reason),
    };
    tracing::info!(
        target: "usher::audit",
        {
            actor = caller,
            action = AUDIT_ACTION,
            pool.id = pool.as_str(),
            user.sub = user.sub.as_ref().and_then(Sub::loggable),
            group.names = groups.join(","),
            profile = plan.adds_profile,
            result = outcome,
        },
        "sign-up of one user: {outcome}",
    );
}

/// The sign-up of the user by the attributes of today. The app client is not known.
pub(super) fn sign_up(pool: &PoolId, user: &PoolUser, scope: Scope) -> SignUp {
    SignUp {
        pool: pool.clone(),
        username: user.username.clone(),
        sub: user.sub.clone(),
        client_id: None,
        attributes: user.attributes.clone(),
        scope,
    }
}
