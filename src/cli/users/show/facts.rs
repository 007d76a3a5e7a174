//! All that was found out about the user, and what to do next.

use super::letters::DeadLetters;
use super::memberships::{GroupState, Memberships};
use super::profile::{Profile, State, Unknown};
use super::repair::{Fix, OTHER_ID_STEP, RepairPlan};
use crate::aws::PoolUser;
use crate::cli::reconcile::NO_OWNER_ATTRIBUTE;
use crate::config::{GrantableGroups, GroupName};
use crate::event::{PoolId, Sub};
use crate::reconcile::why_not_queued;

pub(super) struct Facts<'a> {
    pub(super) pool: &'a PoolId,
    pub(super) user: &'a PoolUser,
    pub(super) memberships: &'a Memberships,
    pub(super) profile: &'a Profile,
    pub(super) dead_letters: &'a DeadLetters,
    pub(super) plan: &'a RepairPlan,
    pub(super) fix: &'a Fix,
}

/// How a command line names the user.
#[derive(Debug)]
pub(super) struct UserArgument {
    pub(super) name: String,
    /// The value of `--pool`, if it was given.
    pub(super) pool: Option<String>,
}

impl Facts<'_> {
    pub(super) fn is_anything_missing(&self) -> bool {
        !self.memberships.missing.is_empty() || self.profile.is_missing()
    }

    /// Whether a message that is queued now gives all that is missing.
    fn is_fixed(&self) -> bool {
        let is_profile_left = self.profile.is_missing() && !self.plan.adds_profile;
        *self.fix == Fix::Queued && self.plan.left.is_empty() && !is_profile_left
    }

    /// Whether there is nothing left to do, as far as was asked.
    pub(super) fn is_good(&self) -> bool {
        let has_all = !self.is_anything_missing() || self.is_fixed();
        has_all && self.dead_letters.found.is_empty() && self.dead_letters.is_complete()
    }

    /// What a reader could take for something else.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.memberships.has(GroupState::NotJudged) {
            notes.push(
                "rules on client_id are not judged: only the event of the sign-up has the app client"
                    .to_owned(),
            );
        }
        if self.profile.state == State::Yes && !self.memberships.missing.is_empty() {
            notes.push(
                "the profile shows a finished sign-up: an administrator may have removed the group"
                    .to_owned(),
            );
        }
        if self.profile.state == State::Missing && !self.plan.left.is_empty() {
            notes.push("reconcile and --fix give no privileged group".to_owned());
        }
        match &self.profile.unknown {
            None => {}
            Some(Unknown::NoOwner) => notes.push(format!(
                "{NO_OWNER_ATTRIBUTE}; a record under another id is not found"
            )),
            Some(Unknown::NotSearched(cause)) => {
                notes.push(format!(
                    "not searched for a profile under another id: {cause}"
                ));
            }
        }
        notes
    }

    /// Commands to copy, or sentences where a person has to decide.
    pub(super) fn next_steps(
        &self,
        argument: &UserArgument,
        grantable: &GrantableGroups,
    ) -> Vec<String> {
        let mut steps = self.dead_letters.special_steps();
        let sub = self.user.sub.as_ref().map_or("", Sub::as_str);
        let has_replayable = self.dead_letters.has_replayable();
        if has_replayable {
            steps.insert(0, format!("usher dead-letters replay --sub {sub}"));
        }
        if !self.is_anything_missing() {
            return steps;
        }
        let status = why_not_queued(self.user.to_listed().status);
        if *self.fix == Fix::NotAsked {
            if let Some(why) = status {
                steps.push(why.to_owned());
            } else if self.plan.adds_anything() && !has_replayable {
                steps.push(argument.command("usher users show", "--fix"));
            }
            if self.profile.state == State::UnderAnotherId {
                steps.push(OTHER_ID_STEP.to_owned());
            }
        }
        // The replay of a sign-up gives every group.
        if status.is_none() && !has_replayable && !self.plan.left.is_empty() {
            steps.push(argument.add_groups(&self.plan.left, grantable));
        }
        steps
    }
}

impl UserArgument {
    fn command(&self, command: &str, options: &str) -> String {
        let Self { name, pool } = self;
        let pool = pool.as_ref().map(|pool| format!(" --pool {pool}"));
        format!("{command} {name}{} {options}", pool.unwrap_or_default())
    }

