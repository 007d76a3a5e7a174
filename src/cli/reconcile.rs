//! `usher reconcile`

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::target::{NO_POOL, pool_id};
use super::{
    CommandStatus, Global, MissingSetting, Usage, arguments, plural, progress_bar, status_line,
    time as show_time,
};
use crate::app::Services;
use crate::config::{Config, Required, is_index_name, parse_time};
use crate::dead_letter::RECEIVE_WAIT;
use crate::event::PoolId;
use crate::reconcile::{
    Checkpoint, DEFAULT_BACKLOG, IncompleteUserLine, PoolRun, PoolRunProgress, PoolSummary,
    ReconcilePlan, why_no_search,
};
use crate::shutdown;

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(after_long_help = "Examples:
  usher reconcile --dry-run
  usher reconcile --since 2days
  usher reconcile --groups --limit 1000")]
pub(super) struct Options {
    /// User pool to check; repeatable [default: those in pools.allowed]
    #[arg(long, value_name = "ID")]
    pool: Vec<String>,
    /// Also compare memberships in the default groups: for the first run in a pool that
    /// already has profiles, and after a group was added to groups.default
    #[arg(long)]
    groups: bool,
    /// Include users of external identity providers
    #[arg(long)]
    include_federated: bool,
    /// Index of the profile table by owner, to find profiles under another id; without one the
    /// whole table is read [default: profiles.owner_index]
    #[arg(long, value_name = "NAME", value_parser = parse_index)]
    owner_index: Option<String>,
    /// Write a profile under the sub even if there is one under another id
    #[arg(long, conflicts_with = "owner_index")]
    second_profile: bool,
    /// Only users created at this time or later: time, UTC day (2026-08-01, yesterday) or age (2h,
    /// 3days)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<jiff::Timestamp>,
    /// Queue at most this many users
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = arguments::parse_count)]
    limit: Option<u64>,
    /// Show what each user is missing, and queue no one
    #[arg(long)]
    dry_run: bool,
    /// Pause while the queue has more messages than this, so that sign-ups do not wait (0: do
    /// not pause)
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BACKLOG)]
    backlog: u64,
    /// Checkpoint file: the next run resumes there
    #[arg(long, value_name = "FILE", default_value = "usher-reconcile.json")]
    checkpoint: PathBuf,
    /// Ignore the checkpoint and start over
    #[arg(long)]
    restart: bool,
    /// Give up after this long without a successful call
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = arguments::parse_wait)]
    give_up_after: Duration,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(&[Required::Queue, Required::Profiles])?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let pools = pools(options, &config)?;
    let mut checkpoint = if options.dry_run {
        Checkpoint::empty(&options.checkpoint)
    } else {
        Checkpoint::open(&options.checkpoint)?
    };
    if let Some(since) = options.since {
        status_line(&format!("users created since {}", show_time(since)));
    }
    let services = Services::from_environment(config).await?;
    let config = &services.config;
    check_owner(options, config)?;
    let services = services.reconcile(services.queue_with_wait(RECEIVE_WAIT)?)?;
    let mut summaries = Vec::new();
    let mut remaining = options.limit;
    for pool in pools {
        if remaining == Some(0) {
            break;
        }
        let plan = ReconcilePlan {
            pool,
            groups: ReconcilePlan::groups_to_compare(config, options.groups),
            table: services.table(),
            search: ReconcilePlan::choose_search(
                config,
                options.owner_index.as_deref(),
                options.second_profile,
            ),
            include_federated: options.include_federated,
            since: options.since,
            limit: remaining,
            max_backlog: (options.backlog > 0).then_some(options.backlog),
            dry_run: options.dry_run,
            rate: config.sign_up_rate(),
        };
        let run = PoolRun {
            plan,
            services: services.clone(),
            give_up_after: options.give_up_after,
            stop: &stop,
        };
        let summary = run_pool(global, options, run, &mut checkpoint).await?;
        let complete = summary.complete;
        remaining = remaining.map(|remaining| remaining - summary.incomplete.min(remaining));
        summaries.push(summary);
        if !complete {
            break;
        }
    }
    report(global, &summaries)
}

