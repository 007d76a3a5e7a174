//! `usher load`

mod clean;
mod compare;
mod options;
mod run;
mod services;

use super::{CommandStatus, Global};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: LoadCommand,
}

#[derive(Debug, clap::Subcommand)]
enum LoadCommand {
    /// Create test users, send their sign-ups, verify the result, and delete everything
    Run(Box<options::Options>),
    /// Delete what an interrupted run left: users, profiles, messages and dead letters
    Clean(clean::Options),
    /// Show the measures of two runs side by side
    ///
    /// Exit status 0 whatever the difference is: two runs always differ. Use --require of "load run"
    /// for a bound.
    Compare(compare::Options),
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    match &options.command {
        LoadCommand::Run(options) => Box::pin(run::run(global, options)).await,
        LoadCommand::Clean(options) => clean::run(global, options).await,
        LoadCommand::Compare(options) => compare::run(global, options),
    }
}