    fn add_groups(&self, groups: &[GroupName], grantable: &GrantableGroups) -> String {
        let mut options: Vec<String> = groups.iter().map(|it| format!("--group {it}")).collect();
        if !groups.iter().all(|group| grantable.allows(group)) {
            options.push("--privileged".to_owned());
        }
        self.command("usher groups add --user", &options.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::aws::Outgoing;
    use crate::dead_letter::DeadLetterSummary;
    use crate::event::{UserAttributes, Username};

    const SUB: &str = "42296c21-5207-4a93-8e3b-d3fc17fff32d";

    /// A confirmed user who has everything.
    struct Case {
        status: &'static str,
        /// Groups that a sign-up would add, and missing ones that it would not.
        adds: &'static [&'static str],
        left: &'static [&'static str],
        profile: State,
        /// The reasons of dead letters.
        reasons: &'static [&'static str],
        fix: Fix,
    }

    const COMPLETE: Case = Case {
        status: "CONFIRMED",
        adds: &[],
        left: &[],
        profile: State::Yes,
        reasons: &[],
        fix: Fix::NotAsked,
    };

    fn groups(names: &[&str]) -> Vec<GroupName> {
        names
            .iter()
            .filter_map(|name| GroupName::new(name))
            .collect()
    }

    fn letter(reason: &str) -> DeadLetterSummary {
        let attributes = BTreeMap::from([("usher.reason".to_owned(), reason.to_owned())]);
        DeadLetterSummary::new("91e29d26-c230-48b2-b961-13ed48ad7154", "{}", &attributes)
    }

    /// Whether the exit status is 0, and what to do next.
    fn result(case: &Case) -> (bool, Vec<String>) {
        let (adds, left) = (groups(case.adds), groups(case.left));
        let adds_profile = case.profile == State::Missing;
        let facts = Facts {
            pool: &PoolId::new("eu-west-1_x").expect("an id"),
            user: &PoolUser {
                username: Username::new("ada").expect("a name"),
                sub: Sub::new(SUB),
                attributes: UserAttributes::default(),
                status: case.status.to_owned(),
                enabled: true,
                created: None,
            },
            memberships: &Memberships {
                lines: Vec::new(),
                missing: [&adds[..], &left].concat(),
            },
            profile: &case.profile.into(),
            dead_letters: &DeadLetters {
                not_read: None,
                found: case.reasons.iter().map(|reason| letter(reason)).collect(),
                has_queue: true,
            },
            plan: &RepairPlan {
                message: (adds_profile || !adds.is_empty()).then(Outgoing::default),
                adds_groups: adds,
                adds_profile,
                left,
            },
            fix: &case.fix,
        };
        let argument = UserArgument {
            name: "ada".to_owned(),
            pool: None,
        };
        let grantable = GrantableGroups::only(&groups(&["PRO"]));
        (facts.is_good(), facts.next_steps(&argument, &grantable))
    }

    #[test]
    fn the_next_step_is_the_command_that_repairs_it() {
        let fix = "usher users show ada --fix";
        let replay = "usher dead-letters replay --sub 42296c21-5207-4a93-8e3b-d3fc17fff32d";
        let missing = Case {
            adds: &["EVERYONE"],
            profile: State::Missing,
            ..COMPLETE
        };
        for (case, expected) in [
            (COMPLETE, &[] as &[&str]),
            (missing, &[fix]),
            (
                Case {
                    adds: &["EVERYONE"],
                    left: &["PRO"],
                    ..COMPLETE
                },
                &[fix, "usher groups add --user ada --group PRO"],
            ),
            (
                Case {
                    left: &["PRO", "ADMINS"],
                    ..COMPLETE
                },
                &["usher groups add --user ada --group PRO --group ADMINS --privileged"],
            ),
            (
                Case {
                    profile: State::UnderAnotherId,
                    ..COMPLETE
                },
                &[OTHER_ID_STEP],
            ),
            (
                Case {
                    profile: State::Missing,
                    reasons: &["throttled"],
                    ..COMPLETE
                },
                &[replay],
            ),
            // The user exists now, so a replay may succeed.
            (
                Case {
                    reasons: &["user_not_found"],
                    ..COMPLETE
                },
                &[replay],
            ),
            (
                Case {
                    profile: State::Missing,
                    reasons: &["access_denied"],
                    ..COMPLETE
                },
                &[
                    "fix the cause, then usher dead-letters replay 91e29d26",
                    fix,
                ],
            ),
        ] {
            let (is_good, steps) = result(&case);
            assert_eq!(steps, expected);
            assert_eq!(is_good, expected.is_empty(), "{expected:?}");
        }
    }

    #[test]
    fn a_user_who_may_not_be_queued_gets_the_reason_instead() {
        for (status, word) in [
            ("UNCONFIRMED", "confirm"),
            ("FORCE_CHANGE_PASSWORD", "password"),
        ] {
            let (is_good, steps) = result(&Case {
                status,
                adds: &["EVERYONE"],
                left: &["PRO"],
                profile: State::Missing,
                ..COMPLETE
            });
            assert!(steps.len() == 1 && steps[0].contains(word), "{steps:?}");
            assert!(!is_good);
        }
        for status in ["CONFIRMED", "RESET_REQUIRED", "EXTERNAL_PROVIDER"] {
            let (_, steps) = result(&Case {
                status,
                profile: State::Missing,
                ..COMPLETE
            });
            assert_eq!(steps, ["usher users show ada --fix"], "{status}");
        }
    }

    #[test]
    fn a_queued_sign_up_is_good_unless_something_is_left() {
        let queued = |left, reasons| {
            result(&Case {
                adds: &["EVERYONE"],
                left,
                profile: State::Missing,
                reasons,
                fix: Fix::Queued,
                ..COMPLETE
            })
        };
        assert_eq!(queued(&[], &[]), (true, Vec::new()));
        let (is_good, steps) = queued(&["PRO"], &[]);
        assert!(!is_good);
        assert_eq!(steps, ["usher groups add --user ada --group PRO"]);
        assert!(!queued(&[], &["throttled"]).0);
    }
}
