//! The sign-up that repairs a user: the one of reconcile.

use serde::Serialize;

use super::profile::Profile;
use crate::aws::{Failure, Outgoing, PoolUser};
use crate::config::{GroupName, GroupsConfig};
use crate::event::{PoolId, STATUS_ATTRIBUTE, Scope, SignUp, Sub};
use crate::provision::groups_for;
use crate::reconcile::{SingleUser, why_not_queued};

/// `action` of the audit line.
const AUDIT_ACTION: &str = "users_show_fix";

/// What to do about missing groups and a missing profile.
pub(super) struct RepairPlan {
    /// Why no sign-up is queued, otherwise.
    pub(super) sign_up: Result<Repair, String>,
    /// Missing groups that a person has to give: no sign-up gives privileged ones, nor those of
    /// rules if the user has a profile.
    pub(super) left: Vec<GroupName>,
}

/// A sign-up that gives something that is missing.
pub(super) struct Repair {
    pub(super) adds: Additions,
    pub(super) message: Outgoing,
}

/// What a sign-up adds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Additions {
    pub(crate) groups: Vec<GroupName>,
    pub(crate) profile: bool,
}

impl Additions {
    /// `EVERYONE, the profile`
    pub(crate) fn describe(&self) -> String {
        let groups = self.groups.iter().map(ToString::to_string);
        let profile = self.profile.then(|| "the profile".to_owned());
        let all: Vec<String> = groups.chain(profile).collect();
        all.join(", ")
    }
}

impl RepairPlan {
    pub(super) fn new(
        config: &GroupsConfig,
        pool: &PoolId,
        user: &PoolUser,
        single_user: &SingleUser,
        missing: Vec<GroupName>,
        profile: &Profile,
    ) -> Self {
        if let Some(why) = why_not_queued(user.to_listed().status) {
            return Self {
                sign_up: Err(why.to_owned()),
                left: Vec::new(),
            };
        }
        let Some(repair) = single_user.repair(pool) else {
            let why = if *profile == Profile::UnderAnotherId {
                "usher writes no second profile beside one under another id"
            } else {
                "a sign-up would add nothing"
            };
            return Self {
                sign_up: Err(why.to_owned()),
                left: missing,
            };
        };
        let adds_profile = repair.scope.includes_profile();
        let given = groups_for(config, &sign_up(pool, user, repair.scope));
        let (groups, left) = missing.into_iter().partition(|it| given.contains(it));
        let sign_up = if matches!(profile, Profile::NotKnown(_)) {
            let why = "the profile may be under another id, and usher writes no second one";
            Err(why.to_owned())
        } else {
            Ok(Repair {
                adds: Additions {
                    groups,
                    profile: adds_profile,
                },
                message: repair.message,
            })
        };
        Self { sign_up, left }
    }
}

impl Repair {
    pub(super) fn audit(
        &self,
        actor: &str,
        pool: &PoolId,
        sub: Option<&Sub>,
        failure: Option<&Failure>,
    ) {
        let groups: Vec<&str> = self.adds.groups.iter().map(GroupName::as_str).collect();
        let outcome = match failure {
            None => "queued".to_owned(),
            Some(failure) => format!("not queued: {}", failure.reason),
        };
        tracing::info!(
            target: "usher::audit",
            {
                actor,
                action = AUDIT_ACTION,
                pool.id = pool.as_str(),
                user.sub = sub.and_then(Sub::loggable),
                group.names = groups.join(","),
                profile = self.adds.profile,
                result = outcome,
            },
            "sign-up of one user: {outcome}",
        );
    }
}

/// The sign-up of the user by the attributes of today. The app client is not known.
pub(super) fn sign_up(pool: &PoolId, user: &PoolUser, scope: Scope) -> SignUp {
    SignUp {
        pool: pool.clone(),
        username: user.username.clone(),
        sub: user.sub.clone(),
        client_id: None,
        // As in the events of the trigger: rules read it.
        attributes: user.attributes.with(STATUS_ATTRIBUTE, &user.status),
        scope,
    }
}
