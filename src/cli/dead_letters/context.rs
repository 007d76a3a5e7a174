//! What the commands share: the filter, the two queues, and the scan of the dead letters.

use anyhow::bail;
use tokio_util::sync::CancellationToken;

use crate::app::Services;
use crate::aws::Queue;
use crate::cli::{
    CommandStatus, Global, Progress, Usage, arguments, confirm, plural, progress_bar, status_line,
    time as show_time,
};
use crate::config::{Required, parse_time};
use crate::dead_letter::{
    AuditLog, DeadLetterSummary, Filter, ReasonCounts, ReceivedDeadLetter, ScanReport, Selection,
    parse_id, parse_sub, waiting_for,
};
pub(super) use crate::dead_letter::{PARALLEL_RECEIVES, SINGLE_RECEIVE};
use crate::reason;
use crate::retry::retry_inline;
use crate::shutdown;

/// Which dead letters are meant; all that is given must hold
#[derive(Debug, clap::Args)]
pub(super) struct FilterOptions {
    /// Only dead letters with this reason; repeatable
    #[arg(long, value_name = "CODE", value_parser = reason::parse)]
    reason: Vec<String>,
    /// Only dead letters since TIME: a time (2026-08-01T09:05Z), a UTC day or an age
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<jiff::Timestamp>,
    /// Only dead letters from before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    before: Option<jiff::Timestamp>,
    /// Only dead letters whose event names this user pool
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// Only dead letters of the user with this sub
    #[arg(long, value_name = "UUID", value_parser = parse_sub)]
    sub: Option<String>,
    /// At most this many dead letters
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = arguments::parse_count)]
    limit: Option<u64>,
}

/// The options of a filter. The last one does not say which dead letters are meant.
pub(super) const FILTER_OPTIONS: [&str; 6] = ["reason", "since", "before", "pool", "sub", "limit"];
/// Those that say which dead letters are meant.
const FILTERS: [&str; 5] = {
    let [filters @ .., _limit] = FILTER_OPTIONS;
    filters
};

impl FilterOptions {
    pub(super) fn filter(&self) -> Filter {
        for (name, time) in [("since", self.since), ("before", self.before)] {
            if let Some(time) = time {
                status_line(&format!("{name} {}", show_time(time)));
            }
        }
        Filter {
            reasons: self.reason.clone(),
            since: self.since,
            before: self.before,
            pool: self.pool.clone(),
            sub: self.sub.clone(),
            limit: self.limit,
            ..Filter::default()
        }
    }
}

/// The options of a command that changes dead letters.
#[derive(Debug, clap::Args)]
pub(super) struct ChangeOptions {
    /// Ids, or their first 8 characters or more
    #[arg(value_name = "ID", value_parser = parse_id)]
    #[arg(conflicts_with = "all", conflicts_with_all = FILTER_OPTIONS)]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterOptions,
    /// Every dead letter
    #[arg(long, conflicts_with_all = FILTERS)]
    pub(super) all: bool,
    /// Skip the confirmation prompt
    #[arg(long)]
    pub(super) yes: bool,
}

impl ChangeOptions {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            ids: self.ids.clone(),
            ..self.filter.filter()
        }
    }

    /// The filter, if it says which dead letters are meant.
    pub(super) fn filter_of_change(&self) -> anyhow::Result<Filter> {
        let filter = self.filter();
        if filter.matches_all() && !self.all {
            return Err(Usage::error(
                "choose dead letters by id, with a filter such as --reason, or with --all",
            ));
        }
        arguments::require_terminal_or_yes(self.yes)?;
        Ok(filter)
    }

    /// Prints the counts by reason and asks, unless `--yes` is given.
    pub(super) async fn confirm(
        &self,
        counts: &ReasonCounts,
        question: &str,
        context: &CommandContext,
    ) -> bool {
        if self.yes {
            return true;
        }
        for (reason, group) in counts.by_frequency() {
            status_line(&format!("{:>8}  {reason}", group.count));
        }
        confirm(question, &context.stop).await
    }
}

/// The dead-letter queue of one command.
pub(in crate::cli) struct CommandContext {
    pub(super) services: Services,
    pub(super) dead_letter_queue: Queue,
    pub(super) stop: CancellationToken,
}

