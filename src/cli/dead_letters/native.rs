//! `usher dead-letters replay --native`

use anyhow::bail;

use super::{Desk, told};
use crate::aws::{MoveTask, Moves};
use crate::cli::{Ended, Global, Output, print, print_json};
use crate::dead_letter::Ended::Stopped;
use crate::dead_letter::{Move, Moved};
use crate::telemetry::{bar, note};

pub(super) async fn run(global: &Global, desk: &Desk, rate: f64) -> anyhow::Result<Ended> {
    let source = desk.source.facts().await?;
    let letters = desk.letters.facts().await?;
    #[expect(clippy::cast_possible_truncation, reason = "between 1 and 500")]
    let rate = rate.floor().clamp(1.0, 500.0) as i32;
    let audit = desk.audit("native replay").await;
    let task = Move {
        moves: Moves::new(&desk.aws, desk.letters.url()),
        from: letters.arn,
        to: source.arn,
        rate,
    };
    let total = letters.depth.visible + letters.depth.hidden;
    if desk.stop.is_cancelled() {
        return Ok(told(Stopped));
    }
    // SQS does not say which letters it moves.
    let total_known = i64::try_from(total).unwrap_or(i64::MAX);
    audit.all(desk.letters.url(), total_known, "asked for");
    let progress = bar(Some(total), "letters");
    let moved = task
        .run(&desk.stop, |task| {
            progress.set_position(u64::try_from(task.moved).unwrap_or(0));
        })
        .await;
    progress.finish_and_clear();
    let task = match moved? {
        Moved::Busy(task) => bail!(
            "SQS is moving letters of this queue already: {} of about {}; wait for it or cancel it",
            task.moved,
            task.total.unwrap_or(0),
        ),
        Moved::Ended(task) => task,
    };
    audit.all(desk.letters.url(), task.moved, &task.status);
    let MoveTask {
        status,
        moved,
        failure,
        ..
    } = &task;
    let said = serde_json::json!({"status": status, "moved": moved, "failure": failure});
    match global.output {
        Output::Json => print_json(&said)?,
        Output::Text => {
            let status = status.to_lowercase();
            print(&format!("{status}: {moved} letters moved\n"))?;
        }
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
