//! `usher reconcile`

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Ended, Global, Output, Usage, print, time};
use crate::aws::{Aws, Class, Failure, Listing, Profiles, Queue};
use crate::config::{Config, is_index};
use crate::event::{Cursor, PoolId};
use crate::quota::Quota;
use crate::reconcile::{Checkpoint, LackingLine, Plan, Run, Search, Services, Step};
use crate::retry::{Patience, Transient};
use crate::shutdown;
use crate::telemetry::{bar, note};

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Options {
    /// User pool; those of pools.allowed unless given; may be repeated
    #[arg(long, value_name = "ID")]
    pool: Vec<String>,
    /// Compare memberships in the default groups, too: for the first run in a pool that has
    /// records already, and after a group was added to groups.default
    #[arg(long)]
    groups: bool,
    /// Users of an external provider, too
    #[arg(long)]
    include_federated: bool,
    /// Index of the profile table by the owner of a record, to find records under other ids
    /// with; `profiles.owner_index` unless given. Without one the whole table is read
    #[arg(long, value_name = "NAME", value_parser = index)]
    owner_index: Option<String>,
    /// Writes a second record for a user who has one under another id than their sub
    #[arg(long, conflicts_with = "owner_index")]
    force: bool,
    /// Only users created at this time or later: a time, a day, or how long ago
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    since: Option<jiff::Timestamp>,
    /// Queues no more users than this
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Says who lacks what, and queues nobody
    #[arg(long)]
    dry_run: bool,
    /// Waits while more messages than this are on the queue, so that live
    /// sign-ups need not; 0 never waits
    #[arg(long, value_name = "N", default_value_t = 1000)]
    backlog: u64,
    /// Where a run that was stopped is taken up again
    #[arg(long, value_name = "FILE", default_value = "usher-reconcile.json")]
    checkpoint: PathBuf,
    /// Begins anew, whatever the checkpoint says
    #[arg(long)]
    restart: bool,
}

/// What a run found in one pool.
#[derive(Debug, Default, Serialize)]
struct Summary {
    pool: String,
    users: u64,
    queued: u64,
    refused: u64,
    #[serde(skip)]
    lacking: u64,
    lack_profile: u64,
    lack_group: u64,
    /// Users who have a record under another id than their `sub`, and get no second one.
    elsewhere: u64,
    /// The same with those from before the run was stopped.
    #[serde(skip)]
    left_out: u64,
    complete: bool,
    #[serde(skip)]
    compared: Compared,
}

/// What a run looked for.
#[derive(Debug, Clone, Copy, Default)]
struct Compared {
    records: bool,
    groups: bool,
}

const GLANCE: Duration = Duration::from_secs(1);
const ELSEWHERE: &str = "has a profile under another id";

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<Ended> {
    let config = global.config()?;
    let stop = shutdown::on_signal(&global.at_once)?;
    let pools = pools(options, &config)?;
    let mut checkpoint = if options.dry_run {
        Checkpoint::empty(&options.checkpoint)
    } else {
        Checkpoint::open(&options.checkpoint)?
    };
    let aws = Aws::from_environment().await?;
    let quota = Arc::new(Quota::new(config.quota));
    let settings = &config.queue;
    check_owner(options, &config)?;
    let services = Services {
        listing: Listing::new(&aws, quota),
        profiles: config
            .profiles
            .as_ref()
            .map(|profiles| Profiles::new(&aws, &profiles.table, &profiles.key)),
        queue: Queue::new(&aws, &settings.url, GLANCE, settings.visibility),
    };
    let mut summaries = Vec::new();
    let mut left = options.limit;
    for pool in pools {
        if left == Some(0) {
            break;
        }
        let plan = Plan {
            pool,
            groups: Plan::groups_to_compare(&config, options.groups),
            table: config.profiles.as_ref().map(|it| it.table.clone()),
            search: Plan::search(&config, options.owner_index.as_deref(), options.force),
            include_federated: options.include_federated,
            since: options.since,
            limit: left,
            backlog: (options.backlog > 0).then_some(options.backlog),
            dry_run: options.dry_run,
            rate: config.sign_up_rate(),
        };
        let walk = Walk {
            global,
            plan,
            services: services.clone(),
            stop: &stop,
        };
        let summary = walk.run(options, &mut checkpoint).await?;
        let complete = summary.complete;
        left = left.map(|left| left - summary.lacking.min(left));
        summaries.push(summary);
        if !complete {
            break;
        }
    }
    report(global, options, &summaries)
}

