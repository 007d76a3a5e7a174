//! `usher load run`

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::options::Options;
use super::services::connect_services;
use crate::aws::{Class, Failure, SignInName};
use crate::cli::{CommandStatus, Global, Output, Usage, plural, progress_bar, status_line};
use crate::config::Required;
use crate::event::Username;
use crate::load::report::Cleaned;
use crate::load::{
    Cleaner, DifferenceKind, LoadPlan, LoadReport, LoadRun, LoadServices, LoadVerifier,
    MetricsScraper, RunEnd, RunId, SourceQueueState, TestUsers, UserFactory,
};
use crate::reason::Reason;
use crate::retry::{SharedRetry, retry_inline};
use crate::shutdown;

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(&[Required::Queue, Required::Profiles])?;
    let pool = options.pool(&config)?;
    let sign_ups = options.sign_ups()?;
    let stages = options.stages(&sign_ups)?;
    options.check_requirements(&config)?;
    options.create_files()?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = connect_services(&config, &stop).await?;
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let (duplicates, poison) = options.shares();
    let load = LoadRun {
        run_id: RunId::new(jiff::Timestamp::now()),
        pool,
        plan: LoadPlan::new(&stages, duplicates, poison, seed),
        seed,
        sign_ups,
        config,
        quiet_period: options.common.quiet_period,
        give_up_after: options.common.give_up_after,
        command_line: options.command_line(seed, &global.set),
    };
    let sign_in_name = check_access(&services, &load).await?;
    let LoadPlan {
        sign_ups,
        bystanders,
        ..
    } = load.plan;
    status_line(&format!(
        "run {}: {} over {:.1} s, {} in {}. If interrupted, clean up with: usher load clean {}",
        load.run_id,
        plural(u64::from(sign_ups), "sign-up"),
        load.plan.duration.as_secs_f64(),
        plural(u64::from(sign_ups + bystanders), "user"),
        load.pool,
        load.run_id,
    ));
    let test = LoadTest {
        global,
        options,
        services,
        load,
        stop,
    };
    test.run(sign_in_name).await
}

struct LoadTest<'a> {
    global: &'a Global,
    options: &'a Options,
    services: LoadServices,
    load: LoadRun,
    stop: CancellationToken,
}

