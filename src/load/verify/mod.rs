//! Whether it was right: each user in exactly their groups with exactly their
//! profile, each poison message a letter with its reason, nothing else touched.

mod dead_letters;
mod groups;
mod profiles;

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::difference::{Difference, DifferenceKind};
use super::plan::LoadMessage;
use super::run::{LoadRun, LoadServices, RunObservation};
use super::run_id::Tag;
use super::test_users::{TestUser, TestUsers};
use super::watch::RunEnd;
use crate::event::SignUp;
use crate::retry::SharedRetry;

/// Looks at everything once the run has settled.
#[derive(Debug)]
pub(crate) struct LoadVerifier<'a> {
    /// What was to be done.
    pub load: &'a LoadRun,
    /// Where to look.
    pub services: &'a LoadServices,
    /// The users.
    pub users: &'a TestUsers,
    /// What was seen on the way.
    pub(crate) observation: &'a RunObservation,
    /// Gives up once nothing works any more.
    pub retry: &'a SharedRetry,
    /// Leaves the rest unseen, and says so.
    pub stop: &'a CancellationToken,
}

impl LoadVerifier<'_> {
    /// Every difference, sorted; empty when all is as it must be. `looked` hears how
    /// many users were looked at.
    pub(crate) async fn differences(&self, looked: impl Fn(u64)) -> Vec<Difference> {
        let mut found = self.check_sends();
        found.extend(self.check_queue());
        if self.observation.end != RunEnd::Stopped {
            found.extend(self.check_dead_letters().await);
            // Stopped on the way, what was found so far is kept.
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
                    self.check_groups(&mut groups, looked).await;
                } => {}
            }
            found.extend(profiles.into_iter().chain(groups));
        }
        let not_sent: HashSet<String> = found
            .iter()
            .filter(|one| one.kind == DifferenceKind::NotSent)
            .map(|one| one.who.clone())
            .collect();
        // What was not sent has nothing to show for it, which is no news.
        found.retain(|one| !(one.kind.is_missing() && not_sent.contains(&one.who)));
        found.sort();
        found.dedup();
        found
    }

    fn check_sends(&self) -> Vec<Difference> {
        let refused = self.observation.injection.failed.iter();
        let untried = self.observation.injection.not_attempted;
        let untried = (untried > 0).then(|| {
            self.run_difference(
                DifferenceKind::NotSent,
                format!("{untried} messages were never tried"),
            )
        });
        let differences = refused.map(|(what, why)| Difference {
            kind: DifferenceKind::NotSent,
            who: self.load.run_id.name(match what {
                LoadMessage::SignUp(n) | LoadMessage::Duplicate(n) => Tag::SignUp(*n),
                LoadMessage::Poison(n) => Tag::Poison(*n),
            }),
            sub: None,
            detail: why.clone(),
        });
        differences.chain(untried).collect()
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
                format!("about {messages} messages, and nothing moved for the whole patience"),
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

    /// The sign-up as the worker read it.
    fn sign_up(&self, person: &TestUser) -> Option<SignUp> {
        let LoadRun {
            run_id: run,
            pool,
            sign_ups,
            ..
        } = self.load;
        sign_ups.read(run, pool, person)
    }
}

fn user_difference(
    person: &TestUser,
    kind: DifferenceKind,
    detail: impl Into<String>,
) -> Difference {
    Difference {
        kind,
        who: name_of(person).to_owned(),
        sub: Some(person.sub.as_str().to_owned()),
        detail: detail.into(),
    }
}

/// Their address begins with it, whatever the pool calls them.
fn name_of(person: &TestUser) -> &str {
    person.email.split('@').next().unwrap_or_default()
}
