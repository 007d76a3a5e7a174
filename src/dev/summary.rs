//! The report of `usher dev`, made from the state that is read back.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::events::{
    EventDelivery, EventFile, FORWARD_FAILED, LOST_SIGN_UP, USER_NOT_CREATED, event_for_pool,
};
use super::readback::AccountState;
use super::sign_ups;
use super::stack::Stack;
use crate::aws::Failure;
use crate::event::{Event, Scope, SignUp, parse};
use crate::provision::{Ignored, groups_for};

/// The report. Its JSON form is a public contract.
#[derive(Debug, Default, Serialize)]
pub(crate) struct DevSummary {
    /// Users who signed up and were confirmed.
    pub signed_up: usize,
    /// Users who are in all their groups and have their profile.
    pub provisioned: usize,
    /// Events for a user whom an earlier event had provisioned.
    pub already_done: usize,
    /// Events that the trigger did not forward.
    pub passed_through: usize,
    /// Events that had no effect.
    pub ignored: usize,
    /// Sign-ups and events that are in the dead-letter queue, and events that could not be sent.
    /// Other messages of `--demo-failures` do not count.
    pub rejected: usize,
    /// Number of members, by group, without empty groups.
    pub groups: BTreeMap<String, usize>,
    /// Profiles in the table.
    pub profiles: usize,
    /// Messages in the dead-letter queue.
    pub dead_letters: usize,
    /// One for each file, in the order of the files.
    pub events: Vec<EventLine>,
    /// Each user by name.
    #[serde(skip)]
    pub users: BTreeMap<String, UserLine>,
    /// Whether no event was lost and all expected profiles exist.
    #[serde(skip)]
    pub complete: bool,
}

/// One user, for the text report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserLine {
    /// As in log lines.
    pub sub: String,
    pub groups: Vec<String>,
    /// `None` if profiles are switched off.
    pub profile: Option<bool>,
}

/// The result of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EventLine {
    pub file: String,
    pub outcome: EventOutcome,
    /// A short code; empty when there is nothing to add.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventOutcome {
    /// Groups and profile are there.
    Provisioned,
    /// The trigger did not forward it.
    PassedThrough,
    /// The worker had nothing to do.
    Ignored,
    /// It is in the dead-letter queue, or could not be sent at all.
    Rejected,
}

impl EventOutcome {
    /// The name that the JSON form uses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Provisioned => "provisioned",
            Self::PassedThrough => "passed_through",
            Self::Ignored => "ignored",
            Self::Rejected => "rejected",
        }
    }
}

/// The event had no effect and is not a dead letter. This must not happen.
const NO_EFFECT: &str = "no_effect";
/// Reasons that mean a lost event: they make the report incomplete.
const LOST_EVENT_REASONS: [&str; 4] = [NO_EFFECT, LOST_SIGN_UP, FORWARD_FAILED, USER_NOT_CREATED];

impl Stack {
    /// The report on `count` sign-ups, which must all succeed, and on `failures` other messages,
    /// which must all fail.
    ///
    /// # Errors
    /// When the state cannot be read back.
    pub(crate) async fn summary_of_sign_ups(
        &self,
        count: usize,
        failures: usize,
    ) -> Result<DevSummary, Failure> {
        let state = self.read_back().await?;
        let names: Vec<String> = sign_ups::user_names(count).collect();
        let provisioned = names.iter().filter(|name| {
            let sub = state
                .users
                .get(*name)
                .map(String::as_str)
                .unwrap_or_default();
            let expected: Vec<String> = self
                .expected_sign_up(name)
                .iter()
                .flat_map(|sign_up| groups_for(&self.services.config.groups, sign_up))
                .map(|group| group.to_string())
                .collect();
            is_in_all_groups(&state, name, &expected) && self.has_profile(&state, sub)
        });
        let mut summary = DevSummary {
            signed_up: count,
            provisioned: provisioned.count(),
            rejected: state.dead_letters.len().saturating_sub(failures),
            ..self.summarize(&state)
        };
        let profiles = if self.services.config.profiles.is_some() {
            count
        } else {
            0
        };
        summary.complete = summary.provisioned == count
            && summary.profiles == profiles
            && summary.dead_letters == failures;
        Ok(summary)
    }

    /// Delivers each file. Report on them once the queue is empty.
    pub(crate) async fn deliver_all(&self, files: &[EventFile]) -> Vec<EventDelivery> {
        let mut delivered = Vec::with_capacity(files.len());
        for file in files {
            delivered.push(self.deliver(file).await);
        }
        delivered
    }

