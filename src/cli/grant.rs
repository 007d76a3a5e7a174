//! `usher grant`

use std::time::Duration;

use serde::Serialize;

use super::operator::{self, Operator};
use super::reasons::explain;
use super::{CommandStatus, Global, Usage, status_line, time};
use crate::app::Services;
use crate::config::{GrantableGroups, GroupName};
use crate::event::{AdminOperation, Membership, Username};
use crate::provision::{CommandResult, Outcome};
use crate::shutdown;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// User pool; that of pools.allowed unless given
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// The user: name, e-mail address where it is an alias, or sub
    #[arg(long, value_name = "NAME")]
    user: String,
    /// A group that exists; may be repeated
    #[arg(long, value_name = "GROUP", required = true)]
    group: Vec<String>,
    /// Takes the user out instead
    #[arg(long)]
    remove: bool,
    /// Also groups that `admin.grantable_groups` leaves out
    #[arg(long)]
    privileged: bool,
    /// Gives up when nothing has worked for so long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = time::parse_wait)]
    patience: Duration,
}

/// The result for one group, one line of output.
#[derive(Debug, Serialize)]
struct GrantLine<'a> {
    group: &'a str,
    status: &'static str,
    sub: Option<String>,
    reason: Option<String>,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let mut config = global.config(&[])?;
    let pool = operator::pool(options.pool.as_deref(), &config)?;
    let groups = options.groups()?;
    Username::parse(&options.user).map_err(|rule| Usage::error(format!("--user: {rule}")))?;
    if options.privileged {
        config.admin.grantable = GrantableGroups::only(&groups);
    }
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = Services::from_environment(config).await?;
    let operator = Operator::new(&services, &pool, options.patience, &stop).await;
    let mut status = CommandStatus::Success;
    for group in &groups {
        if stop.is_cancelled() {
            status_line("stopped; it may be run again as it is");
            return Ok(CommandStatus::Failure);
        }
        let membership = Membership::new(("user", &options.user), ("group", group.as_str()))
            .map_err(|error| Usage::error(format!("--{error}")))?;
        let operation = if options.remove {
            AdminOperation::RemoveFromGroup(membership)
        } else {
            AdminOperation::AddToGroup(membership)
        };
        let result = operator.execute(operation).await;
        let line = options.line(group, &result);
        if line.reason.is_some() {
            status = CommandStatus::Failure;
        }
        global.output.print_line(&line, || text(&line))?;
    }
    Ok(status)
}

impl Options {
    fn groups(&self) -> anyhow::Result<Vec<GroupName>> {
        let mut groups = Vec::new();
        for name in &self.group {
            let group =
                GroupName::parse(name).map_err(|rule| Usage::error(format!("--group: {rule}")))?;
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Ok(groups)
    }

    fn line<'a>(&self, group: &'a GroupName, result: &CommandResult) -> GrantLine<'a> {
        let done = if self.remove { "removed" } else { "added" };
        let status = match &result.outcome {
            Outcome::Done | Outcome::AlreadyDone(_) => done,
            Outcome::Rejected(_) | Outcome::Ignored(_) => "refused",
            // No more attempts follow: the user or the group does not exist.
            Outcome::Retry(retry) if retry.cause.reason.is_not_found() => "refused",
            Outcome::Retry(_) | Outcome::Blocked(_) => "failed",
        };
        GrantLine {
            group: group.as_str(),
            status,
            sub: result.loggable_sub().map(str::to_owned),
            reason: (status != done).then(|| result.outcome.reason_code().to_owned()),
        }
    }
}

fn text(line: &GrantLine<'_>) -> String {
    let GrantLine { group, status, .. } = line;
    let sub = line.sub.as_deref().unwrap_or("-");
    match &line.reason {
        None => format!("{group}  {status}  {sub}"),
        Some(reason) => format!("{group}  {status}  {sub}  {}", explain(reason)),
    }
}
