//! `usher load`

mod clean;
mod options;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::{Ended, Global, Output, Usage, print, print_json};
use crate::aws::{Aws, Class, Failure, Listing, Queue, Records, SignInName, Users};
use crate::config::Config;
use crate::dead_letter::locate;
use crate::event::Username;
use crate::load::report::Cleaned;
use crate::load::{
    Cleaner, Crew, Kind, Load, Maker, Plan, Report, RunId, Services, Settled, Source, Verifier,
    Workers,
};
use crate::quota::Quota;
use crate::retry::{Persistence, quickly};
use crate::shutdown;
use crate::telemetry::{bar, note};
pub(super) use options::Options;

/// Long poll of a receive, when letters are looked at.
const WAIT: Duration = Duration::from_secs(1);

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<Ended> {
    let config = global.config()?;
    if let Some(run) = &options.clean {
        return clean::run(global, options, &config, run).await;
    }
    let pool = options.pool(&config)?;
    let sign_ups = options.sign_ups()?;
    let stages = options.stages(&sign_ups)?;
    options.check_report()?;
    let stop = shutdown::on_signal(&global.at_once)?;
    let services = services(&config, &stop).await?;
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let (duplicates, poison) = options.shares();
    let load = Load {
        run: RunId::new(jiff::Timestamp::now()),
        pool,
        plan: Plan::new(&stages, duplicates, poison, seed),
        sign_ups,
        config,
        settle: options.settle,
        patience: options.patience,
    };
    let names = ready(&services, &load).await?;
    let Plan {
        sign_ups,
        bystanders,
        ..
    } = load.plan;
    note(&format!(
        "run {}: {sign_ups} sign-ups over {:.1} s, {} users in {}; should this be cut off, `usher load --clean {}` removes what it left",
        load.run,
        load.plan.length.as_secs_f64(),
        sign_ups + bystanders,
        load.pool,
        load.run,
    ));
    let test = Test {
        global,
        options,
        services,
        load,
        stop,
    };
    test.run(names, seed).await
}

/// A load test that has everything it needs.
struct Test<'a> {
    global: &'a Global,
    options: &'a Options,
    services: Services,
    load: Load,
    stop: CancellationToken,
}

impl Test<'_> {
    async fn run(self, names: SignInName, seed: u64) -> anyhow::Result<Ended> {
        let (load, services, stop) = (&self.load, &self.services, &self.stop);
        let crew = match self.crew(names).await {
            Ok(crew) => crew,
            Err((crew, failure)) => {
                self.clean(&crew, Source::Unused).await;
                return Err(failure).context("not every user could be made; nothing was sent");
            }
        };
        if stop.is_cancelled() {
            note("stopped before anything was sent");
            self.clean(&crew, Source::Unused).await;
            return Ok(Ended::Badly);
        }
        let mut workers = Workers::new(self.options.worker_metrics.clone());
        let progress = bar(Some(u64::from(load.plan.sign_ups)), "finished");
        let observed = load
            .run(services, &crew, &mut workers, stop, |moment| {
                progress.set_position(moment.finished);
                let waiting = [moment.visible, moment.hidden, moment.delayed];
                let waiting: u64 = waiting.into_iter().flatten().sum();
                let all = load.plan.shots.len() as u64;
                progress.set_message(if waiting == 0 && moment.injected == all {
                    "until SQS's counts can be believed".to_owned()
                } else {
                    format!("{} sent, {waiting} on the queue", moment.injected)
                });
            })
            .await;
        progress.finish_and_clear();

        let users = (crew.people.len() + crew.bystanders.len()) as u64;
        let progress = bar(Some(users), "verified");
        let verifier = Verifier {
            load,
            services,
            crew: &crew,
            observed: &observed,
            persistence: &Persistence::new(self.options.patience, stop),
            stop,
        };
        let differences = verifier
            .differences(|users| progress.set_position(users))
            .await;
        progress.finish_and_clear();

        let through = observed.settled == Settled::Quiet
            && differences
                .iter()
                .all(|difference| difference.kind != Kind::NotSent);
        let source = if through {
            Source::Empty
        } else {
            Source::Unknown
        };
        let cleaned = self.clean(&crew, source).await;
        let figures = workers.figures();
        let report = Report::new(load, seed, &observed, figures, differences, cleaned);
        self.publish(&report)?;
        let is_clean = self.options.keep || cleaned.is_some_and(|cleaned| cleaned.complete);
        Ok(if report.verified && is_clean {
            Ended::Well
        } else {
            Ended::Badly
        })
    }

    async fn crew(&self, names: SignInName) -> Result<Crew, (Crew, Failure)> {
        let Plan {
            sign_ups,
            bystanders,
            ..
        } = self.load.plan;
        let progress = bar(Some(u64::from(sign_ups + bystanders)), "users made");
        let maker = Maker {
            users: &self.services.users,
            pool: &self.load.pool,
            run: &self.load.run,
            names,
            domain: &self.options.email_domain,
            persistence: &Persistence::new(self.options.patience, &self.stop),
        };
        let made = maker
            .make(sign_ups, bystanders, &self.stop, |n| {
                progress.set_position(n);
            })
            .await;
        progress.finish_and_clear();
        made
    }

    /// Removes what was made, unless it is to be kept; says what to do when
    /// something may be left.
    async fn clean(&self, crew: &Crew, source: Source) -> Option<Cleaned> {
        if self.options.keep {
            return None;
        }
        let users = (crew.people.len() + crew.bystanders.len()) as u64;
        let progress = bar(Some(users), "users removed");
        let stop = if self.stop.is_cancelled() {
            note("cleaning up what was made; a second signal leaves it");
            CancellationToken::new()
        } else {
            self.stop.clone()
        };
        let cleaning = Cleaner {
            services: &self.services,
            run: &self.load.run,
            pool: &self.load.pool,
            settle: self.options.settle,
            persistence: &Persistence::new(self.options.patience, &stop),
            stop: &stop,
        };
        let (gone, failure) = cleaning
            .clean(crew, source, |n| progress.set_position(n))
            .await;
        progress.finish_and_clear();
        if let Some(failure) = failure {
            note(&format!("not everything could be removed: {failure}"));
        }
        if !gone.complete {
            self.say_how_to_clean();
        }
        Some(gone)
    }

    fn say_how_to_clean(&self) {
        note(&format!(
            "something of the run may be left, in a worker's hands or unseen: `usher load --clean {}` removes it",
            self.load.run
        ));
    }

    fn publish(&self, report: &Report) -> anyhow::Result<()> {
        // Whatever becomes of the page, the figures are not lost.
        match self.global.output {
            Output::Json => print_json(report)?,
            Output::Text => print(&report.text())?,
        }
        let Some(path) = &self.options.report else {
            return Ok(());
        };
        std::fs::write(path, report.html()).with_context(|| format!("--report {}", path.display()))
    }
}

