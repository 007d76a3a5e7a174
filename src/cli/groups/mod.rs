//! `usher groups`

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
    /// Add a user to groups
    Add(members::Options),
    /// Remove a user from groups
    Remove(members::Options),
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let change = match &options.command {
        GroupsCommand::Add(options) => {
            members::run(global, options, AdminOperation::AddToGroup, "added")
        }
        GroupsCommand::Remove(options) => {
            members::run(global, options, AdminOperation::RemoveFromGroup, "removed")
        }
    };
    Box::pin(change).await
}
