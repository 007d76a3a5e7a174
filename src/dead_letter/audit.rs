//! Who did what to which letter.

use super::held_dead_letter::DeadLetterSummary;

/// Writes one log line for each letter that is acted on. The lines have a
/// target of their own, `usher::audit`, which no log filter leaves out.
#[derive(Debug, Clone)]
pub(crate) struct AuditLog {
    caller: String,
    action: &'static str,
}

impl AuditLog {
    /// `who` is the caller's ARN.
    pub(crate) fn new(caller: String, action: &'static str) -> Self {
        Self { caller, action }
    }

    /// One letter and what became of it.
    pub(crate) fn log(&self, letter: &DeadLetterSummary, outcome: &str) {
        tracing::info!(
            target: "usher::audit",
            {
                audit.who = self.caller,
                audit.action = self.action,
                letter.id = letter.id,
                letter.reason = letter.reason,
                letter.source_message_id = letter.source_message_id,
                pool.id = letter.pool,
                user.sub = letter.sub,
                outcome,
            },
            "dead letter acted on",
        );
    }

    /// A whole queue, where nobody says which letters it were.
    pub(crate) fn log_queue(&self, queue: &str, letters: i64, outcome: &str) {
        tracing::info!(
            target: "usher::audit",
            {
                audit.who = self.caller,
                audit.action = self.action,
                queue.url = queue,
                letters,
                outcome,
            },
            "dead letters acted on",
        );
    }
}
