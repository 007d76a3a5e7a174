//! `usher grant`

use std::time::Duration;

use serde::Serialize;

use super::operator::{self, Operator};
use super::reasons::explained;
use super::{Ended, Global, Output, Usage, print};
use crate::aws::Aws;
use crate::config::{Grantable, GroupName};
use crate::event::{Action, Membership, Sub, Username, is_opaque};
use crate::provision::{Outcome, Performed};
use crate::shutdown;
use crate::telemetry::note;

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
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = operator::patience)]
    patience: Duration,
}

/// What became of one group.
#[derive(Debug, Serialize)]
struct Line<'a> {
    group: &'a str,
    status: &'static str,
    sub: Option<String>,
    reason: Option<String>,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<Ended> {
    let mut config = global.config()?;
    let pool = operator::pool(options.pool.as_deref(), &config)?;
    let groups = options.groups()?;
    Username::plain(&options.user).map_err(|rule| Usage::error(format!("--user: {rule}")))?;
    if options.privileged {
        config.admin.grantable = Grantable::only(&groups);
    }
    let stop = shutdown::on_signal(&global.at_once)?;
    let aws = Aws::from_environment().await?;
    let operator = Operator::new(&config, &aws, &pool, options.patience, &stop).await;
    let mut ended = Ended::Well;
    for group in &groups {
        if stop.is_cancelled() {
            note("stopped; it may be run again as it is");
            return Ok(Ended::Badly);
        }
        let names = (("user", options.user.as_str()), ("group", group.as_str()));
        let membership = Membership::new(names.0, names.1)
            .map_err(|wrong| Usage::error(format!("--{wrong}")))?;
        let action = if options.remove {
            Action::Remove(membership)
        } else {
            Action::Add(membership)
        };
        let performed = operator.carry_out(action).await;
        let line = options.line(group, &performed);
        if line.reason.is_some() {
            ended = Ended::Badly;
        }
        print(&match global.output {
            Output::Json => serde_json::to_string(&line)? + "\n",
            Output::Text => text(&line),
        })?;
    }
    Ok(ended)
}

impl Options {
    fn groups(&self) -> anyhow::Result<Vec<GroupName>> {
        let mut groups = Vec::new();
        for name in &self.group {
            let group =
                GroupName::plain(name).map_err(|rule| Usage::error(format!("--group: {rule}")))?;
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Ok(groups)
    }

    fn line<'a>(&self, group: &'a GroupName, performed: &Performed) -> Line<'a> {
        let done = if self.remove { "removed" } else { "added" };
        let reason = performed.outcome.reason();
        let status = match &performed.outcome {
            Outcome::Done | Outcome::AlreadyDone(_) => done,
            Outcome::Rejected(_) | Outcome::Ignored(_) => "refused",
            // Nobody waits for it any more: it is not there.
            Outcome::Retry(_) if reason.ends_with("_not_found") => "refused",
            Outcome::Retry(_) | Outcome::Blocked(_) => "failed",
        };
        let sub = performed.whom.as_ref().and_then(|whom| whom.sub.as_ref());
        Line {
            group: group.as_str(),
            status,
            sub: sub
                .map(Sub::as_str)
                .filter(|sub| is_opaque(sub))
                .map(str::to_owned),
            reason: (status != done).then(|| reason.to_owned()),
        }
    }
}

fn text(line: &Line<'_>) -> String {
    let Line { group, status, .. } = line;
    let sub = line.sub.as_deref().unwrap_or("-");
    match &line.reason {
        None => format!("{group}  {status}  {sub}\n"),
        Some(reason) => format!("{group}  {status}  {sub}  {}\n", explained(reason)),
    }
}
