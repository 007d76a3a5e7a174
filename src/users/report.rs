//! All that was found out about one user, and what to do next.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::OnProgress;
use super::commands::{dead_letter_steps, groups_command, pool_option};
use super::dead_letters::DeadLetters;
use super::groups::{GroupLine, GroupState, group_lines};
use super::profile::Profile;
use super::repair::{Additions, RepairPlan, sign_up};
use crate::admin::UserView;
use crate::app::Services;
use crate::aws::PoolUser;
use crate::config::{Config, GroupName, InvalidConfig};
use crate::event::{PoolId, Scope, Sub};
use crate::reconcile::SingleUser;
use crate::retry::retry_inline;

#[derive(Serialize)]
pub(crate) struct UserReport {
    pub(crate) pool: PoolId,
    pub(crate) user: User,
    pub(crate) groups: Vec<GroupLine>,
    pub(crate) profile: Profile,
    /// Why it is not known whether there is a profile.
    pub(crate) profile_error: Option<String>,
    pub(crate) dead_letters: DeadLetters,
    /// Whether a group or the profile is missing.
    pub(crate) is_missing: bool,
    /// What the sign-up adds that [`Self::fix`] has queued.
    pub(crate) queued: Option<Additions>,
    /// Why [`Self::fix`] queued nothing.
    pub(crate) not_queued: Option<String>,
    /// What a reader could take for something else, or has to decide.
    pub(crate) notes: Vec<String>,
    /// Commands to copy.
    pub(crate) next: Vec<String>,
    #[serde(skip)]
    plan: RepairPlan,
}

#[derive(Serialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) sub: Option<Sub>,
    pub(crate) status: String,
    pub(crate) enabled: bool,
    pub(crate) created: Option<jiff::Timestamp>,
}

impl UserReport {
    /// Reads all except the dead letters: that takes a scan of their queue. Add them with
    /// [`Self::set_dead_letters`].
    ///
    /// # Errors
    /// Without `profiles.table`, if the command does not require it.
    pub(crate) async fn read(
        services: &Services,
        pool: &PoolId,
        view: &UserView,
        stop: &CancellationToken,
        on_progress: OnProgress<'_>,
    ) -> Result<Self, InvalidConfig> {
        let (config, user) = (&services.config, &view.user);
        let groups = group_lines(&config.groups, &sign_up(pool, user, Scope::Full), view);
        let missing = groups.iter().filter(|it| it.state == GroupState::Missing);
        let missing: Vec<GroupName> = missing.map(|it| it.group.clone()).collect();
        let mut single_user = single_user(config, view);
        let profile = Profile::find(services, pool, &mut single_user, stop, on_progress).await?;
        let is_missing = !missing.is_empty() || profile.is_missing();
        let plan = RepairPlan::new(&config.groups, pool, user, &single_user, missing, &profile);
        let mut report = Self {
            pool: pool.clone(),
            user: User::new(user),
            groups,
            profile_error: profile.error().map(str::to_owned),
            profile,
            dead_letters: DeadLetters::unread("not asked for"),
            is_missing,
            queued: None,
            not_queued: None,
            notes: Vec::new(),
            next: Vec::new(),
            plan,
        };
        report.advise(config);
        Ok(report)
    }

    pub(crate) fn set_dead_letters(&mut self, dead_letters: DeadLetters, config: &Config) {
        self.dead_letters = dead_letters;
        self.advise(config);
    }

    /// What [`Self::fix`] would add, or why it would queue nothing.
    pub(crate) fn additions(&self) -> Result<&Additions, &str> {
        if !self.is_missing {
            return Err("nothing is missing");
        }
        let sign_up = self.plan.sign_up.as_ref();
        sign_up.map(|repair| &repair.adds).map_err(String::as_str)
    }

    /// Queues the sign-up that adds missing groups and profile, unless reconcile would not queue it.
    ///
    /// # Errors
    /// Without `queue.url`, if the command does not require it.
    pub(crate) async fn fix(
        &mut self,
        services: &Services,
        actor: &str,
    ) -> Result<(), InvalidConfig> {
        if !self.is_missing {
            return Ok(());
        }
        let queue = services.queue()?;
        match &self.plan.sign_up {
            Ok(repair) => {
                let sent = retry_inline(|| queue.send(repair.message.clone())).await;
                let failure = sent.err();
                repair.audit(actor, &self.pool, self.user.sub.as_ref(), failure.as_ref());
                match failure {
                    None => self.queued = Some(repair.adds.clone()),
                    Some(failure) => self.not_queued = Some(failure.to_string()),
                }
            }
            Err(why) => self.not_queued = Some(why.clone()),
        }
        self.advise(&services.config);
        Ok(())
    }

    /// Says that [`Self::fix`] was asked for, and not done because of the stop signal.
    pub(crate) fn set_stopped(&mut self) {
        if self.is_missing {
            self.not_queued = Some("stopped".to_owned());
        }
    }

