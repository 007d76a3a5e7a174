//! `usher groups`

mod create;
mod list;
mod members;

use super::{CommandStatus, Global};
use crate::event::AdminOperation;

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
    /// Add a user to groups
    Add(members::Options),
    /// Remove a user from groups
    Remove(members::Options),
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    match &options.command {
        GroupsCommand::List(options) => list::run(global, options).await,
        GroupsCommand::Create(options) => create::run(global, options).await,
        GroupsCommand::Add(options) => {
            let add = members::run(global, options, AdminOperation::AddToGroup, "added");
            Box::pin(add).await
        }
        GroupsCommand::Remove(options) => {
            let remove = AdminOperation::RemoveFromGroup;
            Box::pin(members::run(global, options, remove, "removed")).await
        }
    }
}