fn parse_index(name: &str) -> Result<String, &'static str> {
    if is_index_name(name) {
        Ok(name.to_owned())
    } else {
        Err("an index has 3 to 255 of a-z A-Z 0-9 _ . -")
    }
}

/// Only an attribute that names the owner finds profiles under other ids.
fn check_owner(options: &Options, config: &Config) -> anyhow::Result<()> {
    let Some(why) = why_no_search(config).filter(|_| !options.second_profile) else {
        return Ok(());
    };
    if options.owner_index.is_some() {
        return Err(Usage::error(format!("--owner-index: {why}")));
    }
    status_line(&format!("{why}; profiles under another id are not found"));
    Ok(())
}

fn pools(options: &Options, config: &Config) -> anyhow::Result<BTreeSet<PoolId>> {
    if options.pool.is_empty() {
        if config.pools.allowed.is_empty() {
            return Err(MissingSetting(NO_POOL).into());
        }
        return Ok(config.pools.allowed.clone());
    }
    let pools = options.pool.iter().map(|id| {
        let pool = pool_id(id)?;
        if !config.pools.is_allowed(&pool) {
            return Err(Usage::error(format!(
                "--pool {id} is not in pools.allowed: the worker would make dead letters of its sign-ups (foreign_pool)"
            )));
        }
        Ok(pool)
    });
    pools.collect()
}

/// Runs over the pool of the plan, with a progress bar.
async fn run_pool(
    global: &Global,
    options: &Options,
    run: PoolRun<'_>,
    checkpoint: &mut Checkpoint,
) -> anyhow::Result<PoolSummary> {
    let pool = run.plan.pool.clone();
    let saved_cursor = checkpoint
        .cursor(&run.plan)
        .filter(|_| !options.restart && !options.dry_run)
        .cloned();
    if let Some(cursor) = &saved_cursor {
        status_line(&format!(
            "resuming after {} ({}); --restart starts over",
            plural(cursor.users, "user"),
            options.checkpoint.display()
        ));
    }
    // Only for the progress bar, which has no total where the role may not ask.
    let estimate = run.services.cognito.estimate_user_count(&pool).await.ok();
    let progress = progress_bar(estimate, "users");
    let checkpoint = (!options.dry_run).then_some(checkpoint);
    let summary = run.run(saved_cursor.unwrap_or_default(), checkpoint, |step| {
        match step {
            PoolRunProgress::Members => progress.set_message("reading group members"),
            PoolRunProgress::Owners => progress.set_message("reading profile owners"),
            PoolRunProgress::Paused(waiting) => {
                let waiting = plural(waiting, "message");
                progress.set_message(format!("paused: {waiting} in the queue"));
            }
            PoolRunProgress::Users(cursor, incomplete) => {
                for user in incomplete.iter().filter(|_| options.dry_run) {
                    let line = user.line(&pool);
                    global.output.print_line(&line, || text(&line))?;
                }
                progress.set_position(cursor.users);
                progress.set_message(format!("{} incomplete", cursor.queued));
            }
        }
        Ok(())
    });
    let summary = summary.await?;
    progress.finish_and_clear();
    Ok(summary)
}

fn text(line: &IncompleteUserLine<'_>) -> String {
    format!("{}  {}", line.sub.unwrap_or("-"), line.describe())
}

fn report(global: &Global, summaries: &[PoolSummary]) -> anyhow::Result<CommandStatus> {
    for summary in summaries {
        if !summary.complete && summary.users == 0 {
            status_line("stopped before any user was read");
            continue;
        }
        let text = || summary.describe(" (--groups)");
        global.output.print_line(summary, text)?;
        if let Some(refused) = summary.describe_refused() {
            status_line(&refused);
        }
        if let Some(left_out) = summary.describe_left_out() {
            status_line(&format!("note: {left_out}"));
        }
        if !summary.complete {
            status_line("stopped; run the same command to continue");
        }
    }
    let are_successful = summaries.iter().all(PoolSummary::is_success);
    Ok(CommandStatus::success_if(are_successful))
}
