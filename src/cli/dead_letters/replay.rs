//! `usher dead-letters replay`

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::bail;

use super::{
    CommandContext, FilterOptions, SINGLE_RECEIVE, dry_run, native, report_scan_end,
    show_hidden_count,
};
use crate::cli::{CommandStatus, Global, Output, print, print_json};
use crate::dead_letter::{Replay, ReplayReport, ReplayResult, ReplayTarget};
use crate::telemetry::{progress_bar, status_line};

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
    let context = CommandContext::open(global).await?;
    if options.dry_run {
        return dry_run::run(global, options.filter.filter(), &context).await;
    }
    let rate = rate(options, &context);
    if options.native {
        return native::run(global, &context, rate).await;
    }
    let target = if options.direct {
        let provisioner = Box::new(context.services.provisioner());
        ReplayTarget::Direct(provisioner, context.dead_letters.clone())
    } else {
        ReplayTarget::Queue(context.source.clone())
    };
    let audit = context.audit("replay").await;
    let progress = progress_bar(context.depth().await, "letters");
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
    match options.rate {
        Some(rate) if rate > max_rate => {
            status_line(&format!(
                "--rate {rate} is more than the worker may make of it: {max_rate} letters a second (quota.user_update for each of groups.default)"
            ));
            max_rate
        }
        Some(rate) => rate,
        None => max_rate,
    }
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
    match global.output {
        Output::Json => {
            let counts: BTreeMap<String, u64> = tally
                .iter()
                .map(|(result, count)| (result.to_string(), *count))
                .collect();
            print_json(&counts)?;
        }
        Output::Text if tally.is_empty() => print("no letter replayed\n")?,
        Output::Text => {
            let mut text = String::new();
            for (result, count) in &tally {
                writeln!(text, "{count:>8}  {result}")?;
            }
            print(&text)?;
        }
    }
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

pub(super) fn tally_line<T: std::fmt::Display>(tally: &BTreeMap<T, u64>) -> String {
    let parts: Vec<String> = tally
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    parts.join(", ")
}
