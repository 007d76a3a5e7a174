//! Log lines with the caller, the action, the dead letter and the outcome.

use super::received_dead_letter::DeadLetterSummary;

/// Writes one log line for each changed dead letter. The lines have the target
/// `usher::audit`, which no log filter removes.
#[derive(Debug, Clone)]
pub(crate) struct AuditLog {
    caller: String,
    action: &'static str,
    /// Why the caller does it, in their words.
    note: Option<String>,
}

impl AuditLog {
    /// `caller` is an ARN; `action` is the command, such as `replay`.
    pub(crate) fn new(caller: String, action: &'static str) -> Self {
        Self {
            caller,
            action,
            note: None,
        }
    }

    pub(crate) fn with_note(self, note: impl Into<String>) -> Self {
        Self {
            note: Some(note.into()),
            ..self
        }
    }

    /// Logs the outcome of the action on one dead letter.
    pub(crate) fn log(&self, dead_letter: &DeadLetterSummary, outcome: &str) {
        tracing::info!(
            target: "usher::audit",
            {
                actor = self.caller,
                action = self.action,
                dead_letter.id = dead_letter.id,
                dead_letter.reason = dead_letter.reason,
                dead_letter.source_message_id = dead_letter.source_message_id,
                pool.id = dead_letter.pool,
                user.sub = dead_letter.sub,
                note = self.note,
                result = outcome,
            },
            "{} of a dead letter: {outcome}",
            self.action,
        );
    }

    /// Logs an action on a whole queue, when SQS does not report the single messages.
    pub(crate) fn log_queue(&self, queue: &str, dead_letters: i64, outcome: &str) {
        tracing::info!(
            target: "usher::audit",
            {
                actor = self.caller,
                action = self.action,
                queue.url = queue,
                dead_letters,
                result = outcome,
            },
            "{} of the dead-letter queue: {outcome}",
            self.action,
        );
    }
}
