//! `usher users`

mod invite;

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
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    match &options.command {
        UsersCommand::Invite(options) => Box::pin(invite::run(global, options)).await,
    }
}
