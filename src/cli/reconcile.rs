//! `usher reconcile`

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::target::{NO_POOL, pool_id};
use super::{
    CommandStatus, Global, MissingSetting, Usage, arguments, plural, progress_bar, status_line,
};
use crate::app::Services;
use crate::aws::{Class, Failure};
use crate::config::{Config, Required, is_index_name, parse_time};
use crate::dead_letter::RECEIVE_WAIT;
use crate::event::{Cursor, PoolId};
use crate::reason::Reason;
use crate::reconcile::{
    Checkpoint, IncompleteUserLine, OtherIdSearch, ReconcilePlan, ReconcileRun, ReconcileServices,
    ReconcileStep,
};
use crate::retry::{Backoff, SharedRetry, Transient};
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
    #[arg(long, value_name = "N", default_value_t = 1000)]
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

#[derive(Debug, Serialize)]
struct PoolSummary {
    /// Tells the line from that of a user.
    kind: &'static str,
    pool: String,
    users: u64,
    queued: u64,
    refused: u64,
    /// Users who are queued, or would be in a dry run.
    incomplete: u64,
    missing_profile: u64,
    missing_group: u64,
    /// Users who have a profile under another id than their `sub`, and get no second one.
    under_another_id: u64,
    /// The same, with the users from before the run was stopped.
    #[serde(skip)]
    left_out: u64,
    complete: bool,
    #[serde(skip)]
    compares_profiles: bool,
    #[serde(skip)]
    compares_groups: bool,
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
        let pool_reconcile = PoolReconcile {
            global,
            plan,
            services: services.clone(),
            stop: &stop,
        };
        let summary = pool_reconcile.run(options, &mut checkpoint).await?;
        let complete = summary.complete;
        remaining = remaining.map(|remaining| remaining - summary.incomplete.min(remaining));
        summaries.push(summary);
        if !complete {
            break;
        }
    }
    report(global, options, &summaries)
}

fn parse_index(name: &str) -> Result<String, &'static str> {
    if is_index_name(name) {
        Ok(name.to_owned())
    } else {
        Err("an index has 3 to 255 of a-z A-Z 0-9 _ . -")
    }
}

const NO_OWNER_ATTRIBUTE: &str = "no attribute of profiles.attributes names the owner of a profile, in a \
                     template of {sub}, {username} or both";

/// Only an attribute that names the owner finds profiles under other ids.
fn check_owner(options: &Options, config: &Config) -> anyhow::Result<()> {
    let Some(profiles) = &config.profiles else {
        return Ok(());
    };
    if profiles.owner.is_some() || options.second_profile {
        return Ok(());
    }
    if options.owner_index.is_some() {
        return Err(Usage::error(format!("--owner-index: {NO_OWNER_ATTRIBUTE}")));
    }
    status_line(&format!(
        "{NO_OWNER_ATTRIBUTE}; users who have a profile under another id are not found"
    ));
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

struct PoolReconcile<'a> {
    global: &'a Global,
    plan: ReconcilePlan,
    services: ReconcileServices,
    stop: &'a CancellationToken,
}

