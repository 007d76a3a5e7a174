//! `usher dead-letters replay`

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use anyhow::bail;

use super::{
    CommandContext, FilterOptions, SINGLE_RECEIVE, dry_run, native, report_scan_end,
    show_hidden_count,
};
use crate::aws::Directory;
use crate::cli::{CommandStatus, Global, Output, print, print_json};
use crate::dead_letter::{Replay, ReplayReport, ReplayResult, ReplayTarget};
use crate::provision::Provisioner;
use crate::quota::Quota;
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
    let desk = CommandContext::open(global).await?;
    if options.dry_run {
        return dry_run::run(global, options.filter.filter(), &desk).await;
    }
    let rate = rate(options, &desk);
    if options.native {
        return native::run(global, &desk, rate).await;
    }
    let quota = Arc::new(Quota::new(desk.config.quota));
    let way = if options.direct {
        let directory = Directory::new(&desk.aws, quota);
        let provisioner = Provisioner::new(&desk.config, directory, desk.profiles());
        ReplayTarget::Direct(Box::new(provisioner), desk.dead_letters.clone())
    } else {
        ReplayTarget::Queue(desk.source.clone())
    };
    let audit = desk.audit("replay").await;
    let progress = progress_bar(desk.depth().await, "letters");
    let selection = desk.select(options.filter.filter(), SINGLE_RECEIVE);
    let replayed = Replay::new(way, rate, audit)
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

/// No more than the worker may make.
fn rate(options: &Options, desk: &CommandContext) -> f64 {
    let most = desk.config.sign_up_rate();
    match options.rate {
        Some(rate) if rate > most => {
            status_line(&format!(
                "--rate {rate} is more than the worker may make of it: {most} letters a second (quota.user_update for each of groups.default)"
            ));
            most
        }
        Some(rate) => rate,
        None => most,
    }
}

fn report(global: &Global, replayed: ReplayReport) -> anyhow::Result<CommandStatus> {
    let ReplayReport {
        tally,
        end: ended,
        failure,
        newer,
    } = replayed;
    if newer > 0 {
        status_line(&format!(
            "{newer} letters are newer than this run and were left alone: they came back from it, or came meanwhile"
        ));
    }
    match global.output {
        Output::Json => {
            let counts: BTreeMap<String, u64> = tally
                .iter()
                .map(|(became, count)| (became.to_string(), *count))
                .collect();
            print_json(&counts)?;
        }
        Output::Text if tally.is_empty() => print("no letter replayed\n")?,
        Output::Text => {
            let mut text = String::new();
            for (became, count) in &tally {
                writeln!(text, "{count:>8}  {became}")?;
            }
            print(&text)?;
        }
    }
    if let Some(failure) = failure {
        bail!("stopped: {failure}; the other letters are as they were");
    }
    // A letter that is there still, or again, is work that failed.
    let well = tally.keys().all(ReplayResult::is_success);
    let ended = report_scan_end(ended);
    Ok(if well { ended } else { CommandStatus::Failure })
}

pub(super) fn tally_line<T: std::fmt::Display>(tally: &BTreeMap<T, u64>) -> String {
    let parts: Vec<String> = tally
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    parts.join(", ")
}
