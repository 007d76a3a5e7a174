//! `usher dead-letters drop`

use super::context::{ChangeOptions, CommandContext, PARALLEL_RECEIVES, letters};
use crate::cli::{CommandStatus, Global, status_line};
use crate::dead_letter::{ReasonCounts, RemovalCounts};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher dead-letters drop 91e29d26 21af6bbf
  usher dead-letters drop --reason not_json --before 2days")]
pub(super) struct Options {
    #[command(flatten)]
    change: ChangeOptions,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let filter = options.change.filter_of_change()?;
    let context = CommandContext::open(global, &[]).await?;
    let mut scan = context.scan(filter, PARALLEL_RECEIVES).await;
    let matched = scan.collect().await;
    let found = matched.as_deref().unwrap_or_default();
    let total = found.len() as u64;
    let question = format!("Delete {} for good?", letters(total));
    let is_confirmed = total > 0
        && !scan.selection.is_stopped()
        && options
            .change
            .confirm(&ReasonCounts::of(found), &question, &context)
            .await;
    let mut removed = RemovalCounts::default();
    if is_confirmed {
        let audit = context.audit("drop").await;
        removed
            .drop_all(&mut scan.selection, found, &audit, |_| {})
            .await;
    }
    let report = scan.finish().await;
    let status = report.print_end();
    matched?;
    let RemovalCounts { deleted, failed } = removed;
    let counts = serde_json::json!({"deleted": deleted, "not_deleted": failed});
    global.output.print(&counts, || match total {
        0 => report.no_match(),
        _ => format!("{} deleted", letters(deleted)),
    })?;
    if failed > 0 {
        status_line(&format!("{} could not be deleted", letters(failed)));
    }
    // The answer was no, or a signal stopped the command.
    let is_incomplete = deleted < total;
    Ok(if is_incomplete {
        CommandStatus::Failure
    } else {
        status
    })
}
