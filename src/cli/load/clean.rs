//! `usher load --clean RUN`

use super::options::Options;
use super::services::connect_services;
use crate::cli::{CommandStatus, Global, progress_bar, status_line};
use crate::config::Config;
use crate::load::report::Cleaned;
use crate::load::{Cleaner, RunId, SourceQueueState, TestUsers};
use crate::retry::SharedRetry;
use crate::shutdown;

pub(super) async fn run(
    global: &Global,
    options: &Options,
    config: &Config,
    run: &RunId,
) -> anyhow::Result<CommandStatus> {
    let pools = options.pools(config)?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = connect_services(config, &stop).await?;
    let mut total = Cleaned {
        complete: true,
        ..Cleaned::default()
    };
    for pool in &pools {
        let progress = progress_bar(None, "users removed");
        let cleaner = Cleaner {
            services: &services,
            run_id: run,
            pool,
            quiet_period: options.settle,
            retry: &SharedRetry::new(options.patience, &stop),
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
                "{pool}: not everything could be removed: {failure}"
            ));
        }
    }
    global.output.print(&total, || {
        format!(
            "removed {} messages, {} letters, {} profiles, {} users",
            total.messages, total.dead_letters, total.profiles, total.users
        )
    })?;
    if total.complete {
        Ok(CommandStatus::Success)
    } else {
        status_line(if stop.is_cancelled() {
            "stopped before the end; run it again to go on"
        } else {
            "something may be left, hidden by a worker or not shown yet; run it again"
        });
        Ok(CommandStatus::Failure)
    }
}
