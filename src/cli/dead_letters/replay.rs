//! `usher dead-letters replay`

use std::collections::BTreeMap;
use std::fmt::Display;

use anyhow::bail;
use serde::Serialize;

use super::context::{
    BAR_LABEL, ChangeOptions, CommandContext, FILTER_OPTIONS, MAX_REASON_WIDTH, PARALLEL_RECEIVES,
    SINGLE_RECEIVE, letters, show_hidden_count,
};
use crate::aws::MoveTask;
use crate::cli::{
    CommandStatus, Global, Output, arguments, print, progress_bar, status_line, table,
};
use crate::config::Required;
use crate::dead_letter::{
    DeadLetterSummary, DryRunResult, DryRunTally, Filter, NativeRedrive, NativeRedriveResult,
    ReasonCounts, Replay, ReplayReport, ReplayResult, ReplayTally, ReplayTarget, ScanReport,
    SelectionEnd, fails_again, short_id,
};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher dead-letters replay --dry-run
  usher dead-letters replay --reason throttled --since 2h
  usher dead-letters replay 91e29d26 --direct")]
pub(super) struct Options {
    #[command(flatten)]
    change: ChangeOptions,
    /// Provision here, instead of sending to the source queue
    #[arg(long)]
    direct: bool,
    /// Predict the outcome of each; nothing is sent or deleted
    #[arg(long, conflicts_with_all = ["direct", "native"])]
    dry_run: bool,
    /// At most this many a second [default and maximum: one worker's rate]
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Let SQS move all dead letters back (SQS redrive)
    #[arg(long, conflicts_with_all = ["ids", "direct"], conflicts_with_all = FILTER_OPTIONS)]
    native: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let change = &options.change;
    let filter = if options.dry_run {
        change.filter()
    } else if options.native {
        arguments::require_terminal_or_yes(change.yes)?;
        Filter::default()
    } else {
        change.filter_of_change()?
    };
    let required = if options.direct || options.dry_run {
        Required::Profiles
    } else {
        Required::Queue
    };
    let context = CommandContext::open(global, &[required]).await?;
    if options.dry_run {
        return dry_run(global, filter, &context).await;
    }
    let rate = rate(options, &context);
    // An id must mean one dead letter, and a person is asked with the counts at hand.
    let filter = if change.yes && filter.ids.is_empty() {
        filter
    } else {
        match confirm(options, filter, &context).await? {
            Confirmation::Replay(filter) => filter,
            Confirmation::Nothing(seen) => {
                let counts = ReplayCounts::default();
                global.output.print(&counts, || seen.no_match())?;
                return Ok(seen.print_end());
            }
            Confirmation::No => return Ok(CommandStatus::Failure),
        }
    };
    if options.native {
        return native(global, &context, rate).await;
    }
    let target = if options.direct {
        let provisioner = Box::new(context.services.provisioner());
        ReplayTarget::Direct(provisioner, context.dead_letter_queue.clone())
    } else {
        ReplayTarget::Queue(context.services.queue()?)
    };
    let audit = context.audit("replay").await;
    let progress = progress_bar(context.count().await, BAR_LABEL);
    let selection = context.select(filter, SINGLE_RECEIVE);
    let replayed = Replay::new(target, rate, audit)
        .run(selection, |step| {
            progress.set_position(step.seen);
            progress.set_message(tally_line(step.tally));
            show_hidden_count(&progress, step.hidden_elsewhere);
            // A person who was asked has seen it.
            if change.yes && !step.hopeless.is_empty() {
                status_line(&format!("warning: {}", fails_again(&step.hopeless)));
            }
        })
        .await;
    progress.finish_and_clear();
    report(global, replayed)
}

enum Confirmation {
    /// With full ids.
    Replay(Filter),
    /// No dead letter matches.
    Nothing(ScanReport),
    No,
}

