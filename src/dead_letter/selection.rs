//! The dead letters of a scan that match a filter.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::filter::Filter;
use super::reason_counts::ReasonCounts;
use super::received_dead_letter::{DeadLetterSummary, ReceivedDeadLetter};
use super::scan::{Scan, ScanStep, Unseen};
use crate::aws::{Failure, Queue};

/// Long poll of each receive.
pub(crate) const RECEIVE_WAIT: Duration = Duration::from_secs(1);
/// Concurrent receives of one who only reads.
pub(crate) const PARALLEL_RECEIVES: usize = 8;
/// One receive at a time hides few dead letters while each is processed.
pub(crate) const SINGLE_RECEIVE: usize = 1;

/// Returns the dead letters that match the filter. Every received one stays hidden until
/// it is deleted or [`Self::finish`] makes it visible.
#[derive(Debug)]
pub struct Selection {
    scan: Scan,
    filter: Filter,
    stop: CancellationToken,
    selected: u64,
    /// That those which are returned may still hold.
    bytes_left: usize,
    seen: ReasonCounts,
    end: Option<SelectionEnd>,
}

/// Why a selection returns no more dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectionEnd {
    /// The scan ended; only these were not received.
    Exhausted(Unseen),
    /// The limit of the filter, or of the bytes, is reached.
    Limit,
    /// The stop signal came, or a call failed.
    Stopped,
}

impl Selection {
    /// Receives nothing before the first [`Self::next`], then with
    /// `parallel_receives` calls at once, 1 to 8.
    pub fn new(
        queue: &Queue,
        parallel_receives: usize,
        filter: Filter,
        stop: CancellationToken,
    ) -> Self {
        Self {
            scan: Scan::new(queue, parallel_receives),
            filter,
            stop,
            selected: 0,
            bytes_left: usize::MAX,
            seen: ReasonCounts::default(),
            end: None,
        }
    }

    /// For one who keeps what is returned: it holds at most `max_bytes`.
    pub(crate) fn with_max_bytes(self, max_bytes: usize) -> Self {
        Self {
            bytes_left: max_bytes,
            ..self
        }
    }

