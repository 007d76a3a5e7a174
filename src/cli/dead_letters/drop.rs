//! `usher dead-letters drop`

use std::io::IsTerminal;

use super::remove::{RemovalCounts, remove};
use super::{
    CommandContext, FilterOptions, PARALLEL_RECEIVES, format_count, report_scan_end,
    show_hidden_count,
};
use crate::cli::prompt::confirm;
use crate::cli::{CommandStatus, Global, Output, Usage, print, print_json};
use crate::dead_letter::{DeadLetterSummary, ReasonCounts};
use crate::telemetry::{progress_bar, status_line};

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

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
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
    let desk = CommandContext::open(global).await?;
    let progress = progress_bar(desk.depth().await, "letters");
    let mut selection = desk.select(filter, PARALLEL_RECEIVES);
    let mut meant: Vec<DeadLetterSummary> = Vec::new();
    let result = loop {
        match selection
            .next(|_| true, |n| show_hidden_count(&progress, n))
            .await
        {
            Ok(Some(letters)) => {
                progress.set_position(selection.seen());
                meant.extend(letters.into_iter().map(|letter| letter.summary));
            }
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    progress.finish_and_clear();
    let yes = result.is_ok()
        && !selection.is_stopped()
        && !meant.is_empty()
        && (options.yes || confirm_deletion(&meant, &desk).await);
    let mut removed = RemovalCounts::default();
    if yes {
        let audit = desk.audit("drop").await;
        for letters in meant.chunks(crate::aws::MAX_BATCH_ENTRIES) {
            if selection.is_stopped() {
                break;
            }
            remove(&selection, letters, &audit, "dropped", &mut removed).await;
        }
    }
    let ended = selection.finish().await;
    result?;
    let RemovalCounts {
        deleted: gone,
        failed: still_there,
    } = removed;
    match global.output {
        Output::Json => print_json(&serde_json::json!({"dropped": gone, "failed": still_there}))?,
        Output::Text => print(&format!("{} dropped\n", format_count(gone)))?,
    }
    if still_there > 0 {
        status_line(&format!(
            "{still_there} letters could not be deleted and are still there"
        ));
    }
    // Refused, or stopped on the way.
    let refused = gone + still_there < meant.len() as u64;
    let ended = report_scan_end(ended);
    Ok(if refused || still_there > 0 {
        CommandStatus::Failure
    } else {
        ended
    })
}

/// Shows what is meant, and asks.
async fn confirm_deletion(meant: &[DeadLetterSummary], desk: &CommandContext) -> bool {
    let mut census = ReasonCounts::default();
    for letter in meant {
        census.add(letter);
    }
    for (reason, group) in census.by_frequency() {
        status_line(&format!("{:>8}  {reason}", group.count));
    }
    let question = format!("Delete {} for good?", format_count(census.total()));
    confirm(&question, &desk.stop).await
}
