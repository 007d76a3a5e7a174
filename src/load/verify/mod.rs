//! Verifies the results of a run: each user's groups and profile, and the dead letter
//! and reason of each poison message. Nothing else may have changed.

mod dead_letters;
mod groups;
mod profiles;

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::difference::{Difference, DifferenceKind};
use super::plan::LoadMessage;
use super::report::plural;
use super::run::{LoadRun, LoadServices, RunObservation};
use super::run_id::Tag;
use super::test_users::{TestUser, TestUsers};
use super::watch::RunEnd;
use crate::event::SignUp;
use crate::retry::SharedRetry;

/// Compares the results with the plan, after the run has ended.
#[derive(Debug)]
pub(crate) struct LoadVerifier<'a> {
    /// Plan and configuration of the run.
    pub load: &'a LoadRun,
    pub services: &'a LoadServices,
    pub users: &'a TestUsers,
    pub(crate) observation: &'a RunObservation,
    pub retry: &'a SharedRetry,
    /// Ends the checks early, with a `NotVerified` difference.
    pub stop: &'a CancellationToken,
}

impl LoadVerifier<'_> {
    /// All differences, sorted; empty if every check passed. `checked` gets the number
    /// of users whose groups were checked.
    pub(crate) async fn differences(&self, checked: impl Fn(u64)) -> Vec<Difference> {
        let mut found = self.check_sends();
        found.extend(self.check_queue());
        if self.observation.end != RunEnd::Stopped {
            found.extend(self.check_dead_letters().await);
            // After a stop the differences found so far remain in these lists.
            let (mut profiles, mut groups) = (Vec::new(), Vec::new());
            let stop = self.stop.cancelled();
            tokio::select! {
                biased;
                () = stop => found.push(self.run_difference(
                    DifferenceKind::NotVerified,
                    "stopped while it was verified".to_owned(),
                )),
                () = async {
                    self.check_profiles(&mut profiles).await;
                    self.check_groups(&mut groups, checked).await;
                } => {}
            }
            found.extend(profiles.into_iter().chain(groups));
        }
        let not_sent: HashSet<String> = found
            .iter()
            .filter(|difference| difference.kind == DifferenceKind::NotSent)
            .map(|difference| difference.who.clone())
            .collect();
        // A message that was not sent has no results: report only that it was not sent.
        found.retain(|difference| {
            !(difference.kind.is_missing() && not_sent.contains(&difference.who))
        });
        Difference::sort(&mut found);
        found.dedup();
        found
    }

    fn check_sends(&self) -> Vec<Difference> {
        let failed = self.observation.injection.failed.iter();
        let not_attempted = self.observation.injection.not_attempted;
        let not_attempted = (not_attempted > 0).then(|| {
            let messages = plural(not_attempted, "message");
            self.run_difference(DifferenceKind::NotSent, format!("{messages} not tried"))
        });
        let differences = failed.map(|(message, reason)| Difference {
            kind: DifferenceKind::NotSent,
            who: self.load.run_id.name(match message {
                LoadMessage::SignUp(n) | LoadMessage::Duplicate(n) => Tag::SignUp(*n),
                LoadMessage::Poison(n) => Tag::Poison(*n),
            }),
            sub: None,
            detail: reason.clone(),
        });
        differences.chain(not_attempted).collect()
    }

    fn check_queue(&self) -> Option<Difference> {
        match self.observation.end {
            RunEnd::QueueEmpty => None,
            RunEnd::DepthUnknown => Some(self.run_difference(
                DifferenceKind::NotVerified,
                "the queue did not say how much is left on it".to_owned(),
            )),
            RunEnd::Stalled(messages) => Some(self.run_difference(
                DifferenceKind::LeftOnQueue,
                format!(
                    "about {}, and nothing moved for the whole --give-up-after",
                    plural(messages, "message")
                ),
            )),
            RunEnd::Stopped => Some(self.run_difference(
                DifferenceKind::NotVerified,
                "stopped before everything was through".to_owned(),
            )),
        }
    }

    fn run_difference(&self, kind: DifferenceKind, detail: String) -> Difference {
        Difference {
            kind,
            who: format!("run {}", self.load.run_id),
            sub: None,
            detail,
        }
    }

    /// The user's sign-up as the worker parses it.
    fn sign_up(&self, user: &TestUser) -> Option<SignUp> {
        let LoadRun {
            run_id,
            pool,
            sign_ups,
            ..
        } = self.load;
        sign_ups.read(run_id, pool, user)
    }
}

fn user_difference(user: &TestUser, kind: DifferenceKind, detail: impl Into<String>) -> Difference {
    Difference {
        kind,
        who: name_of(user).to_owned(),
        sub: Some(user.sub.as_str().to_owned()),
        detail: detail.into(),
    }
}

/// The made-up name: the address begins with it, also if the pool chooses user names.
fn name_of(user: &TestUser) -> &str {
    user.email.split('@').next().unwrap_or_default()
}
