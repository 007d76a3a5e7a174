//! `usher groups create`

use serde::Serialize;

use crate::app::Services;
use crate::aws::Failure;
use crate::cli::{CommandStatus, Global, row, target, width_of};
use crate::config::GroupName;
use crate::event::PoolId;
use crate::retry::retry_inline;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher groups create --group STAFF
  usher groups create --group STAFF --group TEAM-A")]
pub(super) struct Options {
    /// User pool [default: the one in pools.allowed]
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// Name of the group; repeatable
    #[arg(long, value_name = "GROUP", required = true)]
    group: Vec<String>,
}

/// The result for one group, one line of output.
#[derive(Debug, Serialize)]
struct GroupLine<'a> {
    group: &'a str,
    status: &'static str,
    reason: Option<String>,
    error: Option<String>,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(&[])?;
    let pool = target::pool(options.pool.as_deref(), &config)?;
    let groups = target::groups(&options.group)?;
    let services = Services::from_environment(config).await?;
    let cognito = services.cognito();
    let actor = services.aws().caller_name().await;
    let width = width_of(groups.iter().map(GroupName::as_str));
    let mut all_exist = true;
    for group in &groups {
        let result = retry_inline(|| cognito.create_group(&pool, group)).await;
        let line = GroupLine::new(group, &result);
        audit(&actor, &pool, &line);
        all_exist &= result.is_ok();
        global.output.print_line(&line, || text(&line, width))?;
    }
    Ok(CommandStatus::success_if(all_exist))
}

impl<'a> GroupLine<'a> {
    fn new(group: &'a GroupName, created: &Result<bool, Failure>) -> Self {
        Self {
            group: group.as_str(),
            status: match created {
                Ok(true) => "created",
                Ok(false) => "exists",
                Err(_) => "failed",
            },
            reason: created.as_ref().err().map(|it| it.reason.to_string()),
            error: created.as_ref().err().map(Failure::to_string),
        }
    }
}

fn audit(actor: &str, pool: &PoolId, line: &GroupLine<'_>) {
    tracing::info!(
        target: "usher::audit",
        action = "CreateGroup",
        actor,
        group.names = line.group,
        pool.id = pool.as_str(),
        result = line.status,
        reason = line.error,
        "group {}",
        line.status,
    );
}

fn text(line: &GroupLine<'_>, width: usize) -> String {
    let error = line.error.as_deref().unwrap_or_default();
    row(
        [line.status, line.group, error],
        ["created".len(), width, 0],
    )
}