impl CommandContext {
    /// For a command that needs the dead-letter queue and the `required` settings.
    pub(super) async fn open(global: &Global, required: &[Required]) -> anyhow::Result<Self> {
        let config = global.config(&[&[Required::DeadLetterQueue], required].concat())?;
        let stop = shutdown::on_signal(&global.force_exit)?;
        let services = Services::from_environment(config).await?;
        let dead_letter_queue = tokio::select! {
            queue = services.dead_letter_queue() => queue?,
            () = stop.cancelled() => bail!("stopped before the dead-letter queue was found"),
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
        let counted = self.count().await;
        DeadLetterScan {
            bar: progress_bar(counted, BAR_LABEL),
            counted,
            selection: self.select(filter, width),
        }
    }

    /// SQS's approximate count; `None` when the call fails.
    pub(super) async fn count(&self) -> Option<u64> {
        let attributes = retry_inline(|| self.dead_letter_queue.attributes()).await;
        Some(attributes.ok()?.depth.total())
    }

    pub(super) async fn audit(&self, action: &'static str) -> AuditLog {
        AuditLog::new(self.services.aws().caller_name().await, action)
    }
}

pub(super) const BAR_LABEL: &str = "dead letters";

/// The dead letters that match a filter, with a progress bar.
pub(super) struct DeadLetterScan {
    pub(super) selection: Selection,
    pub(super) bar: Progress,
    /// SQS's approximate count at the start.
    pub(super) counted: Option<u64>,
}

impl DeadLetterScan {
    /// Passes each page of dead letters to `handle`, until the end or the first error. Call
    /// [`Self::finish`] in any case.
    pub(super) async fn for_each(
        &mut self,
        mut handle: impl AsyncFnMut(&mut Selection, Vec<ReceivedDeadLetter>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Self { selection, bar, .. } = self;
        while let Some(dead_letters) = selection
            .next(|_| true, |hidden| show_hidden_count(bar, hidden))
            .await?
        {
            bar.set_position(selection.seen().total());
            handle(selection, dead_letters).await?;
        }
        Ok(())
    }

    /// All that match, without their bodies. They stay hidden.
    ///
    /// # Errors
    /// Also when not each of the filter's ids is the beginning of one id.
    pub(super) async fn collect(&mut self) -> anyhow::Result<Vec<DeadLetterSummary>> {
        let mut matched = Vec::new();
        self.for_each(async |_, dead_letters| {
            matched.extend(dead_letters.into_iter().map(|it| it.summary));
            Ok(())
        })
        .await?;
        self.bar.finish_and_clear();
        if !self.selection.is_stopped() {
            self.selection
                .check_ids(&matched)
                .map_err(anyhow::Error::msg)?;
        }
        Ok(matched)
    }

    /// Makes every dead letter visible again that was not deleted.
    pub(super) async fn finish(self) -> ScanReport {
        self.bar.set_message("returning dead letters to the queue");
        let report = ScanReport::finish(self.selection).await;
        self.bar.finish_and_clear();
        report
    }
}

impl ScanReport {
    /// Prints how the scan ended; a failure unless it saw every dead letter that it should.
    pub(super) fn print_end(&self) -> CommandStatus {
        let unread = self.unread();
        for line in &unread {
            status_line(line);
        }
        CommandStatus::success_if(unread.is_empty())
    }
}

pub(super) fn show_hidden_count(bar: &Progress, hidden_elsewhere: u64) {
    if hidden_elsewhere > 0 {
        bar.set_message(waiting_for(hidden_elsewhere));
    }
}

pub(super) fn letters(count: u64) -> String {
    plural(count, "dead letter")
}

/// A longer reason does not widen a table, which fits into 80 columns.
pub(super) const MAX_REASON_WIDTH: usize = 24;

#[cfg(test)]
mod tests {
    use clap::{Args, Command};

    use super::*;

    #[test]
    fn the_options_of_a_filter_are_listed() {
        let command = FilterOptions::augment_args(Command::new("filter"));
        let ids = command.get_arguments().map(|it| it.get_id().as_str());
        assert_eq!(ids.collect::<Vec<_>>(), FILTER_OPTIONS);
    }
}
