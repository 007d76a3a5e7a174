//! A run: sends and watches at once.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::crew::Crew;
use super::inject::{Sends, Sent, inject};
use super::likeness::Likeness;
use super::looks::{Looks, Seen};
use super::plan::{Plan, What};
use super::poison::Poison;
use super::report::Moment;
use super::run_id::RunId;
use super::scrape::Workers;
use super::sign_ups::SignUps;
use super::watch::{Settled, Watch, Watched};
use crate::aws::{Listing, Outgoing, Queue, Records, Users};
use crate::config::Config;
use crate::dead_letter::attribute;
use crate::event::{PoolId, sendable_json};
use crate::trigger;

/// What a load test works with.
#[derive(Debug, Clone)]
pub struct Services {
    /// Where sign-ups go.
    pub queue: Queue,
    /// Where what cannot be provisioned goes.
    pub dead_letters: Queue,
    /// Makes and removes users.
    pub users: Users,
    /// Reads groups.
    pub listing: Listing,
    /// Reads and removes profiles; `None` when they are switched off.
    pub records: Option<Records>,
}

/// Everything about a run that is fixed before it begins.
#[derive(Debug)]
pub struct Load {
    /// Its id.
    pub run: RunId,
    /// The user pool.
    pub pool: PoolId,
    /// What goes when.
    pub plan: Plan,
    /// What sign-ups look like.
    pub sign_ups: SignUps,
    /// What the worker is configured to do, as far as we know.
    pub config: Config,
    /// How long SQS has to count nothing before the queue is taken for empty, and
    /// how long what differs is looked at again: its counts may be a minute old.
    pub settle: Duration,
    /// How long nothing may move before it is given up.
    pub patience: Duration,
}

/// What a run was seen to do.
#[derive(Debug)]
pub struct Observed {
    /// When the schedule began.
    pub started_at: jiff::Timestamp,
    /// From there to the end of the watch.
    pub time: Duration,
    /// What came of the injection.
    pub sends: Sends,
    /// Records by the number of their sign-up.
    pub seen: Vec<Option<Seen>>,
    /// How things stood.
    pub timeline: Vec<Moment>,
    /// How it ended.
    pub settled: Settled,
}

impl Load {
    /// Sends everything and watches until it is settled, or until it is told to stop.
    pub async fn run(
        &self,
        services: &Services,
        crew: &Crew,
        workers: &mut Workers,
        stop: &CancellationToken,
        notice: impl Fn(&Moment),
    ) -> Observed {
        tokio::select! {
            () = workers.ask() => {}
            () = stop.cancelled() => {}
        }
        let (started_at, begun) = (jiff::Timestamp::now(), Instant::now());
        let sent = Sent::default();
        let all_sent = CancellationToken::new();
        let templates = self.config.profiles.as_ref();
        let mut looks = services
            .records
            .as_ref()
            .zip(templates)
            .map(|(records, settings)| {
                let likeness = Likeness::new(&settings.attributes);
                Looks::new(records, &crew.people, self.plan.due(), likeness, started_at)
            });
        let injecting = async {
            let message = |what| self.message(what, crew);
            let shots = &self.plan.shots;
            let sends = inject(&services.queue, shots, message, begun, &sent, stop).await;
            all_sent.cancel();
            sends
        };
        let watch = Watch {
            queue: &services.queue,
            plan: &self.plan,
            begun,
            sent: &sent,
            all_sent: &all_sent,
            settle: self.settle,
            patience: self.patience,
            stop,
        };
        let watching = watch.run(looks.as_mut(), workers, notice);
        let (sends, Watched { timeline, settled }) = tokio::join!(injecting, watching);
        Observed {
            started_at,
            time: begun.elapsed(),
            sends,
            seen: looks.map(Looks::into_seen).unwrap_or_default(),
            timeline,
            settled,
        }
    }

    /// The message, as the trigger would send it.
    fn message(&self, what: What, crew: &Crew) -> Outgoing {
        let (body, attempts) = match what {
            What::SignUp(n) | What::Again(n) => {
                let person = &crew.people[n as usize];
                let body = self.sign_ups.body(&self.run, &self.pool, person);
                (sendable_json(&body), 0)
            }
            What::Poison(n) => {
                let poison = Poison::of(n, &self.config);
                let attempts = poison.attempts_before(&self.config);
                (poison.body(&self.run, n, &self.pool), attempts)
            }
        };
        let now = format!("{:.3}", jiff::Timestamp::now());
        let before = (attempts > 0).then(|| (attribute::ATTEMPTS, attempts.to_string()));
        let attributes = [
            (trigger::attribute::KIND, "PostConfirmation".to_owned()),
            (trigger::attribute::FORWARDED_AT, now),
        ];
        let attributes = attributes.into_iter().chain(before);
        Outgoing {
            body,
            attributes: attributes
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            group: Some(self.pool.as_str().to_owned()),
            ..Outgoing::default()
        }
    }
}