    /// Whether there is nothing left to do, as far as all was read.
    pub(crate) fn is_good(&self) -> bool {
        let is_queued = self.queued.as_ref().is_some_and(|adds| {
            self.plan.left.is_empty() && adds.profile == self.profile.is_missing()
        });
        (!self.is_missing || is_queued) && self.has_no_dead_letter()
    }

    /// Whether nothing is missing, and all was read.
    pub(crate) fn is_complete(&self) -> bool {
        !self.is_missing && self.has_no_dead_letter()
    }

    fn has_no_dead_letter(&self) -> bool {
        self.dead_letters.found.is_empty() && self.dead_letters.not_read.is_none()
    }

    fn is_fix_asked(&self) -> bool {
        self.queued.is_some() || self.not_queued.is_some()
    }

    fn advise(&mut self, config: &Config) {
        self.notes = self.notes(config);
        self.next = self.next_steps(config);
    }

    fn notes(&self, config: &Config) -> Vec<String> {
        let has = |state| self.groups.iter().any(|it| it.state == state);
        let profiles = config.profiles.as_ref();
        let has_no_owner = profiles.is_some_and(|profiles| profiles.owner.is_none());
        let mut notes = Vec::new();
        let mut note = |condition: bool, text: &str| {
            if condition {
                notes.push(text.to_owned());
            }
        };
        note(
            has(GroupState::NotEvaluated),
            "rules on client_id are not evaluated: only the event of the sign-up has the app client",
        );
        note(
            self.profile == Profile::Exists && has(GroupState::Missing),
            "the profile shows a finished sign-up: an administrator may have removed the group",
        );
        note(
            self.profile == Profile::UnderAnotherId,
            "docs/guide/amplify-migration.md says how to move the profile",
        );
        let is_profile_missing = self.profile == Profile::Missing;
        note(
            is_profile_missing && !self.plan.left.is_empty(),
            "reconcile and --fix give no privileged group",
        );
        note(
            is_profile_missing && has_no_owner,
            "no attribute of profiles.attributes names the owner: a profile under another id is \
             not found",
        );
        if let Err(why) = &self.plan.sign_up {
            note(self.is_missing && !self.is_fix_asked(), why);
        }
        notes
    }

    fn next_steps(&self, config: &Config) -> Vec<String> {
        let Some(sub) = self.user.sub.as_ref().and_then(Sub::loggable) else {
            return Vec::new();
        };
        let mut steps = dead_letter_steps(&self.dead_letters.found);
        if !self.is_missing {
            return steps;
        }
        let pool = pool_option(config, &self.pool);
        if self.plan.sign_up.is_ok() && !self.is_fix_asked() {
            steps.push(format!("usher users show {sub}{pool} --fix"));
        }
        if !self.plan.left.is_empty() {
            steps.push(groups_command(
                config,
                &self.pool,
                "add",
                sub,
                &self.plan.left,
            ));
        }
        steps
    }
}

impl User {
    fn new(user: &PoolUser) -> Self {
        Self {
            name: user.username.reveal().to_owned(),
            sub: user.sub.clone(),
            status: user.status.clone(),
            enabled: user.enabled,
            created: user.created,
        }
    }
}

