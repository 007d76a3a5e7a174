//! `usher dead-letters replay --dry-run`

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::replay::tally_line;
use super::{CommandContext, PARALLEL_RECEIVES, report_scan_end, show_hidden_count};
use crate::aws::{Directory, Listing};
use crate::cli::{CommandStatus, Global, Output, print};
use crate::dead_letter::{DeadLetterSummary, DryRun, DryRunResult, Filter, HeldDeadLetter};
use crate::quota::Quota;
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
    desk: &CommandContext,
) -> anyhow::Result<CommandStatus> {
    let quota = Arc::new(Quota::new(desk.config.quota));
    let mut judge = DryRun::new(
        &desk.config,
        Directory::new(&desk.aws, Arc::clone(&quota)),
        Listing::new(&desk.aws, quota),
        desk.profiles(),
    );
    let progress = progress_bar(desk.depth().await, "letters");
    let mut selection = desk.select(filter, PARALLEL_RECEIVES);
    let mut tally = BTreeMap::new();
    let result = loop {
        let letters = match selection
            .next(|_| true, |n| show_hidden_count(&progress, n))
            .await
        {
            Ok(Some(letters)) => letters,
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure.into()),
        };
        let judged = async {
            for letter in letters {
                if selection.is_stopped() {
                    break;
                }
                let verdict = judge.predict(&letter.message.body).await;
                *tally.entry(verdict.outcome).or_default() += 1;
                let line = line(global, &letter, &verdict)?;
                progress.suspend(|| print(&line))?;
                progress.inc(1);
            }
            anyhow::Ok(())
        };
        if let Err(error) = judged.await {
            break Err(error);
        }
    };
    let ended = selection.finish().await;
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
    Ok(report_scan_end(ended))
}

fn line(
    global: &Global,
    letter: &HeldDeadLetter,
    verdict: &DryRunResult,
) -> anyhow::Result<String> {
    let mut line = match global.output {
        Output::Json => serde_json::to_string(&DryRunLine {
            dead_letter: &letter.summary,
            would: verdict,
        })?,
        Output::Text => text(&letter.summary, verdict),
    };
    line.push('\n');
    Ok(line)
}

fn text(letter: &DeadLetterSummary, verdict: &DryRunResult) -> String {
    let mut line = format!("{}  {:<20}  {}", letter.id, letter.reason, verdict.outcome);
    if !verdict.reason.is_empty() {
        line = format!("{line}: {}", verdict.reason);
    }
    if !verdict.lacks.is_empty() {
        line = format!("{line}: lacks {}", verdict.lacks.join(", "));
    }
    line
}
