//! `usher dead-letters replay --native`

use anyhow::bail;

use super::{CommandContext, report_scan_end};
use crate::aws::MoveTask;
use crate::cli::{CommandStatus, Global, Output, print, print_json};
use crate::dead_letter::SelectionEnd::Stopped;
use crate::dead_letter::{NativeRedrive, NativeRedriveResult};
use crate::telemetry::{progress_bar, status_line};

pub(super) async fn run(
    global: &Global,
    context: &CommandContext,
    rate: f64,
) -> anyhow::Result<CommandStatus> {
    let source = context.source.attributes().await?;
    let dead_letters = context.dead_letters.attributes().await?;
    #[expect(clippy::cast_possible_truncation, reason = "between 1 and 500")]
    let rate = rate.floor().clamp(1.0, 500.0) as i32;
    let audit = context.audit("native replay").await;
    let task = NativeRedrive {
        moves: context.services.move_tasks(context.dead_letters.url()),
        from_arn: dead_letters.arn,
        to_arn: source.arn,
        rate,
    };
    let total = dead_letters.depth.visible + dead_letters.depth.hidden;
    if context.stop.is_cancelled() {
        return Ok(report_scan_end(Stopped));
    }
    // SQS does not say which messages it moves, so the audit line names only the queue.
    let total_known = i64::try_from(total).unwrap_or(i64::MAX);
    audit.log_queue(context.dead_letters.url(), total_known, "asked for");
    let progress = progress_bar(Some(total), "letters");
    let moved = task
        .run(&context.stop, |task| {
            progress.set_position(u64::try_from(task.moved).unwrap_or(0));
        })
        .await;
    progress.finish_and_clear();
    let task = match moved? {
        NativeRedriveResult::AlreadyRunning(task) => bail!(
            "SQS is moving letters of this queue already: {} of about {}; wait for it or cancel it",
            task.moved,
            task.total.unwrap_or(0),
        ),
        NativeRedriveResult::Ended(task) => task,
    };
    audit.log_queue(context.dead_letters.url(), task.moved, &task.status);
    let MoveTask {
        status,
        moved,
        failure_reason: failure,
        ..
    } = &task;
    let result = serde_json::json!({"status": status, "moved": moved, "failure": failure});
    match global.output {
        Output::Json => print_json(&result)?,
        Output::Text => {
            let status = status.to_lowercase();
            print(&format!("{status}: {moved} letters moved\n"))?;
        }
    }
    if let Some(failure) = failure {
        status_line(&format!("SQS says: {failure}"));
    }
    Ok(if status == "COMPLETED" {
        CommandStatus::Success
    } else {
        CommandStatus::Failure
    })
}
