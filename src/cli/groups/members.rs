//! `usher groups add` and `remove`

use std::time::Duration;

use serde::Serialize;

use crate::app::Services;
use crate::cli::target;
use crate::cli::{CommandStatus, Global, Usage, arguments, row, status_line, width_of};
use crate::config::{GrantableGroups, GroupName};
use crate::event::{AdminOperation, Membership, Username};
use crate::provision::{CommandResult, Outcome};
use crate::reason::{Reason, explain_refusal};
use crate::retry::retry_inline;
use crate::shutdown;
use crate::users::Operator;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// User pool [default: the one in pools.allowed]
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// User name, sub, or e-mail address where the pool signs users in by it
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Group of the pool; repeatable
    #[arg(long, value_name = "GROUP", required = true)]
    group: Vec<String>,
    /// Also allow groups that are not in admin.grantable_groups
    #[arg(long)]
    privileged: bool,
    /// Give up after this long without a successful call
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = arguments::parse_wait)]
    give_up_after: Duration,
}

const REFUSED: &str = "refused";
const FAILED: &str = "failed";

/// The result for one group, one line of output.
#[derive(Debug, Serialize)]
struct MembershipLine<'a> {
    group: &'a str,
    status: &'static str,
    sub: Option<String>,
    reason: Option<String>,
}

/// A change of memberships.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Add,
    Remove,
}

impl Change {
    fn operation(self, membership: Membership) -> AdminOperation {
        match self {
            Self::Add => AdminOperation::AddToGroup(membership),
            Self::Remove => AdminOperation::RemoveFromGroup(membership),
        }
    }

    /// The status after the change. Cognito does not say whether it was so before.
    fn done(self) -> &'static str {
        match self {
            Self::Add => "member",
            Self::Remove => "not_member",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Add => "repeat with --privileged to add the user anyway",
            Self::Remove => "repeat with --privileged to remove the user anyway",
        }
    }
}

pub(super) async fn run(
    global: &Global,
    options: &Options,
    change: Change,
) -> anyhow::Result<CommandStatus> {
    let mut config = global.config(&[])?;
    let pool = target::pool(options.pool.as_deref(), &config)?;
    let groups = target::groups(&options.group)?;
    Username::parse(&options.user).map_err(|rule| Usage::error(format!("--user: {rule}")))?;
    if options.privileged {
        config.admin.grantable = GrantableGroups::only(&groups);
    }
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = Services::from_environment(config).await?;
    let actor = services.aws().caller_name().await;
    let operator = Operator::new(&services, &pool, actor, options.give_up_after, &stop);
    let cognito = services.cognito();
    let width = width_of(groups.iter().map(GroupName::as_str));
    let mut status = CommandStatus::Success;
    for group in &groups {
        if stop.is_cancelled() {
            status_line("stopped; run the same command again");
            return Ok(CommandStatus::Failure);
        }
        let membership = Membership::new(("user", &options.user), ("group", group.as_str()))
            .map_err(|error| Usage::error(format!("--{error}")))?;
        let result = operator.execute(change.operation(membership)).await;
        let line = MembershipLine::new(group, change, &result);
        let mut shown_reason = line.reason.as_deref();
        // The right to give a group is checked before the group is looked up. A person needs the
        // group first.
        if shown_reason == Some(Reason::GroupNotGrantable.as_str()) {
            let exists = retry_inline(|| cognito.has_group(&pool, group)).await;
            if matches!(exists, Ok(false)) {
                shown_reason = Some(Reason::GroupNotFound.as_str());
            }
        }
        if line.reason.is_some() {
            status = CommandStatus::Failure;
        }
        let reason = shown_reason
            .map(|reason| explain_refusal(reason, Some(group.as_str()), change.remedy()));
        global.output.print_line(&line, || {
            text(&line, &options.user, reason.as_deref(), change, width)
        })?;
    }
    Ok(status)
}

impl<'a> MembershipLine<'a> {
    fn new(group: &'a GroupName, change: Change, result: &CommandResult) -> Self {
        let done = change.done();
        let status = match &result.outcome {
            Outcome::Done | Outcome::AlreadyDone(_) => done,
            Outcome::Rejected(_) | Outcome::Ignored(_) => REFUSED,
            // No more attempts follow: the user or the group does not exist.
            Outcome::Retry(retry) if retry.cause.reason.is_not_found() => REFUSED,
            Outcome::Retry(_) | Outcome::Blocked(_) => FAILED,
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
fn text(
    line: &MembershipLine<'_>,
    user: &str,
    reason: Option<&str>,
    change: Change,
    width: usize,
) -> String {
    let status = line.status.replace('_', " ");
    let cells = [
        &status,
        line.group,
        user,
        line.sub.as_deref().unwrap_or("-"),
        reason.unwrap_or_default(),
    ];
    let status_width = width_of([change.done(), REFUSED, FAILED]);
    row(cells, [status_width, width, 0, 0, 0])
}
