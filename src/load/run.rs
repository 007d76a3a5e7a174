//! Runs a load test: sends messages and watches the results at the same time.

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
use crate::aws::{Cognito, Outgoing, Queue, TestProfiles};
use crate::config::Config;
use crate::event::{PoolId, escape_for_sqs};
use crate::message::{attribute, outgoing};

/// Clients for the resources of a load test.
#[derive(Debug, Clone)]
pub(crate) struct LoadServices {
    /// The queue that the workers receive from.
    pub queue: Queue,
    pub dead_letters: Queue,
    /// Creates and removes users, and reads their groups.
    pub cognito: Cognito,
    /// Reads and removes profiles; `None` if the configuration writes none.
    pub profiles: Option<TestProfiles>,
}

/// The settings of a run, fixed before it begins.
#[derive(Debug)]
pub(crate) struct LoadRun {
    pub(crate) run_id: RunId,
    pub pool: PoolId,
    pub plan: LoadPlan,
    /// The seed of `plan`.
    pub seed: u64,
    pub sign_ups: SignUpTemplate,
    /// This process's configuration; the workers must have the same.
    pub config: Config,
    /// How long SQS must count nothing before the queue counts as empty, since its
    /// counts may be a minute old. Differences are checked again for the same time.
    pub(crate) quiet_period: Duration,
    /// The run ends when nothing has changed for this long.
    pub(crate) give_up_after: Duration,
    /// The command, for the report; without personal data and secrets.
    pub command_line: String,
}

/// The observations of a run.
#[derive(Debug)]
pub(crate) struct RunObservation {
    pub(crate) started_at: jiff::Timestamp,
    /// From `started_at` to the end of the watch.
    pub duration: Duration,
    pub(crate) injection: InjectionResult,
    /// Profiles by the number of their sign-up.
    pub profiles: Vec<Option<ObservedProfile>>,
    pub timeline: Vec<Sample>,
    pub end: RunEnd,
}

impl LoadRun {
    /// Sends all messages and watches until they are settled, or until `stop`.
    /// `report_sample` gets each sample of the timeline.
    pub(crate) async fn run(
        &self,
        services: &LoadServices,
        users: &TestUsers,
        workers: &mut MetricsScraper,
        stop: &CancellationToken,
        report_sample: impl Fn(&Sample),
    ) -> RunObservation {
        tokio::select! {
            () = workers.scrape() => {}
            () = stop.cancelled() => {}
        }
        let (started_at, start) = (jiff::Timestamp::now(), Instant::now());
        let progress = InjectionProgress::default();
        let all_sent = CancellationToken::new();
        let templates = self.config.profiles.as_ref();
        let mut poller = services
            .profiles
            .as_ref()
            .zip(templates)
            .map(|(profiles, settings)| {
                let matcher = ProfileMatcher::new(&settings.attributes);
                ProfilePoller::new(
                    profiles,
                    &users.users,
                    self.plan.due_times(),
                    matcher,
                    started_at,
                )
            });
        let injecting = async {
            let message = |message| self.message(message, users);
            let schedule = &self.plan.messages;
            let result = inject(&services.queue, schedule, message, start, &progress, stop).await;
            all_sent.cancel();
            result
        };
        let watch = RunWatcher {
            queue: &services.queue,
            plan: &self.plan,
            start,
            injection: &progress,
            all_sent: &all_sent,
            quiet_period: self.quiet_period,
            give_up_after: self.give_up_after,
            stop,
        };
        let watching = watch.run(poller.as_mut(), workers, report_sample);
        let (injection, WatchResult { timeline, end }) = tokio::join!(injecting, watching);
        RunObservation {
            started_at,
            duration: start.elapsed(),
            injection,
            profiles: poller.map(ProfilePoller::into_profiles).unwrap_or_default(),
            timeline,
            end,
        }
    }

    /// Builds a message in the form that the trigger sends.
    fn message(&self, message: LoadMessage, users: &TestUsers) -> Outgoing {
        let (body, attempts) = match message {
            LoadMessage::SignUp(n) | LoadMessage::Duplicate(n) => {
                let user = &users.users[n as usize];
                let body = self.sign_ups.body(&self.run_id, &self.pool, user);
                (escape_for_sqs(&body), 0)
            }
            LoadMessage::Poison(n) => {
                let poison = Poison::of(n, &self.config);
                let attempts = poison.prior_attempts(&self.config);
                (poison.body(&self.run_id, n, &self.pool), attempts)
            }
        };
        let message = outgoing::sign_up(body, Some(self.pool.as_str().to_owned()));
        if attempts > 0 {
            message.with_attribute(attribute::ATTEMPTS, attempts.to_string())
        } else {
            message
        }
    }
}