async fn confirm(
    options: &Options,
    filter: Filter,
    context: &CommandContext,
) -> anyhow::Result<Confirmation> {
    let mut scan = context.scan(filter.clone(), PARALLEL_RECEIVES).await;
    let matched = scan.collect().await;
    let report = scan.finish().await;
    if matched.is_err() || report.end == SelectionEnd::Stopped {
        report.print_end();
    }
    let matched = matched?;
    if report.end == SelectionEnd::Stopped {
        return Ok(Confirmation::No);
    }
    if matched.is_empty() {
        return Ok(Confirmation::Nothing(report));
    }
    let counts = ReasonCounts::of(&matched);
    let total = letters(counts.total());
    let hopeless = ReasonCounts::of(matched.iter().filter(|it| it.is_hopeless()));
    let question = match (options.direct, hopeless.total()) {
        (true, _) => format!("Provision {total} here?"),
        (false, 0) => format!("Send {total} to the source queue?"),
        (false, _) => format!(
            "{}\nSend {total} anyway?",
            fails_again(&hopeless.describe())
        ),
    };
    if !options.change.confirm(&counts, &question, context).await {
        return Ok(Confirmation::No);
    }
    let ids: Vec<String> = if filter.ids.is_empty() {
        Vec::new()
    } else {
        matched.into_iter().map(|it| it.id).collect()
    };
    // The end of a selection by id is known.
    let limit = (!ids.is_empty()).then_some(ids.len() as u64);
    Ok(Confirmation::Replay(Filter {
        limit: limit.or(filter.limit),
        ids,
        ..filter
    }))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate: &f64| rate.is_finite() && *rate >= 0.01)
        .ok_or_else(|| "must be a number of 0.01 or more".to_owned())
}

/// Dead letters a second, at most as many as a worker may provision.
fn rate(options: &Options, context: &CommandContext) -> f64 {
    let max_rate = context.services.config.sign_up_rate();
    let rate = options.rate.unwrap_or(max_rate);
    if rate > max_rate {
        status_line(&format!(
            "--rate {rate} is above the worker's limit of {max_rate} a second (quota.user_update divided by the number of groups.default)"
        ));
    }
    rate.min(max_rate)
}

/// The number of dead letters with each result; those of a failure by its reason.
#[derive(Debug, Default, Serialize)]
struct ReplayCounts {
    queued: u64,
    done: u64,
    already_done: u64,
    ignored: u64,
    failed_again: BTreeMap<String, u64>,
    left: BTreeMap<String, u64>,
    not_deleted: u64,
    back: BTreeMap<String, u64>,
}

impl ReplayCounts {
    fn new(tally: &ReplayTally, returned: &ReasonCounts) -> Self {
        let mut counts = Self::default();
        for (result, count) in tally {
            let of_result = match result {
                ReplayResult::Queued => &mut counts.queued,
                ReplayResult::Done => &mut counts.done,
                ReplayResult::AlreadyDone => &mut counts.already_done,
                ReplayResult::Ignored => &mut counts.ignored,
                ReplayResult::NotDeleted => &mut counts.not_deleted,
                ReplayResult::FailedAgain(reason) => {
                    counts.failed_again.entry(reason.to_string()).or_default()
                }
                ReplayResult::Unchanged(reason) => {
                    counts.left.entry(reason.to_string()).or_default()
                }
            };
            *of_result += count;
        }
        let back = returned.by_frequency().into_iter();
        counts.back = back
            .map(|(reason, group)| (reason.to_owned(), group.count))
            .collect();
        counts
    }
}

fn report(global: &Global, replayed: ReplayReport) -> anyhow::Result<CommandStatus> {
    let text = replayed.to_string();
    let all_succeeded = replayed.is_success();
    let ReplayReport {
        tally,
        end,
        failure,
        newer,
        returned,
        seen,
    } = replayed;
    if newer > 0 {
        status_line(&format!("{} arrived during this run", letters(newer)));
    }
    let counts = ReplayCounts::new(&tally, &returned);
    let scan = ScanReport { end, seen };
    global.output.print(&counts, || {
        if tally.is_empty() {
            scan.no_match()
        } else {
            text
        }
    })?;
    if let Some(failure) = failure {
        bail!("stopped: {failure}; the other dead letters are unchanged");
    }
    let status = scan.print_end();
    Ok(if all_succeeded {
        status
    } else {
        CommandStatus::Failure
    })
}

fn tally_line<T: Display>(tally: &BTreeMap<T, u64>) -> String {
    let parts: Vec<String> = tally
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    parts.join(", ")
}

#[derive(Serialize)]
struct DryRunLine<'a> {
    #[serde(flatten)]
    dead_letter: &'a DeadLetterSummary,
    would: &'a DryRunResult,
}

