//! `usher dead-letters replay --dry-run`

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::replay::tally_line;
use super::{Desk, READING, told, waiting};
use crate::aws::{Directory, Listing};
use crate::cli::{Ended, Global, Output, print};
use crate::dead_letter::{About, DryRun, Filter, Found, Verdict};
use crate::quota::Quota;
use crate::telemetry::bar;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    letter: &'a About,
    would: &'a Verdict,
}

pub(super) async fn run(global: &Global, filter: Filter, desk: &Desk) -> anyhow::Result<Ended> {
    let quota = Arc::new(Quota::new(desk.config.quota));
    let mut judge = DryRun::new(
        &desk.config,
        Directory::new(&desk.aws, Arc::clone(&quota)),
        Listing::new(&desk.aws, quota),
        desk.profiles(),
    );
    let progress = bar(desk.depth().await, "letters");
    let mut selection = desk.select(filter, READING);
    let mut tally = BTreeMap::new();
    let result = loop {
        let letters = match selection.next(|_| true, |n| waiting(&progress, n)).await {
            Ok(Some(letters)) => letters,
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure.into()),
        };
        let judged = async {
            for letter in letters {
                if selection.is_stopped() {
                    break;
                }
                let verdict = judge.judge(&letter.message.body).await;
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
    Ok(told(ended))
}

fn line(global: &Global, letter: &Found, verdict: &Verdict) -> anyhow::Result<String> {
    let mut line = match global.output {
        Output::Json => serde_json::to_string(&Line {
            letter: &letter.about,
            would: verdict,
        })?,
        Output::Text => text(&letter.about, verdict),
    };
    line.push('\n');
    Ok(line)
}

fn text(letter: &About, verdict: &Verdict) -> String {
    let mut line = format!("{}  {:<20}  {}", letter.id, letter.reason, verdict.outcome);
    if !verdict.reason.is_empty() {
        line = format!("{line}: {}", verdict.reason);
    }
    if !verdict.lacks.is_empty() {
        line = format!("{line}: lacks {}", verdict.lacks.join(", "));
    }
    line
}
