//! `usher groups`

mod create;
mod list;
mod members;

use super::{CommandStatus, Global};
use members::Change;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: GroupsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum GroupsCommand {
    /// List the groups of a user pool, and those that the configuration names
    List(list::Options),
    /// Create groups
    Create(create::Options),
    /// Add a user to groups; a user who is in the group stays in it
    #[command(after_long_help = "Examples:
  usher groups add --user ada@example.com --group STAFF
  usher groups add --user ada --group ADMINS --privileged")]
    Add(members::Options),
    /// Remove a user from groups
    #[command(after_long_help = "Examples:
  usher groups remove --user ada@example.com --group STAFF
  usher groups remove --user ada --group STAFF --group TEAM-A")]
    Remove(members::Options),
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    match &options.command {
        GroupsCommand::List(options) => list::run(global, options).await,
        GroupsCommand::Create(options) => create::run(global, options).await,
        GroupsCommand::Add(options) => Box::pin(members::run(global, options, Change::Add)).await,
        GroupsCommand::Remove(options) => {
            Box::pin(members::run(global, options, Change::Remove)).await
        }
    }
}