async fn dry_run(
    global: &Global,
    filter: Filter,
    context: &CommandContext,
) -> anyhow::Result<CommandStatus> {
    let predictor = context.services.dry_run()?;
    let mut scan = context.scan(filter, PARALLEL_RECEIVES).await;
    let mut matched = Vec::new();
    let mut tally = DryRunTally::default();
    let result = scan
        .for_each(async |selection, dead_letters| {
            for dead_letter in dead_letters {
                if selection.is_stopped() {
                    break;
                }
                let would = predictor.predict(&dead_letter.message.body).await;
                let dead_letter = dead_letter.summary;
                if global.output == Output::Json {
                    let line = DryRunLine {
                        dead_letter: &dead_letter,
                        would: &would,
                    };
                    print(&serde_json::to_string(&line)?)?;
                } else if global.verbose {
                    let (id, reason) = (short_id(&dead_letter.id), &dead_letter.reason);
                    print(&format!("{id}  {reason:<20}  {}", detail(reason, &would)))?;
                }
                tally.add(&dead_letter.reason, &would);
                matched.push(dead_letter);
            }
            Ok(())
        })
        .await;
    let checked = scan.selection.check_ids(&matched);
    let report = scan.finish().await;
    result?;
    checked.map_err(anyhow::Error::msg)?;
    if global.output == Output::Text {
        if tally.rows.is_empty() {
            print(&report.no_match())?;
        } else {
            let header = ["reason", " count", "prediction"].map(str::to_owned);
            let rows = tally.rows.into_iter();
            let rows =
                rows.map(|((reason, outcome), count)| [reason, format!("{count:>6}"), outcome]);
            let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
            let gap = if global.verbose { "\n" } else { "" };
            let table = table(&rows, MAX_REASON_WIDTH);
            print(&format!(
                "{gap}{table}\ndry run: {}",
                tally_line(&tally.outcomes)
            ))?;
        }
    }
    Ok(report.print_end())
}

/// The prediction for one dead letter.
fn detail(reason: &str, would: &DryRunResult) -> String {
    let mut missing = would.missing_groups.clone();
    missing.extend(would.missing_profile.then(|| "profile".to_owned()));
    match would.outcome {
        "done" if missing.is_empty() => format!("would run {}", would.reason),
        "done" => format!("would add {}", missing.join(", ")),
        _ => would.describe(reason),
    }
}

/// SQS's own redrive.
async fn native(
    global: &Global,
    context: &CommandContext,
    rate: f64,
) -> anyhow::Result<CommandStatus> {
    let source = context.services.queue()?.attributes().await?;
    let dead_letters = context.dead_letter_queue.attributes().await?;
    #[expect(clippy::cast_possible_truncation, reason = "between 1 and 500")]
    let rate = rate.floor().clamp(1.0, 500.0) as i32;
    let audit = context.audit("native replay").await;
    let task = NativeRedrive {
        moves: context.services.move_tasks(context.dead_letter_queue.url()),
        from_arn: dead_letters.arn,
        to_arn: source.arn,
        rate,
    };
    let total = dead_letters.depth.visible + dead_letters.depth.hidden;
    if context.stop.is_cancelled() {
        status_line("stopped; nothing was moved");
        return Ok(CommandStatus::Failure);
    }
    // SQS does not say which messages it moves, so the audit line names only the queue.
    let total_known = i64::try_from(total).unwrap_or(i64::MAX);
    audit.log_queue(context.dead_letter_queue.url(), total_known, "asked for");
    let progress = progress_bar(Some(total), BAR_LABEL);
    let moved = task
        .run(&context.stop, |task| {
            progress.set_position(u64::try_from(task.moved).unwrap_or(0));
        })
        .await;
    progress.finish_and_clear();
    let task = match moved? {
        NativeRedriveResult::AlreadyRunning(task) => bail!(
            "SQS is already moving dead letters of this queue: {} of about {}; wait for it or cancel it",
            task.moved,
            task.total.unwrap_or(0),
        ),
        NativeRedriveResult::Ended(task) => task,
    };
    audit.log_queue(context.dead_letter_queue.url(), task.moved, &task.status);
    let MoveTask {
        status,
        moved,
        failure_reason: failure,
        ..
    } = &task;
    let result = serde_json::json!({"status": status, "moved": moved, "error": failure});
    global.output.print(&result, || {
        let moved = letters(u64::try_from(*moved).unwrap_or(0));
        format!("{}: {moved} moved", status.to_lowercase())
    })?;
    if let Some(failure) = failure {
        status_line(&format!("SQS says: {failure}"));
    }
    Ok(CommandStatus::success_if(status == "COMPLETED"))
}
