//! A run: sends and watches at once.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::inject::{InjectionProgress, InjectionResult, inject};
use super::plan::{LoadMessage, LoadPlan};
use super::poison::Poison;
use super::profile_matcher::ProfileMatcher;
use super::profile_poller::{ObservedProfile, ProfilePoller};
use super::report::Sample;
use super::run_id::RunId;
use super::scrape::MetricsScraper;
use super::sign_ups::SignUpTemplate;
use super::test_users::TestUsers;
use super::watch::{RunEnd, RunWatcher, WatchResult};
use crate::aws::{Listing, Outgoing, Queue, TestProfiles, Users};
use crate::config::Config;
use crate::dead_letter::attribute;
use crate::event::{PoolId, escape_for_sqs};
use crate::trigger;

/// What a load test works with.
#[derive(Debug, Clone)]
pub(crate) struct LoadServices {
    /// Where sign-ups go.
    pub queue: Queue,
    /// Where what cannot be provisioned goes.
    pub dead_letters: Queue,
    /// Makes and removes users.
    pub users: Users,
    /// Reads groups.
    pub listing: Listing,
    /// Reads and removes profiles; `None` when they are switched off.
    pub profiles: Option<TestProfiles>,
}

/// Everything about a run that is fixed before it begins.
#[derive(Debug)]
pub(crate) struct LoadRun {
    /// Its id.
    pub(crate) run_id: RunId,
    /// The user pool.
    pub pool: PoolId,
    /// What goes when.
    pub plan: LoadPlan,
    /// What sign-ups look like.
    pub sign_ups: SignUpTemplate,
    /// What the worker is configured to do, as far as we know.
    pub config: Config,
    /// How long SQS has to count nothing before the queue is taken for empty, and
    /// how long what differs is looked at again: its counts may be a minute old.
    pub(crate) quiet_period: Duration,
    /// How long nothing may move before it is given up.
    pub(crate) give_up_after: Duration,
}

/// What a run was seen to do.
#[derive(Debug)]
pub(crate) struct RunObservation {
    /// When the schedule began.
    pub(crate) started_at: jiff::Timestamp,
    /// From there to the end of the watch.
    pub duration: Duration,
    /// What came of the injection.
    pub(crate) injection: InjectionResult,
    /// Records by the number of their sign-up.
    pub profiles: Vec<Option<ObservedProfile>>,
    /// How things stood.
    pub timeline: Vec<Sample>,
    /// How it ended.
    pub end: RunEnd,
}

impl LoadRun {
    /// Sends everything and watches until it is settled, or until it is told to stop.
    pub(crate) async fn run(
        &self,
        services: &LoadServices,
        crew: &TestUsers,
        workers: &mut MetricsScraper,
        stop: &CancellationToken,
        notice: impl Fn(&Sample),
    ) -> RunObservation {
        tokio::select! {
            () = workers.scrape() => {}
            () = stop.cancelled() => {}
        }
        let (started_at, begun) = (jiff::Timestamp::now(), Instant::now());
        let sent = InjectionProgress::default();
        let all_sent = CancellationToken::new();
        let templates = self.config.profiles.as_ref();
        let mut looks = services
            .profiles
            .as_ref()
            .zip(templates)
            .map(|(records, settings)| {
                let likeness = ProfileMatcher::new(&settings.attributes);
                ProfilePoller::new(
                    records,
                    &crew.users,
                    self.plan.due_times(),
                    likeness,
                    started_at,
                )
            });
        let injecting = async {
            let message = |what| self.message(what, crew);
            let shots = &self.plan.messages;
            let sends = inject(&services.queue, shots, message, begun, &sent, stop).await;
            all_sent.cancel();
            sends
        };
        let watch = RunWatcher {
            queue: &services.queue,
            plan: &self.plan,
            start: begun,
            injection: &sent,
            all_sent: &all_sent,
            quiet_period: self.quiet_period,
            give_up_after: self.give_up_after,
            stop,
        };
        let watching = watch.run(looks.as_mut(), workers, notice);
        let (
            sends,
            WatchResult {
                timeline,
                end: settled,
            },
        ) = tokio::join!(injecting, watching);
        RunObservation {
            started_at,
            duration: begun.elapsed(),
            injection: sends,
            profiles: looks.map(ProfilePoller::into_profiles).unwrap_or_default(),
            timeline,
            end: settled,
        }
    }

    /// The message, as the trigger would send it.
    fn message(&self, what: LoadMessage, crew: &TestUsers) -> Outgoing {
        let (body, attempts) = match what {
            LoadMessage::SignUp(n) | LoadMessage::Duplicate(n) => {
                let person = &crew.users[n as usize];
                let body = self.sign_ups.body(&self.run_id, &self.pool, person);
                (escape_for_sqs(&body), 0)
            }
            LoadMessage::Poison(n) => {
                let poison = Poison::of(n, &self.config);
                let attempts = poison.prior_attempts(&self.config);
                (poison.body(&self.run_id, n, &self.pool), attempts)
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
            message_group: Some(self.pool.as_str().to_owned()),
            ..Outgoing::default()
        }
    }
}
