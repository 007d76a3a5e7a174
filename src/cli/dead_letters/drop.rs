//! `usher dead-letters drop`

use std::io::IsTerminal;

use super::remove::{Removed, remove};
use super::{Desk, FilterOptions, READING, letters, told, waiting};
use crate::cli::ask::agreed;
use crate::cli::{Ended, Global, Output, Usage, print, print_json};
use crate::dead_letter::{About, Census};
use crate::telemetry::{bar, note};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    filter: FilterOptions,
    /// Every letter, where no filter is given
    #[arg(long)]
    all: bool,
    /// Does not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<Ended> {
    let filter = options.filter.filter();
    if filter.is_empty() && !options.all {
        return Err(Usage::error(
            "say which letters: give a filter, such as --reason, or --all",
        ));
    }
    if !filter.is_empty() && options.all {
        return Err(Usage::error("--all means every letter and takes no filter"));
    }
    if !options.yes && !std::io::stdin().is_terminal() {
        return Err(Usage::error("there is no terminal to ask on: say --yes"));
    }
    let desk = Desk::open(global).await?;
    let progress = bar(desk.depth().await, "letters");
    let mut selection = desk.select(filter, READING);
    let mut meant: Vec<About> = Vec::new();
    let result = loop {
        match selection.next(|_| true, |n| waiting(&progress, n)).await {
            Ok(Some(letters)) => {
                progress.set_position(selection.seen());
                meant.extend(letters.into_iter().map(|letter| letter.about));
            }
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    progress.finish_and_clear();
    let yes = result.is_ok()
        && !selection.is_stopped()
        && !meant.is_empty()
        && (options.yes || ask(&meant, &desk).await);
    let mut removed = Removed::default();
    if yes {
        let audit = desk.audit("drop").await;
        for letters in meant.chunks(crate::aws::BATCH) {
            if selection.is_stopped() {
                break;
            }
            remove(&selection, letters, &audit, "dropped", &mut removed).await;
        }
    }
    let ended = selection.finish().await;
    result?;
    let Removed { gone, still_there } = removed;
    match global.output {
        Output::Json => print_json(&serde_json::json!({"dropped": gone, "failed": still_there}))?,
        Output::Text => print(&format!("{} dropped\n", letters(gone)))?,
    }
    if still_there > 0 {
        note(&format!(
            "{still_there} letters could not be deleted and are still there"
        ));
    }
    // Refused, or stopped on the way.
    let refused = gone + still_there < meant.len() as u64;
    let ended = told(ended);
    Ok(if refused || still_there > 0 {
        Ended::Badly
    } else {
        ended
    })
}

/// Shows what is meant, and asks.
async fn ask(meant: &[About], desk: &Desk) -> bool {
    let mut census = Census::default();
    for letter in meant {
        census.add(letter);
    }
    for (reason, group) in census.groups() {
        note(&format!("{:>8}  {reason}", group.count));
    }
    let question = format!("Delete {} for good?", letters(census.total()));
    agreed(&question, &desk.stop).await
}
