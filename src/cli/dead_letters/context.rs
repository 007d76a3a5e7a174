//! What the commands share: the filter, the two queues, and the scan of the dead letters.

use std::time::Duration;

use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use crate::app::Services;
use crate::aws::Queue;
use crate::cli::operator::actor;
use crate::cli::{CommandStatus, Global, plural, progress_bar, status_line, time};
use crate::config::Required;
use crate::dead_letter::{
    AuditLog, DeadLetterSummary, Filter, ReceivedDeadLetter, Selection, SelectionEnd, Unseen,
    resolve_dead_letter_queue,
};
use crate::retry::retry_inline;
use crate::shutdown;

/// Which letters are meant; all that is given must hold
#[derive(Debug, clap::Args)]
pub(super) struct FilterOptions {
    /// Letters with this reason; may be repeated
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Letters of this time or later: a time, a day, or how long ago ("2h")
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    since: Option<jiff::Timestamp>,
    /// Letters of before this time
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    before: Option<jiff::Timestamp>,
    /// Letters whose event names this user pool
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// Letters of this user
    #[arg(long)]
    sub: Option<String>,
    /// No more letters than this
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

impl FilterOptions {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            reasons: self.reason.clone(),
            since: self.since,
            before: self.before,
            pool: self.pool.clone(),
            sub: self.sub.clone(),
            limit: self.limit,
        }
    }
}

/// The dead-letter queue of one command.
pub(super) struct CommandContext {
    pub(super) services: Services,
    pub(super) dead_letter_queue: Queue,
    pub(super) stop: CancellationToken,
}

/// Long poll of each receive.
const RECEIVE_WAIT: Duration = Duration::from_secs(1);
/// Concurrent receives of a command that only reads.
pub(super) const PARALLEL_RECEIVES: usize = 8;
/// One receive at a time hides few dead letters while each is processed.
pub(super) const SINGLE_RECEIVE: usize = 1;

impl CommandContext {
    /// For a command that needs what is `required` beside the dead-letter queue.
    pub(super) async fn open(global: &Global, required: &[Required]) -> anyhow::Result<Self> {
        let config = global.config(&[&[Required::DeadLetterQueue], required].concat())?;
        let stop = shutdown::on_signal(&global.force_exit)?;
        let services = Services::from_environment(config).await?;
        let dead_letter_queue = if let Some(url) = &services.config.queue.dead_letter_url {
            services.queue_by_url(url, RECEIVE_WAIT)
        } else {
            let source = services.queue_with_wait(RECEIVE_WAIT)?;
            tokio::select! {
                resolved = resolve_dead_letter_queue(&source, None) => resolved?.queue,
                () = stop.cancelled() => anyhow::bail!("stopped before the dead-letter queue was found"),
            }
        };
        Ok(Self {
            services,
            dead_letter_queue,
            stop,
        })
    }

    pub(super) fn select(&self, filter: Filter, width: usize) -> Selection {
        Selection::new(&self.dead_letter_queue, width, filter, self.stop.clone())
    }

    pub(super) async fn scan(&self, filter: Filter, width: usize) -> DeadLetterScan {
        DeadLetterScan {
            bar: self.progress_bar().await,
            selection: self.select(filter, width),
        }
    }

    /// Its total is approximate, and unknown when the call fails.
    pub(super) async fn progress_bar(&self) -> ProgressBar {
        let attributes = retry_inline(|| self.dead_letter_queue.attributes())
            .await
            .ok();
        let depth = attributes.map(|it| it.depth.visible + it.depth.hidden);
        progress_bar(depth, "letters")
    }

    pub(super) async fn audit(&self, action: &'static str) -> AuditLog {
        AuditLog::new(actor(self.services.aws()).await, action)
    }
}

/// The dead letters that match a filter, with a progress bar.
pub(super) struct DeadLetterScan {
    pub(super) selection: Selection,
    pub(super) bar: ProgressBar,
}

impl DeadLetterScan {
    /// Passes each page of dead letters to `handle`, until the end or the first error. Call
    /// [`Self::finish`] in any case.
    pub(super) async fn for_each(
        &mut self,
        mut handle: impl AsyncFnMut(&mut Selection, Vec<ReceivedDeadLetter>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Self { selection, bar } = self;
        while let Some(dead_letters) = selection
            .next(|_| true, |hidden| show_hidden_count(bar, hidden))
            .await?
        {
            bar.set_position(selection.seen());
            handle(selection, dead_letters).await?;
        }
        Ok(())
    }

    /// Makes every dead letter visible again that was not deleted.
    pub(super) async fn finish(self) -> SelectionEnd {
        self.bar.set_message("showing them again");
        let end = self.selection.finish().await;
        self.bar.finish_and_clear();
        end
    }
}

/// The dead letters that a command has deleted.
#[derive(Debug, Default)]
pub(super) struct RemovalCounts {
    pub(super) deleted: u64,
    pub(super) failed: u64,
}

impl RemovalCounts {
    /// Deletes dead letters that `selection` holds, and writes an audit line for each; `done` is
    /// its result.
    pub(super) async fn remove(
        &mut self,
        selection: &mut Selection,
        dead_letters: &[DeadLetterSummary],
        audit: &AuditLog,
        done: &str,
    ) {
        let ids: Vec<&str> = dead_letters.iter().map(|it| it.id.as_str()).collect();
        let failed = selection.delete(&ids).await;
        for dead_letter in dead_letters {
            if let Some((_, failure)) = failed.iter().find(|(id, _)| *id == dead_letter.id) {
                self.failed += 1;
                audit.log(dead_letter, &format!("not {done}: {}", failure.reason));
            } else {
                self.deleted += 1;
                audit.log(dead_letter, done);
            }
        }
    }
}

/// Prints how a scan ended; a failure unless it saw every dead letter that it should.
pub(super) fn report_scan_end(end: SelectionEnd) -> CommandStatus {
    match end {
        SelectionEnd::Exhausted(Unseen {
            hidden_elsewhere,
            not_received,
        }) => {
            if hidden_elsewhere > 0 {
                status_line(&format!(
                    "about {hidden_elsewhere} more letters are hidden by another process and were not looked at; run this again when it is through"
                ));
            }
            if not_received > 0 {
                status_line(&format!(
                    "SQS counts about {not_received} more letters that it did not hand out (it lets some 120,000 be in flight at once)"
                ));
            }
            CommandStatus::success_if(hidden_elsewhere + not_received == 0)
        }
        SelectionEnd::Limit => CommandStatus::Success,
        SelectionEnd::Stopped => {
            status_line("stopped; what was not acted on is as it was");
            CommandStatus::Failure
        }
    }
}

pub(super) fn show_hidden_count(bar: &ProgressBar, hidden_elsewhere: u64) {
    if hidden_elsewhere > 0 {
        bar.set_message(format!(
            "waiting for about {hidden_elsewhere} that another process hides"
        ));
    }
}

pub(super) fn letters(count: u64) -> String {
    plural(count, "letter")
}
