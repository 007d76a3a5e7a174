//! `usher dead-letters replay`

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use anyhow::bail;
use serde::Serialize;

use super::context::{
    CommandContext, FilterOptions, PARALLEL_RECEIVES, SINGLE_RECEIVE, report_scan_end,
    show_hidden_count,
};
use crate::aws::MoveTask;
use crate::cli::{CommandStatus, Global, Output, print, progress_bar, status_line, table};
use crate::config::Required;
use crate::dead_letter::{
    DeadLetterSummary, DryRunResult, Filter, NativeRedrive, NativeRedriveResult, Replay,
    ReplayReport, ReplayResult, ReplayTarget, SelectionEnd,
};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    filter: FilterOptions,
    /// Provisions here and now instead of through the source queue
    #[arg(long)]
    direct: bool,
    /// Says what would become of each letter, and changes nothing
    #[arg(long, conflicts_with_all = ["direct", "native"])]
    dry_run: bool,
    /// Letters a second; what the worker's quota allows unless given, and never
    /// more than that
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    rate: Option<f64>,
    /// SQS's own redrive: all letters, as they are
    #[arg(long, conflicts_with_all = ["direct", "reason", "since", "before", "pool", "sub", "limit"])]
    native: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let required = if options.direct || options.dry_run {
        Required::Profiles
    } else {
        Required::Queue
    };
    let context = CommandContext::open(global, &[required]).await?;
    if options.dry_run {
        return dry_run(global, options.filter.filter(), &context).await;
    }
    let rate = rate(options, &context);
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
    let progress = context.progress_bar().await;
    let selection = context.select(options.filter.filter(), SINGLE_RECEIVE);
    let replayed = Replay::new(target, rate, audit)
        .run(selection, |step| {
            progress.set_position(step.seen);
            progress.set_message(tally_line(step.tally));
            show_hidden_count(&progress, step.hidden_elsewhere);
        })
        .await;
    progress.finish_and_clear();
    report(global, replayed)
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
            "--rate {rate} is more than the worker may make of it: {max_rate} letters a second (quota.user_update for each of groups.default)"
        ));
    }
    rate.min(max_rate)
}

fn report(global: &Global, replayed: ReplayReport) -> anyhow::Result<CommandStatus> {
    let ReplayReport {
        tally,
        end,
        failure,
        skipped,
    } = replayed;
    if skipped > 0 {
        status_line(&format!(
            "{skipped} letters are newer than this run and were left alone: they came back from it, or came meanwhile"
        ));
    }
    let counts: BTreeMap<String, u64> = tally
        .iter()
        .map(|(result, count)| (result.to_string(), *count))
        .collect();
    global.output.print(&counts, || {
        if tally.is_empty() {
            return "no letter replayed".to_owned();
        }
        let rows = tally.iter();
        let rows = rows.map(|(result, count)| [format!("{count:>8}"), result.to_string()]);
        table(&rows.collect::<Vec<_>>(), usize::MAX)
    })?;
    if let Some(failure) = failure {
        bail!("stopped: {failure}; the other letters are as they were");
    }
    // A dead letter that stays, or came back, is a failure.
    let all_succeeded = tally.keys().all(ReplayResult::is_success);
    let status = report_scan_end(end);
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
    let mut predictor = context.services.dry_run()?;
    let mut scan = context.scan(filter, PARALLEL_RECEIVES).await;
    let mut tally = BTreeMap::new();
    let result = scan
        .for_each(async |selection, dead_letters| {
            for dead_letter in dead_letters {
                if selection.is_stopped() {
                    break;
                }
                let would = predictor.predict(&dead_letter.message.body).await;
                *tally.entry(would.outcome).or_default() += 1;
                let line = DryRunLine {
                    dead_letter: &dead_letter.summary,
                    would: &would,
                };
                global.output.print_line(&line, || line.text())?;
            }
            Ok(())
        })
        .await;
    let end = scan.finish().await;
    result?;
    if global.output == Output::Text {
        let would = if tally.is_empty() {
            "no letter is meant".to_owned()
        } else {
            let tally = tally_line(&tally);
            format!("\nnothing was changed; a replay would be: {tally}")
        };
        print(&would)?;
    }
    Ok(report_scan_end(end))
}

impl DryRunLine<'_> {
    fn text(&self) -> String {
        let Self { dead_letter, would } = self;
        let mut line = format!(
            "{}  {:<20}  {}",
            dead_letter.id, dead_letter.reason, would.outcome
        );
        if !would.reason.is_empty() {
            let _ = write!(line, ": {}", would.reason);
        }
        if !would.missing.is_empty() {
            let _ = write!(line, ": lacks {}", would.missing.join(", "));
        }
        line
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
        return Ok(report_scan_end(SelectionEnd::Stopped));
    }
    // SQS does not say which messages it moves, so the audit line names only the queue.
    let total_known = i64::try_from(total).unwrap_or(i64::MAX);
    audit.log_queue(context.dead_letter_queue.url(), total_known, "asked for");
    let progress = progress_bar(Some(total), "letters");
    let moved = task
        .run(&context.stop, |task| {
            progress.set_position(u64::try_from(task.moved).unwrap_or(0));
        })
        .await;
    progress.finish_and_clear();
    let task = match moved? {
        NativeRedriveResult::AlreadyRunning(task) => bail!(
            "SQS is moving letters of this queue already: {} of about {}; wait for it or cancel it",
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
    let result = serde_json::json!({"status": status, "moved": moved, "failure": failure});
    global.output.print(&result, || {
        format!("{}: {moved} letters moved", status.to_lowercase())
    })?;
    if let Some(failure) = failure {
        status_line(&format!("SQS says: {failure}"));
    }
    Ok(CommandStatus::success_if(status == "COMPLETED"))
}
