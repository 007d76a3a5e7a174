//! `usher dead-letters`

mod drop;
mod dry_run;
mod export;
mod import;
mod list;
mod native;
mod remove;
mod replay;
mod show;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::operator::actor;
use super::{CommandStatus, Global, time};
use crate::app::Services;
use crate::aws::Queue;
use crate::dead_letter::{self, AuditLog, Filter, Selection, Unseen, resolve_dead_letter_queue};
use crate::retry::retry_inline;
use crate::shutdown;
use crate::telemetry::status_line;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: DeadLetterCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DeadLetterCommand {
    /// What failed, by reason; with --output json one object for each letter
    List(list::Options),
    /// Everything that is known of one letter
    Show(show::Options),
    /// Letters once more: through the source queue, or here and now
    Replay(replay::Options),
    /// Letters into a file, one JSON object a line, to keep or to edit
    Export(export::Options),
    /// Letters of such a file back into the dead-letter queue
    Import(import::Options),
    /// Deletes letters for good
    Drop(drop::Options),
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    match &options.command {
        DeadLetterCommand::List(options) => Box::pin(list::run(global, options)).await,
        DeadLetterCommand::Show(options) => Box::pin(show::run(global, options)).await,
        DeadLetterCommand::Replay(options) => Box::pin(replay::run(global, options)).await,
        DeadLetterCommand::Export(options) => Box::pin(export::run(global, options)).await,
        DeadLetterCommand::Import(options) => Box::pin(import::run(global, options)).await,
        DeadLetterCommand::Drop(options) => Box::pin(drop::run(global, options)).await,
    }
}

/// Which letters are meant; all that is given must hold
#[derive(Debug, clap::Args)]
struct FilterOptions {
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
    fn filter(&self) -> Filter {
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

struct CommandContext {
    services: Services,
    source: Queue,
    dead_letters: Queue,
    stop: CancellationToken,
}

/// Concurrent receives of a command that only reads.
const PARALLEL_RECEIVES: usize = 8;
/// One receive at a time hides few dead letters while each is processed.
const SINGLE_RECEIVE: usize = 1;
impl CommandContext {
    async fn open(global: &Global) -> anyhow::Result<Self> {
        let config = global.config()?;
        let stop = shutdown::on_signal(&global.force_exit)?;
        let services = Services::from_environment(config).await?;
        let source = services.queue_with_wait(Duration::from_secs(1));
        let dead_letter_url = services.config.queue.dead_letter_url.as_deref();
        let resolved = tokio::select! {
            resolved = resolve_dead_letter_queue(&source, dead_letter_url) => resolved?,
            () = stop.cancelled() => anyhow::bail!("stopped before the dead-letter queue was found"),
        };
        Ok(Self {
            dead_letters: resolved.queue,
            services,
            source,
            stop,
        })
    }

    fn select(&self, filter: Filter, width: usize) -> Selection {
        Selection::new(&self.dead_letters, width, filter, self.stop.clone())
    }

    /// Approximate count for a progress bar; `None` when the call fails.
    async fn depth(&self) -> Option<u64> {
        let depth = retry_inline(|| self.dead_letters.attributes())
            .await
            .ok()?
            .depth;
        Some(depth.visible + depth.hidden)
    }

    async fn audit(&self, action: &'static str) -> AuditLog {
        AuditLog::new(actor(self.services.aws()).await, action)
    }
}

/// Prints how a scan ended; a failure unless it saw every dead letter that it should.
fn report_scan_end(end: dead_letter::SelectionEnd) -> CommandStatus {
    match end {
        dead_letter::SelectionEnd::Exhausted(Unseen {
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
            if hidden_elsewhere + not_received > 0 {
                CommandStatus::Failure
            } else {
                CommandStatus::Success
            }
        }
        dead_letter::SelectionEnd::Limit => CommandStatus::Success,
        dead_letter::SelectionEnd::Stopped => {
            status_line("stopped; what was not acted on is as it was");
            CommandStatus::Failure
        }
    }
}

fn format_count(count: u64) -> String {
    if count == 1 {
        "1 letter".to_owned()
    } else {
        format!("{count} letters")
    }
}

fn show_hidden_count(bar: &indicatif::ProgressBar, hidden_elsewhere: u64) {
    if hidden_elsewhere > 0 {
        bar.set_message(format!(
            "waiting for about {hidden_elsewhere} that another process hides"
        ));
    }
}