    /// The next dead letters that match `accept` and the filter, at least one; `None` at the
    /// end. `accept` sees every dead letter. While other processes hide some, it waits and passes
    /// their number to `on_wait`.
    ///
    /// # Errors
    /// When the queue cannot be read. Call [`Self::finish`] also then.
    pub async fn next(
        &mut self,
        mut accept: impl FnMut(&ReceivedDeadLetter) -> bool,
        mut on_wait: impl FnMut(u64),
    ) -> Result<Option<Vec<ReceivedDeadLetter>>, Failure> {
        let limit = self.filter.limit.unwrap_or(u64::MAX);
        while self.end.is_none() {
            // Checked between receives: a dropped receive would leave messages hidden.
            if self.stop.is_cancelled() {
                self.end = Some(SelectionEnd::Stopped);
            } else if self.selected >= limit {
                self.end = Some(SelectionEnd::Limit);
            } else {
                match self.scan.step().await? {
                    ScanStep::Waiting(hidden_elsewhere) => on_wait(hidden_elsewhere),
                    ScanStep::End(unseen) => self.end = Some(SelectionEnd::Exhausted(unseen)),
                    ScanStep::DeadLetters(dead_letters) => {
                        for dead_letter in &dead_letters {
                            self.seen.add(&dead_letter.summary);
                        }
                        let remaining =
                            usize::try_from(limit - self.selected).unwrap_or(usize::MAX);
                        let is_selected = |dead_letter: &ReceivedDeadLetter| {
                            accept(dead_letter) && self.filter.matches(&dead_letter.summary)
                        };
                        let mut dead_letters: Vec<ReceivedDeadLetter> = dead_letters
                            .into_iter()
                            .filter(is_selected)
                            .take(remaining)
                            .collect();
                        self.cut(&mut dead_letters);
                        self.selected += dead_letters.len() as u64;
                        if !dead_letters.is_empty() {
                            return Ok(Some(dead_letters));
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// Leaves out those that would hold too many bytes, and ends there.
    fn cut(&mut self, dead_letters: &mut Vec<ReceivedDeadLetter>) {
        let mut fits = |it: &ReceivedDeadLetter| {
            let left = self.bytes_left.checked_sub(it.size());
            self.bytes_left = left.unwrap_or_default();
            left.is_some()
        };
        let count = dead_letters.iter().take_while(|it| fits(it)).count();
        if count < dead_letters.len() {
            dead_letters.truncate(count);
            self.end = Some(SelectionEnd::Limit);
        }
    }

    /// Dead letters received so far, also those that do not match.
    pub(crate) fn seen(&self) -> &ReasonCounts {
        &self.seen
    }

    pub(crate) fn take_seen(&mut self) -> ReasonCounts {
        std::mem::take(&mut self.seen)
    }

    /// Checks that each of the filter's ids means one of the `matched` dead letters.
    ///
    /// # Errors
    /// Names the first id that means none or several.
    pub(crate) fn check_ids(&self, matched: &[DeadLetterSummary]) -> Result<(), String> {
        for asked in &self.filter.ids {
            let mut found = matched.iter().filter(|it| it.has_id(asked));
            match (found.next(), found.next()) {
                (None, _) => {
                    let seen = self.seen.total();
                    return Err(format!("no dead letter has the id {asked} ({seen} read)"));
                }
                (Some(one), Some(other)) => {
                    return Err(format!(
                        "{asked} is ambiguous: it means {} and {}",
                        one.id, other.id
                    ));
                }
                (Some(_), None) => {}
            }
        }
        Ok(())
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Resolves when the stop signal comes.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Deletes dead letters that were returned. Returns those that SQS did not delete.
    pub(crate) async fn delete(&mut self, ids: &[&str]) -> Vec<(String, Failure)> {
        self.scan.delete(ids).await
    }

    /// Makes every dead letter visible again that was not deleted.
    pub async fn finish(self) -> SelectionEnd {
        let hidden = self.scan.make_all_visible().await;
        if hidden > 0 {
            tracing::warn!(
                dead_letters = hidden,
                "dead letters could not be made visible again; they stay hidden until their timeout ends"
            );
        }
        self.end.unwrap_or(SelectionEnd::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::aws::cognito::fake::fake_aws;

    #[tokio::test(start_paused = true)]
    async fn a_selection_ends_before_it_holds_more_bytes() {
        for (max_bytes, expected) in [(249, 2), (250, 2), (299, 2), (300, 3), (99, 0)] {
            let respond = |operation: &str, _: &Value| {
                let message = |id: &str| {
                    let attributes =
                        json!({"text": {"DataType": "String", "StringValue": "x".repeat(16)}});
                    json!({
                        "MessageId": id, "ReceiptHandle": id, "Body": "b".repeat(80),
                        "MessageAttributes": attributes,
                    })
                };
                let messages = ["a", "b", "c", "d"].map(message);
                let answer = match operation {
                    "ReceiveMessage" => json!({ "Messages": messages }),
                    _ => json!({}),
                };
                (Duration::ZERO, 200, answer)
            };
            let aws = fake_aws(respond).await;
            let url = "https://sqs.us-east-1.amazonaws.com/1/queue";
            let queue = Queue::new(&aws, url, Duration::ZERO, Duration::from_mins(1));
            let stop = CancellationToken::new();
            let mut selection = Selection::new(&queue, SINGLE_RECEIVE, Filter::default(), stop)
                .with_max_bytes(max_bytes);
            let mut found = 0;
            while let Some(some) = selection.next(|_| true, |_| {}).await.expect("a page") {
                found += some.len();
            }
            assert_eq!(found, expected, "{max_bytes}");
            assert_eq!(selection.finish().await, SelectionEnd::Limit);
        }
    }
}
