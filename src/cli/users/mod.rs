//! `usher users`

mod forget;
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
    /// Delete a user, their profiles and their dead letters, and report what remains
    ///
    /// Deletes profiles and the user with all memberships, waits up to five minutes until the
    /// source queue is empty, deletes the dead letters with the sub and profiles that came
    /// meanwhile, and looks again. Dead letters that have only the name or an address of the user
    /// may be about another, and so may a profile whose owner is only the name, with several pools
    /// in pools.allowed. It reports these, and deletes nothing before you have decided. Exit
    /// status 1: something remains, or may remain; run it again.
    /// deploy/forget-policy.json has the permissions.
    Forget(forget::Options),
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    match &options.command {
        UsersCommand::Invite(options) => Box::pin(invite::run(global, options)).await,
        UsersCommand::Show(options) => Box::pin(show::run(global, options)).await,
        UsersCommand::Forget(options) => Box::pin(forget::run(global, options)).await,
    }
}