    pub(crate) async fn summary_of_events(
        &self,
        files: &[EventFile],
        delivered: &[EventDelivery],
    ) -> Result<DevSummary, Failure> {
        let state = self.read_back().await?;
        let mut summary = self.summarize(&state);
        let mut seen = BTreeSet::new();
        for (file, delivered) in files.iter().zip(delivered) {
            let (outcome, reason) = self.event_outcome(&state, file, delivered, &mut seen);
            match outcome {
                EventOutcome::Provisioned if reason == "already_done" => summary.already_done += 1,
                EventOutcome::Provisioned => summary.provisioned += 1,
                EventOutcome::Ignored => summary.ignored += 1,
                EventOutcome::Rejected => summary.rejected += 1,
                EventOutcome::PassedThrough => summary.passed_through += 1,
            }
            let file = file.path.display().to_string();
            summary.events.push(EventLine {
                file,
                outcome,
                reason,
            });
        }
        let profiles = if self.services.config.profiles.is_some() {
            seen.len()
        } else {
            0
        };
        summary.complete = summary.profiles == profiles
            && summary
                .events
                .iter()
                .all(|line| !LOST_EVENT_REASONS.contains(&line.reason.as_str()));
        Ok(summary)
    }

    fn event_outcome(
        &self,
        state: &AccountState,
        file: &EventFile,
        delivered: &EventDelivery,
        seen: &mut BTreeSet<String>,
    ) -> (EventOutcome, String) {
        let id = match delivered {
            EventDelivery::Queued(id) => id,
            EventDelivery::PassedThrough(reason) => {
                return (EventOutcome::PassedThrough, (*reason).to_owned());
            }
            EventDelivery::NotSent(reason) => {
                return (EventOutcome::Rejected, (*reason).to_owned());
            }
        };
        if let Some(reason) = state.dead_letters.get(id) {
            return (EventOutcome::Rejected, reason.clone());
        }
        let event = event_for_pool(file, &self.pool.id).map(|event| parse(&event.to_string()));
        match event {
            Some(Ok(Event::SignUp(sign_up))) => {
                let sub = sub_of(state, &sign_up);
                let groups: Vec<String> = groups_for(&self.services.config.groups, &sign_up)
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                let is_provisioned = is_in_all_groups(state, sign_up.username.reveal(), &groups)
                    && self.has_profile(state, &sub);
                let may_have_profile = sign_up.scope == Scope::IfNoProfile;
                match is_provisioned {
                    true if seen.insert(sub) => (EventOutcome::Provisioned, String::new()),
                    _ if may_have_profile
                        && (is_provisioned || !self.provisions_without_sign_up()) =>
                    {
                        let reason = Ignored::NotNeeded.code();
                        (EventOutcome::Ignored, reason.to_owned())
                    }
                    true => (EventOutcome::Provisioned, "already_done".to_owned()),
                    false => (EventOutcome::Ignored, NO_EFFECT.to_owned()),
                }
            }
            _ => (EventOutcome::Ignored, NO_EFFECT.to_owned()),
        }
    }

    fn provisions_without_sign_up(&self) -> bool {
        let profiles = self.services.config.profiles.as_ref();
        profiles.is_some_and(|profiles| profiles.without_sign_up)
    }

    fn has_profile(&self, state: &AccountState, sub: &str) -> bool {
        self.services.config.profiles.is_none() || state.profiles.contains_key(sub)
    }

    fn summarize(&self, state: &AccountState) -> DevSummary {
        let members = state.groups.iter();
        let members = members.map(|(name, members)| (name.clone(), members.len()));
        let to_line = |(name, sub): (&String, &String)| {
            let line = UserLine {
                sub: sub.clone(),
                groups: state
                    .groups_of(name)
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                profile: self
                    .services
                    .config
                    .profiles
                    .as_ref()
                    .map(|_| state.profiles.contains_key(sub)),
            };
            (name.clone(), line)
        };
        DevSummary {
            groups: members.filter(|(_, count)| *count > 0).collect(),
            profiles: state.profiles.len(),
            dead_letters: state.dead_letters.len(),
            users: state.users.iter().map(to_line).collect(),
            ..DevSummary::default()
        }
    }
}

fn is_in_all_groups(state: &AccountState, username: &str, groups: &[String]) -> bool {
    let user_groups = state.groups_of(username);
    groups
        .iter()
        .all(|group| user_groups.contains(&group.as_str()))
}

fn sub_of(state: &AccountState, sign_up: &SignUp) -> String {
    match &sign_up.sub {
        Some(sub) => sub.as_str().to_owned(),
        None => state
            .users
            .get(sign_up.username.reveal())
            .cloned()
            .unwrap_or_default(),
    }
}