impl LoadTest<'_> {
    async fn run(self, sign_in_name: SignInName) -> anyhow::Result<CommandStatus> {
        let (load, services, stop) = (&self.load, &self.services, &self.stop);
        let test_users = match self.create_users(sign_in_name).await {
            Ok(test_users) => test_users,
            Err((test_users, failure)) => {
                self.clean(&test_users, SourceQueueState::Unused).await;
                return Err(failure).context("not every user could be created; nothing was sent");
            }
        };
        if stop.is_cancelled() {
            status_line("stopped before anything was sent");
            self.clean(&test_users, SourceQueueState::Unused).await;
            return Ok(CommandStatus::Failure);
        }
        let workers = self.options.worker.iter();
        let metrics = workers.map(|url| url.with_path("/metrics")).collect();
        let mut workers = MetricsScraper::new(metrics);
        let progress = progress_bar(Some(u64::from(load.plan.sign_ups)), "finished");
        let observation = load
            .run(services, &test_users, &mut workers, stop, |sample| {
                progress.set_position(sample.finished);
                let waiting = [sample.visible, sample.hidden, sample.delayed];
                let waiting: u64 = waiting.into_iter().flatten().sum();
                let all = load.plan.messages.len() as u64;
                progress.set_message(if waiting == 0 && sample.injected == all {
                    "waiting for SQS counters to settle".to_owned()
                } else {
                    format!("{} sent, {waiting} on the queue", sample.injected)
                });
            })
            .await;
        progress.finish_and_clear();

        let users = (test_users.users.len() + test_users.bystanders.len()) as u64;
        let progress = progress_bar(Some(users), "verified");
        let verifier = LoadVerifier {
            load,
            services,
            users: &test_users,
            observation: &observation,
            retry: &SharedRetry::new(self.options.common.give_up_after, stop),
            stop,
        };
        let differences = verifier
            .differences(|users| progress.set_position(users))
            .await;
        progress.finish_and_clear();

        let is_settled = observation.end == RunEnd::QueueEmpty
            && differences
                .iter()
                .all(|difference| difference.kind != DifferenceKind::NotSent);
        let source = if is_settled {
            SourceQueueState::Empty
        } else {
            SourceQueueState::Unknown
        };
        let cleaned = self.clean(&test_users, source).await;
        let worker_totals = workers.totals();
        let report = LoadReport::new(
            load,
            &test_users,
            &observation,
            worker_totals,
            differences,
            cleaned,
        );
        let report = report.with_requirements(&self.options.require);
        self.publish(&report)?;
        Ok(CommandStatus::success_if(report.has_passed()))
    }

    async fn create_users(
        &self,
        sign_in_name: SignInName,
    ) -> Result<TestUsers, (TestUsers, Failure)> {
        let LoadPlan {
            sign_ups,
            bystanders,
            ..
        } = self.load.plan;
        let progress = progress_bar(Some(u64::from(sign_ups + bystanders)), "users created");
        let factory = UserFactory {
            cognito: &self.services.cognito,
            pool: &self.load.pool,
            run_id: &self.load.run_id,
            sign_in_name,
            email_domain: &self.options.email_domain,
            retry: &SharedRetry::new(self.options.common.give_up_after, &self.stop),
        };
        let created = factory
            .create_all(sign_ups, bystanders, &self.stop, |n| {
                progress.set_position(n);
            })
            .await;
        progress.finish_and_clear();
        created
    }

    /// Deletes all that the run created, unless `--no-cleanup` is given. Prints a hint when something
    /// may be left.
    async fn clean(&self, test_users: &TestUsers, source: SourceQueueState) -> Option<Cleaned> {
        if self.options.no_cleanup {
            return None;
        }
        let users = (test_users.users.len() + test_users.bystanders.len()) as u64;
        let progress = progress_bar(Some(users), "users deleted");
        let stop = if self.stop.is_cancelled() {
            status_line("cleaning up; a second signal leaves what is still there");
            CancellationToken::new()
        } else {
            self.stop.clone()
        };
        let cleaner = Cleaner {
            services: &self.services,
            run_id: &self.load.run_id,
            pool: &self.load.pool,
            quiet_period: self.options.common.quiet_period,
            retry: &SharedRetry::new(self.options.common.give_up_after, &stop),
            stop: &stop,
        };
        let (counts, failure) = cleaner
            .clean(test_users, source, |n| progress.set_position(n))
            .await;
        progress.finish_and_clear();
        if let Some(failure) = failure {
            status_line(&format!("not everything could be deleted: {failure}"));
        }
        if !counts.complete {
            self.print_clean_hint();
        }
        Some(counts)
    }

    fn print_clean_hint(&self) {
        status_line(&format!(
            "something may remain, hidden by a worker or not shown yet. Clean up with: usher load clean {}",
            self.load.run_id
        ));
    }

    fn publish(&self, report: &LoadReport) -> anyhow::Result<()> {
        // The figures come first: a file may fail to be written.
        self.global.output.print(report, || report.text())?;
        if self.global.output == Output::Json {
            for requirement in report.unmet_requirements() {
                status_line(&requirement);
            }
        }
        if let Some(path) = &self.options.junit {
            std::fs::write(path, report.junit())
                .with_context(|| format!("--junit {}", path.display()))?;
        }
        let Some(path) = &self.options.report else {
            return Ok(());
        };
        std::fs::write(path, report.html())
            .with_context(|| format!("--report {}", path.display()))?;
        status_line(&format!("report: {}", path.display()));
        Ok(())
    }
}

/// Checks the permissions to read and delete before the run creates anything. The calls name a
/// user who does not exist.
async fn check_access(services: &LoadServices, load: &LoadRun) -> anyhow::Result<SignInName> {
    let unknown_user = format!("{}nobody", load.run_id.prefix());
    let pool = &load.pool;
    let sign_in_name = retry_inline(|| services.cognito.sign_in_name(pool)).await?;
    if sign_in_name == SignInName::Phone {
        return Err(Usage::error(format!(
            "users of {pool} are named only by phone number; a load test creates no such users"
        )));
    }
    if let Some(username) = Username::new(&unknown_user) {
        retry_inline(|| services.cognito.delete_user(pool, &username)).await?;
        match retry_inline(|| services.cognito.groups_of(pool, &username)).await {
            Err(failure) if failure.reason != Reason::UserNotFound => return Err(failure.into()),
            _ => {}
        }
    }
    let prefix = load.run_id.prefix();
    retry_inline(|| services.cognito.list_by_email_prefix(pool, &prefix, None)).await?;
    // SQS refuses an invalid receipt only to callers that may delete.
    for queue in [&services.queue, &services.dead_letters] {
        match retry_inline(|| queue.delete(&["none"])).await {
            Err(failure) if failure.class != Class::Permanent => return Err(failure.into()),
            _ => {}
        }
    }
    if let Some(profiles) = &services.profiles {
        let subs = [unknown_user.as_str()];
        retry_inline(|| profiles.read(&subs, true)).await?;
        retry_inline(|| profiles.delete(&unknown_user)).await?;
    }
    let waiting = retry_inline(|| services.queue.attributes())
        .await?
        .depth
        .total();
    if waiting > 0 {
        status_line(&format!(
            "about {} on the queue already; the measured latency includes this backlog",
            plural(waiting, "message")
        ));
    }
    Ok(sign_in_name)
}