async fn services(config: &Config, stop: &CancellationToken) -> anyhow::Result<Services> {
    let aws = Aws::from_environment().await?;
    let quota = Arc::new(Quota::new(config.quota));
    let queue = Queue::new(&aws, &config.queue.url, WAIT, config.queue.visibility);
    let located = tokio::select! {
        located = locate(&queue, config.queue.dead_letter_url.as_deref()) => located?,
        () = stop.cancelled() => anyhow::bail!("stopped before the dead-letter queue was found"),
    };
    Ok(Services {
        dead_letters: located.queue,
        queue,
        users: Users::new(&aws, Arc::clone(&quota)),
        listing: Listing::new(&aws, quota),
        records: config
            .profiles
            .as_ref()
            .map(|profiles| Records::new(&aws, &profiles.table, &profiles.key)),
    })
}

/// Whether everything can be looked at and removed again, found out before anything
/// is made: calls for somebody who does not exist.
async fn ready(services: &Services, load: &Load) -> anyhow::Result<SignInName> {
    let nobody = format!("{}nobody", load.run.prefix());
    let pool = &load.pool;
    let names = quickly(|| services.users.sign_in_name(pool)).await?;
    if names == SignInName::Phone {
        return Err(Usage::error(format!(
            "users of {pool} are named by phone numbers alone, which a load test does not make up"
        )));
    }
    if let Some(username) = Username::new(&nobody) {
        quickly(|| services.users.delete(pool, &username)).await?;
        match quickly(|| services.listing.groups_of(pool, &username)).await {
            Err(failure) if failure.reason != "user_not_found" => return Err(failure.into()),
            _ => {}
        }
    }
    let prefix = load.run.prefix();
    quickly(|| services.users.whose_email_begins(pool, &prefix, None)).await?;
    // A receipt that is none: whether deleting is allowed shows all the same.
    for queue in [&services.queue, &services.dead_letters] {
        match quickly(|| queue.delete(&["none"])).await {
            Err(failure) if failure.class != Class::Permanent => return Err(failure.into()),
            _ => {}
        }
    }
    if let Some(records) = &services.records {
        let subs = [nobody.as_str()];
        quickly(|| records.read(&subs, true)).await?;
        quickly(|| records.delete(&nobody)).await?;
    }
    let waiting = quickly(|| services.queue.facts()).await?.depth.total();
    if waiting > 0 {
        note(&format!(
            "about {waiting} messages are on the queue already: latency will hold their time, too"
        ));
    }
    Ok(names)
}
