//! `usher dead-letters replay`

use std::fmt::Write;
use std::sync::Arc;

use anyhow::bail;
use serde::Serialize;

use super::{ACTING, Desk, FilterOptions, READING, told, waiting};
use crate::aws::{Directory, Listing, MoveTask, Moves, Profiles};
use crate::cli::{Ended, Global, Output, print, print_json};
use crate::dead_letter::{About, DryRun, Move, Moved, Replay, Replayed, Tally, Verdict, Way};
use crate::provision::Provisioner;
use crate::quota::Quota;
use crate::telemetry::{bar, note};

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
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,
    /// SQS's own redrive: all letters, as they are
    #[arg(long, conflicts_with_all = ["direct", "reason", "since", "before", "pool", "sub", "limit"])]
    native: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<Ended> {
    let desk = Desk::open(global).await?;
    if options.dry_run {
        return dry_run(global, options, &desk).await;
    }
    let rate = rate(options, &desk);
    if options.native {
        return native(global, &desk, rate).await;
    }
    let quota = Arc::new(Quota::new(
        desk.config.quota.user_update,
        desk.config.quota.user_list,
    ));
    let way = if options.direct {
        let directory = Directory::new(&desk.aws, quota);
        let provisioner = Provisioner::new(&desk.config, directory, desk.profiles());
        Way::Direct(Box::new(provisioner), desk.letters.clone())
    } else {
        Way::Queue(desk.source.clone())
    };
    let audit = desk.audit("replay").await;
    let progress = bar(Some(desk.depth().await?), "letters");
    let selection = desk.select(options.filter.filter(), ACTING);
    let replayed = Replay::new(way, rate, audit)
        .run(selection, |step| {
            progress.set_position(step.seen);
            progress.set_message(tally_line(step.tally));
            waiting(&progress, step.elsewhere);
        })
        .await;
    progress.finish_and_clear();
    report(global, replayed)
}

impl Desk {
    fn profiles(&self) -> Option<Profiles> {
        let settings = self.config.profiles.as_ref()?;
        Some(Profiles::new(&self.aws, &settings.table, &settings.key))
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate: &f64| rate.is_finite() && *rate >= 0.01)
        .ok_or_else(|| "must be a number of 0.01 or more".to_owned())
}

/// Each letter costs its worker a call for each default group.
fn rate(options: &Options, desk: &Desk) -> f64 {
    let groups = desk.config.groups.default.len().clamp(1, 100);
    #[expect(clippy::cast_precision_loss, reason = "a hundred at most")]
    let most = desk.config.quota.user_update / groups as f64;
    match options.rate {
        Some(rate) if rate > most => {
            note(&format!(
                "--rate {rate} is more than the worker may make of it: {most} letters a second (quota.user_update, {groups} default groups)"
            ));
            most
        }
        Some(rate) => rate,
        None => most,
    }
}

fn report(global: &Global, replayed: Replayed) -> anyhow::Result<Ended> {
    let Replayed {
        tally,
        ended,
        failure,
    } = replayed;
    match global.output {
        Output::Json => print_json(&tally)?,
        Output::Text if tally.is_empty() => print("no letter replayed\n")?,
        Output::Text => {
            let mut text = String::new();
            for (outcome, count) in &tally {
                writeln!(text, "{count:>8}  {outcome}")?;
            }
            print(&text)?;
        }
    }
    if let Some(failure) = failure {
        bail!("stopped: {failure}; the other letters are as they were");
    }
    // A letter that is there still, or again, is work that failed.
    let failed = tally
        .keys()
        .any(|outcome| outcome.starts_with("left") || outcome.starts_with("failed"));
    let ended = told(ended);
    Ok(if failed { Ended::Badly } else { ended })
}

fn tally_line(tally: &Tally) -> String {
    let parts: Vec<String> = tally
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    parts.join(", ")
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    letter: &'a About,
    would: &'a Verdict,
}

async fn dry_run(global: &Global, options: &Options, desk: &Desk) -> anyhow::Result<Ended> {
    let quota = Arc::new(Quota::new(
        desk.config.quota.user_update,
        desk.config.quota.user_list,
    ));
    let mut judge = DryRun::new(
        &desk.config,
        Directory::new(&desk.aws, Arc::clone(&quota)),
        Listing::new(&desk.aws, quota),
        desk.profiles(),
    );
    let progress = bar(Some(desk.depth().await?), "letters");
    let mut selection = desk.select(options.filter.filter(), READING);
    let mut tally = Tally::new();
    let result = loop {
        let letters = match selection.next(|_| true, |n| waiting(&progress, n)).await {
            Ok(Some(letters)) => letters,
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        };
        for letter in letters {
            if selection.is_stopped() {
                break;
            }
            let verdict = judge.judge(&letter.message.body).await;
            *tally.entry(verdict.outcome.to_owned()).or_default() += 1;
            let text = match global.output {
                Output::Json => serde_json::to_string(&Line {
                    letter: &letter.about,
                    would: &verdict,
                })?,
                Output::Text => verdict_line(&letter.about, &verdict),
            };
            progress.suspend(|| print(&(text + "\n")))?;
            progress.inc(1);
        }
    };
    let ended = selection.finish().await;
    progress.finish_and_clear();
    result?;
    if global.output == Output::Text {
        let would = if tally.is_empty() {
            "no letter is meant".to_owned()
        } else {
            format!(
                "\nnothing was changed; a replay would be: {}",
                tally_line(&tally)
            )
        };
        print(&(would + "\n"))?;
    }
    Ok(told(ended))
}

fn verdict_line(letter: &About, verdict: &Verdict) -> String {
    let mut line = format!("{}  {:<20}  {}", letter.id, letter.reason, verdict.outcome);
    if !verdict.reason.is_empty() {
        line = format!("{line}: {}", verdict.reason);
    }
    if !verdict.lacks.is_empty() {
        line = format!("{line}: lacks {}", verdict.lacks.join(", "));
    }
    line
}

async fn native(global: &Global, desk: &Desk, rate: f64) -> anyhow::Result<Ended> {
    let source = desk.source.facts().await?;
    let letters = desk.letters.facts().await?;
    #[expect(clippy::cast_possible_truncation, reason = "between 1 and 500")]
    let rate = rate.floor().clamp(1.0, 500.0) as i32;
    let task = Move {
        moves: Moves::new(&desk.aws),
        from: letters.arn,
        to: source.arn,
        rate,
    };
    let total = letters.depth.visible + letters.depth.hidden;
    let progress = bar(Some(total), "letters");
    let moved = task
        .run(&desk.stop, |task| {
            progress.set_position(u64::try_from(task.moved).unwrap_or(0));
        })
        .await?;
    progress.finish_and_clear();
    match moved {
        Moved::Busy(task) => bail!(
            "SQS is moving letters of this queue already: {} of about {}; wait for it or cancel it",
            task.moved,
            task.total.unwrap_or(0),
        ),
        Moved::Ended(task) => {
            let MoveTask {
                status,
                moved,
                failure,
                ..
            } = &task;
            match global.output {
                Output::Json => print_json(
                    &serde_json::json!({"status": status, "moved": moved, "failure": failure}),
                )?,
                Output::Text => print(&format!(
                    "{}: {moved} letters moved\n",
                    status.to_lowercase()
                ))?,
            }
            if let Some(failure) = failure {
                note(&format!("SQS says: {failure}"));
            }
            Ok(if status == "COMPLETED" {
                Ended::Well
            } else {
                Ended::Badly
            })
        }
    }
}
