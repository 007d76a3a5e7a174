//! How a scan of the dead-letter queue ended, in words.

use super::reason_counts::ReasonCounts;
use super::scan::Unseen;
use super::selection::{Selection, SelectionEnd};

/// How a scan ended.
#[derive(Debug)]
pub(crate) struct ScanReport {
    pub(crate) end: SelectionEnd,
    /// All that were received, also those that do not match.
    pub(crate) seen: ReasonCounts,
}

impl ScanReport {
    /// Makes every dead letter visible again that was not deleted.
    pub(crate) async fn finish(mut selection: Selection) -> Self {
        let seen = selection.take_seen();
        let end = selection.finish().await;
        Self { end, seen }
    }

    /// Says why the scan did not see every dead letter that it should; empty if it did.
    pub(crate) fn unread(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self.end {
            SelectionEnd::Exhausted(Unseen {
                hidden_elsewhere,
                not_received,
            }) => {
                if hidden_elsewhere > 0 {
                    lines.push(format!(
                        "about {hidden_elsewhere} more in flight: another process reads them; try again in a minute"
                    ));
                }
                if not_received > 0 {
                    lines.push(format!(
                        "SQS counts about {not_received} more that it did not deliver (at most 120,000 can be in flight)"
                    ));
                }
            }
            SelectionEnd::Limit => {}
            SelectionEnd::Stopped => lines.push(
                "stopped; for the rest, run the command again (without the ids that are done)"
                    .to_owned(),
            ),
        }
        lines
    }

    /// What a command says that found nothing to act on.
    pub(crate) fn no_match(&self) -> String {
        match self.seen.total() {
            0 => "no dead letters found".to_owned(),
            total => format!(
                "no dead letter matches the filter ({total} others: {})",
                self.seen.describe()
            ),
        }
    }
}

/// Says what a scan waits for while another process hides dead letters.
pub(crate) fn waiting_for(hidden_elsewhere: u64) -> String {
    format!("waiting for about {hidden_elsewhere} in flight: another process reads them")
}
