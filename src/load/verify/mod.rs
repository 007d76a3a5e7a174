//! Whether it was right: each user in exactly their groups with exactly their
//! profile, each poison message a letter with its reason, nothing else touched.

mod groups;
mod letters;
mod profiles;

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::crew::{Crew, Person};
use super::difference::{Difference, Kind};
use super::plan::What;
use super::run::{Load, Observed, Services};
use super::run_id::Tag;
use super::watch::Settled;
use crate::event::SignUp;
use crate::retry::Persistence;

/// Looks at everything once the run has settled.
#[derive(Debug)]
pub struct Verifier<'a> {
    /// What was to be done.
    pub load: &'a Load,
    /// Where to look.
    pub services: &'a Services,
    /// The users.
    pub crew: &'a Crew,
    /// What was seen on the way.
    pub observed: &'a Observed,
    /// Gives up once nothing works any more.
    pub persistence: &'a Persistence,
    /// Leaves the rest unseen, and says so.
    pub stop: &'a CancellationToken,
}

impl Verifier<'_> {
    /// Every difference, sorted; empty when all is as it must be. `looked` hears how
    /// many users were looked at.
    pub async fn differences(&self, looked: impl Fn(u64)) -> Vec<Difference> {
        let mut found = self.of_the_sends();
        found.extend(self.of_the_queue());
        if self.observed.settled != Settled::Stopped {
            found.extend(self.of_the_letters().await);
            // Stopped on the way, what was found so far is kept.
            let (mut profiles, mut groups) = (Vec::new(), Vec::new());
            let stop = self.stop.cancelled();
            tokio::select! {
                biased;
                () = stop => found.push(self.of_the_run(
                    Kind::NotVerified,
                    "stopped while it was verified".to_owned(),
                )),
                () = async {
                    self.of_the_profiles(&mut profiles).await;
                    self.of_the_groups(&mut groups, looked).await;
                } => {}
            }
            found.extend(profiles.into_iter().chain(groups));
        }
        let not_sent: HashSet<String> = found
            .iter()
            .filter(|one| one.kind == Kind::NotSent)
            .map(|one| one.who.clone())
            .collect();
        // What was not sent has nothing to show for it, which is no news.
        found.retain(|one| !(one.kind.is_lack() && not_sent.contains(&one.who)));
        found.sort();
        found.dedup();
        found
    }

    fn of_the_sends(&self) -> Vec<Difference> {
        let refused = self.observed.sends.refused.iter();
        let untried = self.observed.sends.untried;
        let untried = (untried > 0).then(|| {
            self.of_the_run(
                Kind::NotSent,
                format!("{untried} messages were never tried"),
            )
        });
        let differences = refused.map(|(what, why)| Difference {
            kind: Kind::NotSent,
            who: self.load.run.name(match what {
                What::SignUp(n) | What::Again(n) => Tag::SignUp(*n),
                What::Poison(n) => Tag::Poison(*n),
            }),
            sub: None,
            detail: why.clone(),
        });
        differences.chain(untried).collect()
    }

    fn of_the_queue(&self) -> Option<Difference> {
        match self.observed.settled {
            Settled::Quiet => None,
            Settled::Unknown => Some(self.of_the_run(
                Kind::NotVerified,
                "the queue did not say how much is left on it".to_owned(),
            )),
            Settled::Left(messages) => Some(self.of_the_run(
                Kind::LeftOnQueue,
                format!("about {messages} messages, and nothing moved for the whole patience"),
            )),
            Settled::Stopped => Some(self.of_the_run(
                Kind::NotVerified,
                "stopped before everything was through".to_owned(),
            )),
        }
    }

    fn of_the_run(&self, kind: Kind, detail: String) -> Difference {
        Difference {
            kind,
            who: format!("run {}", self.load.run),
            sub: None,
            detail,
        }
    }

    /// The sign-up as the worker read it.
    fn sign_up(&self, person: &Person) -> Option<SignUp> {
        let Load {
            run,
            pool,
            sign_ups,
            ..
        } = self.load;
        sign_ups.read(run, pool, person)
    }
}

fn of(person: &Person, kind: Kind, detail: impl Into<String>) -> Difference {
    Difference {
        kind,
        who: name_of(person).to_owned(),
        sub: Some(person.sub.as_str().to_owned()),
        detail: detail.into(),
    }
}

/// Their address begins with it, whatever the pool calls them.
fn name_of(person: &Person) -> &str {
    person.email.split('@').next().unwrap_or_default()
}