fn index(name: &str) -> Result<String, &'static str> {
    if is_index(name) {
        Ok(name.to_owned())
    } else {
        Err("an index has 3 to 255 of a-z A-Z 0-9 _ . -")
    }
}

const NAMED: &str = "no attribute of profiles.attributes names the owner of a record, in a \
                     template of {sub}, {username} or both";

/// Without an attribute that names the owner, records under other ids cannot be known.
fn check_owner(options: &Options, config: &Config) -> anyhow::Result<()> {
    let Some(profiles) = &config.profiles else {
        return Ok(());
    };
    if profiles.owner.is_some() || options.force {
        return Ok(());
    }
    if options.owner_index.is_some() {
        return Err(Usage::error(format!("--owner-index: {NAMED}")));
    }
    note(&format!(
        "{NAMED}; users who have a record under another id are not found"
    ));
    Ok(())
}

fn pools(options: &Options, config: &Config) -> anyhow::Result<Vec<PoolId>> {
    if options.pool.is_empty() {
        if config.pools.allowed.is_empty() {
            return Err(Usage::error(
                "pools.allowed is empty: name a user pool with --pool",
            ));
        }
        return Ok(config.pools.allowed.iter().cloned().collect());
    }
    let pools = options.pool.iter().map(|id| {
        let pool = PoolId::new(id).ok_or_else(|| Usage::error("--pool: not the id of a user pool"))?;
        if !config.pools.accept(&pool) {
            return Err(Usage::error(format!(
                "--pool {id} is not in pools.allowed: the worker would make dead letters of its sign-ups (foreign_pool)"
            )));
        }
        Ok(pool)
    });
    let pools: BTreeSet<PoolId> = pools.collect::<anyhow::Result<_>>()?;
    Ok(pools.into_iter().collect())
}

struct Walk<'a> {
    global: &'a Global,
    plan: Plan,
    services: Services,
    stop: &'a CancellationToken,
}

impl Walk<'_> {
    async fn run(self, options: &Options, checkpoint: &mut Checkpoint) -> anyhow::Result<Summary> {
        let pool = self.plan.pool.clone();
        let saved = checkpoint
            .cursor(&self.plan)
            .filter(|_| !options.restart && !options.dry_run)
            .cloned();
        if let Some(cursor) = &saved {
            note(&format!(
                "goes on after {} users, as {} says; --restart begins anew",
                cursor.users,
                options.checkpoint.display()
            ));
        }
        // Only for the bar: a role that may not ask has one without an end.
        let estimate = self.services.listing.estimate(&pool).await.ok();
        let progress = bar(estimate.filter(|users| *users > 0), "users");
        let mut run = Run::new(
            self.services.clone(),
            self.plan.clone(),
            saved.unwrap_or_default(),
        );
        if !options.dry_run {
            // Before anybody is queued: a file that cannot be written stops it here.
            checkpoint.save(&self.plan, run.cursor())?;
        }
        let mut summary = Summary {
            pool: pool.as_str().to_owned(),
            compared: Compared {
                records: self.services.profiles.is_some(),
                groups: !self.plan.groups.is_empty(),
            },
            ..Summary::default()
        };
        let mut pace = Patience::default();
        while !self.stop.is_cancelled() {
            let step = match run.step().await {
                Err(failure) if is_passing(&failure) => {
                    tracing::warn!(error = %failure, "tried again in a moment");
                    tokio::select! {
                        () = tokio::time::sleep(pace.next_pause()) => {}
                        () = self.stop.cancelled() => {}
                    }
                    continue;
                }
                Err(failure) => return Err(self.stopped(run.cursor(), failure)),
                Ok(step) => step,
            };
            pace.reset();
            match step {
                Step::Members => progress.set_message("reading the members of the groups"),
                Step::Owners => progress.set_message("reading the owners of the records"),
                Step::Later(at, waiting) => {
                    if waiting > 0 {
                        progress.set_message(format!("{waiting} messages wait; so do we"));
                    }
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                Step::Users(lacking) => {
                    for user in &lacking {
                        let line = user.line(&pool);
                        summary.lack_profile += u64::from(line.lacks_profile);
                        summary.lack_group += u64::from(!line.lacks_groups.is_empty());
                        if options.dry_run {
                            let text = match self.global.output {
                                Output::Json => serde_json::to_string(&line)?,
                                Output::Text => text(&line),
                            };
                            progress.suspend(|| print(&(text + "\n")))?;
                        }
                    }
                    show(&progress, run.cursor());
                    if !options.dry_run && !run.is_through() {
                        checkpoint.save(&self.plan, run.cursor())?;
                    }
                }
                Step::Done => {
                    summary.complete = true;
                    break;
                }
            }
        }
        progress.finish_and_clear();
        summary.complete |= run.is_through();
        let counted = run.counted();
        summary.users = counted.users;
        summary.lacking = counted.queued;
        summary.elsewhere = counted.elsewhere;
        summary.left_out = run.cursor().elsewhere;
        summary.refused = run.refused();
        summary.queued = if options.dry_run {
            0
        } else {
            summary.lacking.saturating_sub(summary.refused)
        };
        if run.is_through() && !options.dry_run {
            checkpoint.forget(&pool)?;
        }
        Ok(summary)
    }

    fn stopped(&self, cursor: &Cursor, failure: Failure) -> anyhow::Error {
        let stopped = format!("stopped after {} users", cursor.users);
        let stopped = match &self.plan.search {
            Search::Index(owner, index) if failure.reason == "table_mismatch" => format!(
                "{stopped}; records are looked for with the index {index}, whose partition key \
                 has to be {}",
                owner.attribute(),
            ),
            _ => stopped,
        };
        anyhow::Error::new(failure).context(stopped)
    }
}

