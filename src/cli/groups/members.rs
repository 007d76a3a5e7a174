//! `usher groups add` and `remove`

use std::time::Duration;

use serde::Serialize;

use crate::app::Services;
use crate::cli::operator::{self, Operator};
use crate::cli::reasons::{GRANT_PRIVILEGED, explain_refusal};
use crate::cli::{CommandStatus, Global, Usage, arguments, status_line};
use crate::config::{GrantableGroups, GroupName};
use crate::event::{AdminOperation, Membership, Username};
use crate::provision::{CommandResult, Outcome};
use crate::shutdown;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher groups add --user ada@example.com --group STAFF
  usher groups remove --user ada@example.com --group STAFF")]
pub(super) struct Options {
    /// User pool [default: the one in pools.allowed]
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// User name, sub, or e-mail address where the pool signs users in by it
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Existing group; repeatable
    #[arg(long, value_name = "GROUP", required = true)]
    group: Vec<String>,
    /// Allow groups that `admin.grantable_groups` leaves out
    #[arg(long)]
    privileged: bool,
    /// Give up after this long without a success
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = arguments::parse_wait)]
    give_up_after: Duration,
}

/// The result for one group, one line of output.
#[derive(Debug, Serialize)]
struct MembershipLine<'a> {
    group: &'a str,
    status: &'static str,
    sub: Option<String>,
    reason: Option<String>,
}

/// `done` is the status of a group for which the operation succeeded.
pub(super) async fn run(
    global: &Global,
    options: &Options,
    operation: fn(Membership) -> AdminOperation,
    done: &'static str,
) -> anyhow::Result<CommandStatus> {
    let mut config = global.config(&[])?;
    let pool = operator::pool(options.pool.as_deref(), &config)?;
    let groups = operator::groups(&options.group)?;
    Username::parse(&options.user).map_err(|rule| Usage::error(format!("--user: {rule}")))?;
    if options.privileged {
        config.admin.grantable = GrantableGroups::only(&groups);
    }
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = Services::from_environment(config).await?;
    let operator = Operator::new(&services, &pool, options.give_up_after, &stop).await;
    let mut status = CommandStatus::Success;
    for group in &groups {
        if stop.is_cancelled() {
            status_line("stopped; run the same command again");
            return Ok(CommandStatus::Failure);
        }
        let membership = Membership::new(("user", &options.user), ("group", group.as_str()))
            .map_err(|error| Usage::error(format!("--{error}")))?;
        let result = operator.execute(operation(membership)).await;
        let line = MembershipLine::new(group, done, &result);
        if line.reason.is_some() {
            status = CommandStatus::Failure;
        }
        global
            .output
            .print_line(&line, || text(&line, &options.user, done))?;
    }
    Ok(status)
}

impl<'a> MembershipLine<'a> {
    fn new(group: &'a GroupName, done: &'static str, result: &CommandResult) -> Self {
        let status = match &result.outcome {
            Outcome::Done | Outcome::AlreadyDone(_) => done,
            Outcome::Rejected(_) | Outcome::Ignored(_) => "refused",
            // No more attempts follow: the user or the group does not exist.
            Outcome::Retry(retry) if retry.cause.reason.is_not_found() => "refused",
            Outcome::Retry(_) | Outcome::Blocked(_) => "failed",
        };
        Self {
            group: group.as_str(),
            status,
            sub: result.loggable_sub().map(str::to_owned),
            reason: (status != done).then(|| result.outcome.reason_code().to_owned()),
        }
    }
}

/// The line for a person, with the user as they typed it.
fn text(line: &MembershipLine<'_>, user: &str, done: &str) -> String {
    let MembershipLine { group, status, .. } = line;
    let sub = line.sub.as_deref().unwrap_or("-");
    let privileged = match done {
        "added" => GRANT_PRIVILEGED,
        _ => "remove it with usher groups remove --privileged",
    };
    match &line.reason {
        None => format!("{group}  {status}  {user}  {sub}"),
        Some(reason) => {
            let reason = explain_refusal(reason, Some(group), privileged);
            format!("{group}  {status}  {user}  {sub}  {reason}")
        }
    }
}
