//! What a run would do, found out without doing it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use super::run::PendingRow;
use crate::aws::{Aws, Directory};
use crate::cli::reasons::explain;
use crate::cli::{CommandStatus, Global, Output, print};
use crate::config::{Config, GroupName};
use crate::event::{Invitation, PoolId, Scope, SignUp, UserAttributes, Username};
use crate::provision::groups_for;
use crate::quota::Quota;
use crate::retry::retry_inline;
use crate::telemetry::status_line;

#[derive(Debug, Serialize)]
struct Preview<'a> {
    rows: usize,
    done: usize,
    to_do: usize,
    groups: Vec<GroupPreview<'a>>,
}

/// A group, and the rows to do whose people would be put into it.
#[derive(Debug, Serialize)]
struct GroupPreview<'a> {
    name: &'a str,
    rows: usize,
    /// Why rows that ask for it would be refused.
    reason: Option<&'static str>,
}

pub(super) async fn show(
    global: &Global,
    config: &Config,
    (aws, pool): (&Aws, &PoolId),
    tasks: &[PendingRow],
    done: usize,
) -> anyhow::Result<CommandStatus> {
    let directory = Directory::new(aws, Arc::new(Quota::new(config.quota)));
    let mut rows: BTreeMap<GroupName, GroupRows<'_>> = BTreeMap::new();
    for task in tasks {
        let invitation = &task.row.invitation;
        let given = groups_for(&config.groups, &sign_up(pool, invitation)?);
        for group in given.into_iter().chain(invitation.groups.clone()) {
            let rows = rows.entry(group).or_default();
            rows.all.insert(task.hash.as_str());
        }
        for group in &invitation.groups {
            rows.entry(group.clone()).or_default().is_requested = true;
        }
    }
    let mut groups = Vec::new();
    for (
        group,
        GroupRows {
            all,
            is_requested: asked,
        },
    ) in &rows
    {
        let reason = if *asked && !config.admin.grantable.allows(group) {
            Some("group_not_grantable")
        } else if *asked {
            match retry_inline(|| directory.has_group(pool, group)).await {
                Ok(exists) => (!exists).then_some("group_not_found"),
                Err(failure) => {
                    status_line(&format!("whether {group} is there is not known: {failure}"));
                    None
                }
            }
        } else {
            None
        };
        groups.push(GroupPreview {
            name: group.as_str(),
            rows: all.len(),
            reason,
        });
    }
    let preview = Preview {
        rows: tasks.len() + done,
        done,
        to_do: tasks.len(),
        groups,
    };
    match global.output {
        Output::Json => print(&(serde_json::to_string(&preview)? + "\n"))?,
        Output::Text => print(&preview.text())?,
    }
    let refused = preview.groups.iter().any(|group| group.reason.is_some());
    Ok(if refused {
        CommandStatus::Failure
    } else {
        CommandStatus::Success
    })
}

#[derive(Default)]
struct GroupRows<'a> {
    all: BTreeSet<&'a str>,
    is_requested: bool,
}

/// The person as the rules will see them.
fn sign_up(pool: &PoolId, invitation: &Invitation) -> anyhow::Result<SignUp> {
    let given = invitation.attributes.iter();
    let given = given.map(|(name, value)| (name.as_str(), value.as_str()));
    let email = [("email", &*invitation.email), ("email_verified", "true")];
    let username = invitation.sign_in_name().or_else(|| Username::new("-"));
    Ok(SignUp {
        pool: pool.clone(),
        username: username.ok_or_else(|| anyhow::anyhow!("a row without a name"))?,
        sub: None,
        client_id: None,
        attributes: given.chain(email).collect::<UserAttributes>(),
        scope: Scope::Full,
    })
}

impl Preview<'_> {
    fn text(&self) -> String {
        let Self {
            rows, done, to_do, ..
        } = self;
        let mut text = format!("{rows} rows: {to_do} to do, {done} done already\n");
        for group in &self.groups {
            let reason = group.reason.map(|reason| format!("  {}", explain(reason)));
            let reason = reason.unwrap_or_default();
            let _ = writeln!(text, "{}  {} rows{reason}", group.name, group.rows);
        }
        text
    }
}