impl Summary {
    /// Only what was looked for.
    fn lack(&self) -> String {
        let profile = match self.elsewhere {
            0 => format!("{} lack a profile", self.lack_profile),
            elsewhere => format!(
                "{} lack a profile, {elsewhere} have a profile under another id",
                self.lack_profile
            ),
        };
        let group = format!("{} lack a group", self.lack_group);
        match self.compared {
            Compared {
                records: true,
                groups: true,
            } => format!("{profile}, {group}"),
            Compared { records: true, .. } => profile,
            _ => group,
        }
    }
}

/// Credentials that ran out do not come back by waiting.
fn is_passing(failure: &Failure) -> bool {
    failure.is_transient() && failure.class != Class::Credentials
}

fn show(progress: &ProgressBar, cursor: &Cursor) {
    progress.set_position(cursor.users);
    progress.set_message(format!("{} lack something", cursor.queued));
}

fn text(line: &LackingLine<'_>) -> String {
    let profile = line.lacks_profile.then_some("a profile");
    let groups = line.lacks_groups.iter().copied();
    let lacks: Vec<&str> = groups.chain(profile).collect();
    let lacks = (!lacks.is_empty()).then(|| format!("lacks {}", lacks.join(", ")));
    let elsewhere = line.record_elsewhere.then(|| ELSEWHERE.to_owned());
    let all: Vec<String> = lacks.into_iter().chain(elsewhere).collect();
    format!("{}  {}", line.sub.unwrap_or("(no sub)"), all.join("; "))
}

fn report(global: &Global, options: &Options, summaries: &[Summary]) -> anyhow::Result<Ended> {
    for summary in summaries {
        let Summary {
            pool,
            users,
            queued,
            refused,
            left_out,
            complete,
            ..
        } = summary;
        match global.output {
            Output::Json if options.dry_run => {}
            Output::Json => print(&(serde_json::to_string(summary)? + "\n"))?,
            Output::Text => print(&format!(
                "{pool}: {users} users checked, {}; {queued} queued\n",
                summary.lack()
            ))?,
        }
        if *refused > 0 {
            note(&format!(
                "{refused} users could not be queued: the log says who"
            ));
        }
        if *left_out > 0 {
            note(&format!(
                "{left_out} users have a profile under another id than their sub and get no \
                 second one: docs/AMPLIFY-MIGRATION.md says how to move it, --force writes one \
                 beside it"
            ));
        }
        if !complete {
            note("stopped before the end; run it again to go on");
        }
    }
    // A dry run was asked only to look.
    let is_whole = |summary: &Summary| {
        let leaves_out = !options.dry_run && summary.left_out > 0;
        summary.complete && summary.refused == 0 && !leaves_out
    };
    Ok(if summaries.iter().all(is_whole) {
        Ended::Well
    } else {
        Ended::Badly
    })
}
