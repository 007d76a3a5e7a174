//! `usher dead-letters drop`

use std::io::IsTerminal;

use super::context::{
    CommandContext, FilterOptions, PARALLEL_RECEIVES, RemovalCounts, letters, report_scan_end,
};
use crate::aws::MAX_BATCH_ENTRIES;
use crate::cli::{CommandStatus, Global, Usage, confirm, status_line};
use crate::dead_letter::{DeadLetterSummary, ReasonCounts};

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
    if filter.matches_all() && !options.all {
        return Err(Usage::error(
            "say which letters: give a filter, such as --reason, or --all",
        ));
    }
    if !filter.matches_all() && options.all {
        return Err(Usage::error("--all means every letter and takes no filter"));
    }
    if !options.yes && !std::io::stdin().is_terminal() {
        return Err(Usage::error("there is no terminal to ask on: say --yes"));
    }
    let context = CommandContext::open(global, &[]).await?;
    let mut scan = context.scan(filter, PARALLEL_RECEIVES).await;
    let mut matched = Vec::new();
    let result = scan
        .for_each(async |_, dead_letters| {
            matched.extend(dead_letters.into_iter().map(|it| it.summary));
            Ok(())
        })
        .await;
    scan.bar.finish_and_clear();
    let selection = &mut scan.selection;
    let is_confirmed = result.is_ok()
        && !selection.is_stopped()
        && !matched.is_empty()
        && (options.yes || confirm_deletion(&matched, &context).await);
    let mut removed = RemovalCounts::default();
    if is_confirmed {
        let audit = context.audit("drop").await;
        for dead_letters in matched.chunks(MAX_BATCH_ENTRIES) {
            if selection.is_stopped() {
                break;
            }
            removed
                .remove(selection, dead_letters, &audit, "dropped")
                .await;
        }
    }
    let end = scan.finish().await;
    result?;
    let RemovalCounts { deleted, failed } = removed;
    let counts = serde_json::json!({"dropped": deleted, "failed": failed});
    global
        .output
        .print(&counts, || format!("{} dropped", letters(deleted)))?;
    if failed > 0 {
        status_line(&format!(
            "{failed} letters could not be deleted and are still there"
        ));
    }
    // The answer was no, or a signal stopped the command.
    let is_incomplete = deleted + failed < matched.len() as u64;
    let status = report_scan_end(end);
    Ok(if is_incomplete || failed > 0 {
        CommandStatus::Failure
    } else {
        status
    })
}

/// Prints the counts by reason and asks for confirmation.
async fn confirm_deletion(matched: &[DeadLetterSummary], context: &CommandContext) -> bool {
    let mut counts = ReasonCounts::default();
    for dead_letter in matched {
        counts.add(dead_letter);
    }
    for (reason, group) in counts.by_frequency() {
        status_line(&format!("{:>8}  {reason}", group.count));
    }
    let question = format!("Delete {} for good?", letters(counts.total()));
    confirm(&question, &context.stop).await
}
