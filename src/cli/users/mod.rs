//! `usher users`

mod invite;
mod show;

use super::{CommandStatus, Global};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Debug, clap::Subcommand)]
enum UsersCommand {
    /// Create users with groups and profile, and send invitations
    Invite(Box<invite::Options>),
    /// Show what a user has and lacks, and why; with --fix queue their sign-up
    ///
    /// Exit status 1: something is missing and was not queued, could not be read, or is a dead
    /// letter. Dead letters are matched by sub, so those of admin commands are not shown. If the
    /// profile is missing, usher looks for one under another id: with profiles.owner_index by
    /// a query, otherwise by a scan of the whole table. Cognito bills the user as active this
    /// month.
    Show(show::Options),
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    match &options.command {
        UsersCommand::Invite(options) => Box::pin(invite::run(global, options)).await,
        UsersCommand::Show(options) => Box::pin(show::run(global, options)).await,
    }
}
