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