/// The user as reconcile would check them, with the default groups compared.
fn single_user(config: &Config, view: &UserView) -> SingleUser {
    let default = config.groups.default.iter();
    let missing = default.filter(|group| !view.groups.contains(group));
    let has_profile = view.profile.is_some() || config.profiles.is_none();
    SingleUser::new(
        view.user.to_listed(),
        missing.cloned().collect(),
        has_profile,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::repair::Repair;
    use super::*;
    use crate::aws::Outgoing;
    use crate::config::Layers;
    use crate::dead_letter::DeadLetterSummary;

    const SUB: &str = "42296c21-5207-4a93-8e3b-d3fc17fff32d";

    fn groups(names: &[&str]) -> Vec<GroupName> {
        let names = names.iter();
        names.filter_map(|name| GroupName::new(name)).collect()
    }

    fn letter(id: &str, reason: &str) -> DeadLetterSummary {
        let class = if reason == "foreign_pool" {
            "forbidden"
        } else {
            "permanent"
        };
        let attributes = [("usher.reason", reason), ("usher.class", class)];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        DeadLetterSummary::new(id, "{}", &BTreeMap::from(attributes))
    }

    /// What one user lacks.
    #[derive(Default)]
    struct Case {
        /// Groups that a sign-up would add.
        adds: &'static [&'static str],
        /// Missing groups that it would not add.
        left: &'static [&'static str],
        profile: Option<Profile>,
        /// The reasons of dead letters.
        reasons: &'static [&'static str],
        refusal: Option<&'static str>,
        is_queued: bool,
    }

    impl Case {
        /// Whether the exit status is 0, what to do next, and the notes.
        fn result(self) -> (bool, Vec<String>, Vec<String>) {
            let flags = [
                "pools.allowed=eu-west-1_x",
                "profiles.table=UserProfile",
                "admin.groups=ADMINS",
                "admin.grantable_groups=PRO",
            ];
            let flags = flags.map(str::to_owned);
            let config = Config::for_command(&Layers::defaults().flags(&flags), &[]);
            let profile = self.profile.unwrap_or(Profile::Exists);
            let adds = Additions {
                groups: groups(self.adds),
                profile: profile == Profile::Missing,
            };
            let lacks_group = !self.adds.is_empty() || !self.left.is_empty();
            let can_add = !adds.groups.is_empty() || adds.profile;
            let sign_up = match self.refusal {
                None if can_add => Ok(Repair {
                    adds: adds.clone(),
                    message: Outgoing::default(),
                }),
                refusal => Err(refusal.unwrap_or("nothing").to_owned()),
            };
            let found = ["91e29d26", "21af6bbf", "cec13b36"]
                .iter()
                .zip(self.reasons);
            let found = found.map(|(id, reason)| letter(id, reason));
            let mut report = UserReport {
                pool: PoolId::new("eu-west-1_x").expect("an id"),
                user: User {
                    name: "ada".to_owned(),
                    sub: Sub::new(SUB),
                    status: "CONFIRMED".to_owned(),
                    enabled: true,
                    created: None,
                },
                groups: Vec::new(),
                is_missing: lacks_group || profile.is_missing(),
                profile,
                profile_error: None,
                dead_letters: DeadLetters {
                    not_read: None,
                    found: found.collect(),
                },
                queued: self.is_queued.then_some(adds),
                not_queued: None,
                notes: Vec::new(),
                next: Vec::new(),
                plan: RepairPlan {
                    sign_up,
                    left: groups(self.left),
                },
            };
            report.advise(&config.expect("valid"));
            (report.is_good(), report.next, report.notes)
        }
    }

    #[test]
    fn the_next_step_is_the_command_that_repairs_it() {
        let fix = format!("usher users show {SUB} --fix");
        let letters = |arguments: &str| format!("usher dead-letters {arguments}");
        let add = |groups: &str| format!("usher groups add --user {SUB} {groups}");
        let missing = || Some(Profile::Missing);
        let case = |adds, left, profile, reasons| Case {
            adds,
            left,
            profile,
            reasons,
            ..Case::default()
        };
        for (case, expected) in [
            (Case::default(), vec![]),
            (case(&["EVERYONE"], &[], missing(), &[]), vec![fix.clone()]),
            (
                case(&["EVERYONE"], &["PRO"], None, &[]),
                vec![fix.clone(), add("--group PRO")],
            ),
            (
                case(&[], &["PRO", "ADMINS"], None, &[]),
                vec![add("--group PRO --group ADMINS --privileged")],
            ),
            (
                case(&[], &["R&D", "-x"], None, &[]),
                vec![add("--group 'R&D' --group=-x --privileged")],
            ),
            // Both queue the same sign-up, and a second one changes nothing.
            (
                case(&[], &["PRO"], missing(), &["throttled", "timeout"]),
                vec![
                    letters("replay 91e29d26 21af6bbf"),
                    fix.clone(),
                    add("--group PRO"),
                ],
            ),
            (
                case(&[], &[], missing(), &["group_not_found"]),
                vec![letters("show 91e29d26"), fix],
            ),
            (
                case(
                    &[],
                    &[],
                    None,
                    &["foreign_pool", "throttled", "foreign_pool"],
                ),
                vec![
                    letters("replay 21af6bbf"),
                    letters("show 91e29d26"),
                    letters("show cec13b36"),
                ],
            ),
        ] {
            let (is_good, steps, _) = case.result();
            assert_eq!(steps, expected);
            assert_eq!(is_good, expected.is_empty(), "{expected:?}");
        }
    }

    #[test]
    fn a_user_who_may_not_be_queued_gets_the_reason_as_a_note() {
        let (is_good, steps, notes) = Case {
            adds: &["EVERYONE"],
            refusal: Some("the user is disabled"),
            ..Case::default()
        }
        .result();
        assert_eq!(notes, ["the user is disabled"]);
        assert_eq!((is_good, steps), (false, Vec::new()));
        let (is_good, steps, notes) = Case {
            profile: Some(Profile::UnderAnotherId),
            ..Case::default()
        }
        .result();
        assert!(notes[0].contains("amplify-migration"), "{notes:?}");
        assert_eq!((is_good, steps), (false, Vec::new()));
    }

    #[test]
    fn a_queued_sign_up_is_good_unless_something_is_left() {
        let queued = |left, profile, reasons| {
            let case = Case {
                adds: &["EVERYONE"],
                left,
                profile: Some(profile),
                reasons,
                is_queued: true,
                ..Case::default()
            };
            case.result()
        };
        let (is_good, steps, _) = queued(&[], Profile::Missing, &[]);
        assert_eq!((is_good, steps), (true, Vec::new()));
        let (is_good, steps, _) = queued(&["PRO"], Profile::Missing, &[]);
        assert!(!is_good);
        assert_eq!(
            steps,
            [format!("usher groups add --user {SUB} --group PRO")]
        );
        assert!(!queued(&[], Profile::UnderAnotherId, &[]).0);
        assert!(!queued(&[], Profile::Missing, &["throttled"]).0);
    }
}