impl PoolReconcile<'_> {
    async fn run(
        self,
        options: &Options,
        checkpoint: &mut Checkpoint,
    ) -> anyhow::Result<PoolSummary> {
        let pool = self.plan.pool.clone();
        let saved_cursor = checkpoint
            .cursor(&self.plan)
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
        let estimate = self.services.cognito.estimate_user_count(&pool).await.ok();
        let progress = progress_bar(estimate, "users");
        let mut run = ReconcileRun::new(
            self.services.clone(),
            self.plan.clone(),
            saved_cursor.unwrap_or_default(),
        );
        if !options.dry_run {
            // A checkpoint that cannot be written stops the run before the first user is queued.
            checkpoint.save(&self.plan, run.cursor())?;
        }
        let (mut missing_profile, mut missing_group) = (0, 0);
        let retry = SharedRetry::new(options.give_up_after, self.stop);
        let mut backoff = Backoff::default();
        let complete = loop {
            if self.stop.is_cancelled() {
                break run.is_finished();
            }
            let step = match run.step().await {
                Err(failure) if may_recover(&failure) => {
                    tracing::warn!(error = %failure, "reconcile step failed, retrying");
                    let may_retry = retry.wait_to_retry(&mut backoff).await;
                    if may_retry || self.stop.is_cancelled() {
                        continue;
                    }
                    return Err(self.stopped(run.cursor(), failure));
                }
                Err(failure) => return Err(self.stopped(run.cursor(), failure)),
                Ok(step) => step,
            };
            retry.record_success();
            backoff.reset();
            match step {
                ReconcileStep::Members => progress.set_message("reading group members"),
                ReconcileStep::Owners => progress.set_message("reading profile owners"),
                ReconcileStep::Wait(at, waiting) => {
                    if waiting > 0 {
                        let waiting = plural(waiting, "message");
                        progress.set_message(format!("paused: {waiting} in the queue"));
                    }
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                ReconcileStep::Users(incomplete) => {
                    for user in &incomplete {
                        let line = user.line(&pool);
                        missing_profile += u64::from(line.missing_profile);
                        missing_group += u64::from(!line.missing_groups.is_empty());
                        if options.dry_run {
                            self.global.output.print_line(&line, || text(&line))?;
                        }
                    }
                    let Cursor { users, queued, .. } = run.cursor();
                    progress.set_position(*users);
                    progress.set_message(format!("{queued} incomplete"));
                    if !options.dry_run && !run.is_finished() {
                        checkpoint.save(&self.plan, run.cursor())?;
                    }
                }
                ReconcileStep::Done => break true,
            }
        };
        progress.finish_and_clear();
        if run.is_finished() && !options.dry_run {
            checkpoint.remove(&pool)?;
        }
        let counts = run.counts();
        let refused = run.refused();
        let queued = counts.queued.saturating_sub(refused);
        Ok(PoolSummary {
            kind: "pool",
            pool: pool.as_str().to_owned(),
            users: counts.users,
            queued: if options.dry_run { 0 } else { queued },
            refused,
            incomplete: counts.queued,
            missing_profile,
            missing_group,
            under_another_id: counts.elsewhere,
            left_out: run.cursor().elsewhere,
            complete,
            compares_profiles: self.services.profiles.is_some(),
            compares_groups: !self.plan.groups.is_empty(),
        })
    }

    fn stopped(&self, cursor: &Cursor, failure: Failure) -> anyhow::Error {
        let stopped = format!("stopped after {}", plural(cursor.users, "user"));
        let stopped = match &self.plan.search {
            OtherIdSearch::Index(owner, index) if failure.reason == Reason::TableMismatch => {
                format!(
                    "{stopped}; profiles are looked for with the index {index}, whose partition key \
                 has to be {}",
                    owner.name(),
                )
            }
            _ => stopped,
        };
        anyhow::Error::new(failure).context(stopped)
    }
}

impl PoolSummary {
    /// What users are missing, and what was not compared.
    fn describe_missing(&self) -> String {
        let mut missing = Vec::new();
        if self.compares_profiles {
            missing.push(format!("{} missing a profile", self.missing_profile));
            if self.under_another_id > 0 {
                let count = self.under_another_id;
                missing.push(format!("{count} with a profile under another id"));
            }
        }
        missing.push(if self.compares_groups || !self.compares_profiles {
            format!("{} missing a group", self.missing_group)
        } else {
            "groups not compared (--groups)".to_owned()
        });
        missing.join(", ")
    }

    fn text(&self, options: &Options) -> String {
        // Users of an external provider are not confirmed by Cognito.
        let noun = if options.include_federated {
            "user"
        } else {
            "confirmed user"
        };
        let (pool, checked) = (&self.pool, plural(self.users, noun));
        let missing = self.describe_missing();
        let end = if options.dry_run {
            format!("dry run: {} would be queued", self.incomplete)
        } else {
            format!("{} queued", self.queued)
        };
        format!("{pool}: {checked} checked: {missing}; {end}")
    }
}

/// Waiting does not renew expired credentials.
fn may_recover(failure: &Failure) -> bool {
    failure.is_transient() && failure.class != Class::Credentials
}

fn text(line: &IncompleteUserLine<'_>) -> String {
    let mut missing = line.missing_groups.clone();
    missing.extend(line.missing_profile.then_some("profile"));
    let mut found = Vec::new();
    if !missing.is_empty() {
        found.push(format!("missing {}", missing.join(", ")));
    }
    if line.under_another_id {
        found.push("profile under another id".to_owned());
    }
    format!("{}  {}", line.sub.unwrap_or("-"), found.join("; "))
}

fn report(
    global: &Global,
    options: &Options,
    summaries: &[PoolSummary],
) -> anyhow::Result<CommandStatus> {
    for summary in summaries {
        let PoolSummary {
            users,
            refused,
            left_out,
            complete,
            ..
        } = summary;
        if !complete && *users == 0 {
            status_line("stopped before any user was read");
            continue;
        }
        global
            .output
            .print_line(summary, || summary.text(options))?;
        if *refused > 0 {
            let refused = plural(*refused, "user");
            status_line(&format!(
                "{refused} could not be queued; the log has each sub"
            ));
        }
        if *left_out > 0 {
            let left_out = plural(*left_out, "user");
            status_line(&format!(
                "note: {left_out} with a profile under another id got no second one: \
                 docs/guide/amplify-migration.md says how to move it, --second-profile writes one \
                 beside it"
            ));
        }
        if !complete {
            status_line("stopped; run the same command to continue");
        }
    }
    // A dry run only reports: users who are left out do not make it a failure.
    let is_whole = |summary: &PoolSummary| {
        let leaves_out = !options.dry_run && summary.left_out > 0;
        summary.complete && summary.refused == 0 && !leaves_out
    };
    Ok(CommandStatus::success_if(summaries.iter().all(is_whole)))
}
