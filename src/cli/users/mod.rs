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
    /// The exit status is 1 if a group or the profile is missing, or if there is a dead letter. Dead
    /// letters are found by the sub: those of admin commands have none. A missing profile is looked
    /// for under other ids, without `profiles.owner_index` in the whole table. The look-up makes the
    /// user count as active this month.
    Show(show::Options),
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    match &options.command {
        UsersCommand::Invite(options) => Box::pin(invite::run(global, options)).await,
        UsersCommand::Show(options) => Box::pin(show::run(global, options)).await,
    }
}
