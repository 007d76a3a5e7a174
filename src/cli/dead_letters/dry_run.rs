//! `usher dead-letters replay --dry-run`

use std::collections::BTreeMap;

use serde::Serialize;

use super::replay::tally_line;
use super::{CommandContext, PARALLEL_RECEIVES, report_scan_end, show_hidden_count};
use crate::cli::{CommandStatus, Global, Output, print};
use crate::dead_letter::{DeadLetterSummary, DryRunResult, Filter, ReceivedDeadLetter};
use crate::telemetry::progress_bar;

#[derive(Serialize)]
struct DryRunLine<'a> {
    #[serde(flatten)]
    dead_letter: &'a DeadLetterSummary,
    would: &'a DryRunResult,
}

pub(super) async fn run(
    global: &Global,
    filter: Filter,
    context: &CommandContext,
) -> anyhow::Result<CommandStatus> {
    let mut predictor = context.services.dry_run();
    let progress = progress_bar(context.depth().await, "letters");
    let mut selection = context.select(filter, PARALLEL_RECEIVES);
    let mut tally = BTreeMap::new();
    let result = loop {
        let dead_letters = match selection
            .next(|_| true, |n| show_hidden_count(&progress, n))
            .await
        {
            Ok(Some(dead_letters)) => dead_letters,
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure.into()),
        };
        let printed = async {
            for dead_letter in dead_letters {
                if selection.is_stopped() {
                    break;
                }
                let prediction = predictor.predict(&dead_letter.message.body).await;
                *tally.entry(prediction.outcome).or_default() += 1;
                let line = line(global, &dead_letter, &prediction)?;
                progress.suspend(|| print(&line))?;
                progress.inc(1);
            }
            anyhow::Ok(())
        };
        if let Err(error) = printed.await {
            break Err(error);
        }
    };
    let end = selection.finish().await;
    progress.finish_and_clear();
    result?;
    if global.output == Output::Text {
        let would = if tally.is_empty() {
            "no letter is meant".to_owned()
        } else {
            let tally = tally_line(&tally);
            format!("\nnothing was changed; a replay would be: {tally}")
        };
        print(&(would + "\n"))?;
    }
    Ok(report_scan_end(end))
}

fn line(
    global: &Global,
    dead_letter: &ReceivedDeadLetter,
    prediction: &DryRunResult,
) -> anyhow::Result<String> {
    let mut line = match global.output {
        Output::Json => serde_json::to_string(&DryRunLine {
            dead_letter: &dead_letter.summary,
            would: prediction,
        })?,
        Output::Text => text(&dead_letter.summary, prediction),
    };
    line.push('\n');
    Ok(line)
}

fn text(dead_letter: &DeadLetterSummary, prediction: &DryRunResult) -> String {
    let mut line = format!(
        "{}  {:<20}  {}",
        dead_letter.id, dead_letter.reason, prediction.outcome
    );
    if !prediction.reason.is_empty() {
        line = format!("{line}: {}", prediction.reason);
    }
    if !prediction.missing.is_empty() {
        line = format!("{line}: lacks {}", prediction.missing.join(", "));
    }
    line
}
