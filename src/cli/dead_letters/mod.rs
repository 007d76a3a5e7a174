//! `usher dead-letters`

mod context;
mod drop;
mod export;
mod import;
mod list;
mod replay;
mod show;

use super::{CommandStatus, Global};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: DeadLetterCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DeadLetterCommand {
    /// Count dead letters by reason (JSON: one line for each dead letter)
    List(list::Options),
    /// Show one dead letter in full
    Show(show::Options),
    /// Send dead letters to the source queue again, or provision here (--direct)
    ///
    /// Without --direct, exit status 0 means that they were sent: a worker processes them later, and
    /// those that fail again come back.
    Replay(replay::Options),
    /// Export dead letters to a JSON Lines file
    Export(export::Options),
    /// Import an exported file into the dead-letter queue
    Import(import::Options),
    /// Delete dead letters for good
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
