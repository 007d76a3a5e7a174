//! `usher load clean`

use super::options::{LimitOptions, pools};
use super::services::connect_services;
use crate::cli::{CommandStatus, Global, plural, progress_bar, status_line};
use crate::config::Required;
use crate::load::report::Cleaned;
use crate::load::{Cleaner, RunId, SourceQueueState, TestUsers};
use crate::retry::SharedRetry;
use crate::shutdown;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher load clean 20261121-150344-tnkt
  usher load clean 20261121-150344-tnkt --pool eu-west-1_AbCdEf123")]
pub(super) struct Options {
    /// Id of the run, as usher load run prints it
    run: RunId,
    #[command(flatten)]
    common: LimitOptions,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(&[Required::Queue, Required::Profiles])?;
    let Options { run, common } = options;
    let pools = pools(common.pool.as_deref(), &config)?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = connect_services(&config, &stop).await?;
    let mut total = Cleaned {
        complete: true,
        ..Cleaned::default()
    };
    for pool in &pools {
        let progress = progress_bar(None, "users deleted");
        let cleaner = Cleaner {
            services: &services,
            run_id: run,
            pool,
            quiet_period: common.quiet_period,
            retry: &SharedRetry::new(common.give_up_after, &stop),
            stop: &stop,
        };
        let no_users = TestUsers::default();
        let (counts, failure) = cleaner
            .clean(&no_users, SourceQueueState::Unknown, |n| {
                progress.set_position(n);
            })
            .await;
        progress.finish_and_clear();
        total.messages += counts.messages;
        total.dead_letters += counts.dead_letters;
        total.profiles += counts.profiles;
        total.users += counts.users;
        total.complete &= counts.complete;
        if let Some(failure) = failure {
            status_line(&format!(
                "{pool}: not everything could be deleted: {failure}"
            ));
        }
    }
    global.output.print(&total, || {
        format!(
            "deleted {}, {}, {} and {}",
            plural(total.messages, "message"),
            plural(total.dead_letters, "dead letter"),
            plural(total.profiles, "profile"),
            plural(total.users, "user"),
        )
    })?;
    if total.complete {
        Ok(CommandStatus::Success)
    } else {
        status_line(if stop.is_cancelled() {
            "stopped; run the same command to continue"
        } else {
            "something may remain, hidden by a worker or not shown yet; run the same command again"
        });
        Ok(CommandStatus::Failure)
    }
}
