//! `usher users invite --dry-run`: shows the pending rows and their groups.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::run::PendingRow;
use crate::app::Services;
use crate::cli::{CommandStatus, Global, plural, status_line, table};
use crate::config::{Config, GroupName};
use crate::event::{Invitation, PoolId, Scope, SignUp, UserAttributes, Username};
use crate::provision::groups_for;
use crate::reason::{GRANT_LATER, explain_refusal};
use crate::retry::retry_inline;

#[derive(Debug, Serialize)]
struct Preview<'a> {
    rows: usize,
    done: usize,
    /// Pending rows that ask for a group which is missing or not grantable.
    refused: usize,
    /// The other pending rows.
    to_do: usize,
    groups: Vec<GroupPreview<'a>>,
}

/// A group, and the number of pending rows whose users would be added to it.
#[derive(Debug, Serialize)]
struct GroupPreview<'a> {
    group: &'a str,
    rows: usize,
    /// The reason for which rows that ask for it would be refused.
    reason: Option<&'static str>,
}

pub(super) async fn show(
    global: &Global,
    services: &Services,
    pool: &PoolId,
    pending: &[PendingRow],
    done: usize,
) -> anyhow::Result<CommandStatus> {
    let rows = count_groups(&services.config, pool, pending)?;
    let named = pending.iter().flat_map(|it| &it.row.invitation.groups);
    let refusals = refusals(services, pool, named.collect()).await;
    let groups = rows.iter().map(|(group, rows)| GroupPreview {
        group: group.as_str(),
        rows: *rows,
        reason: refusals.get(group).copied(),
    });
    let is_refused = |pending: &&PendingRow| {
        let mut groups = pending.row.invitation.groups.iter();
        groups.any(|group| refusals.contains_key(group))
    };
    let refused = pending.iter().filter(is_refused).count();
    let preview = Preview {
        rows: pending.len() + done,
        done,
        refused,
        to_do: pending.len() - refused,
        groups: groups.collect(),
    };
    global.output.print(&preview, || preview.text())?;
    Ok(CommandStatus::Success)
}

/// The number of rows for each group that a rule or the row itself gives.
fn count_groups(
    config: &Config,
    pool: &PoolId,
    pending: &[PendingRow],
) -> anyhow::Result<BTreeMap<GroupName, usize>> {
    let mut rows = BTreeMap::new();
    for PendingRow { row, .. } in pending {
        let given = groups_for(&config.groups, &sign_up(pool, &row.invitation)?);
        let groups: BTreeSet<&GroupName> = given.iter().chain(&row.invitation.groups).collect();
        for group in groups {
            *rows.entry(group.clone()).or_default() += 1;
        }
    }
    Ok(rows)
}

/// The groups that refuse a row which names them, with the reason.
async fn refusals<'a>(
    services: &Services,
    pool: &PoolId,
    named: BTreeSet<&'a GroupName>,
) -> BTreeMap<&'a GroupName, &'static str> {
    let cognito = services.cognito();
    let mut refusals = BTreeMap::new();
    for group in named {
        match retry_inline(|| cognito.has_group(pool, group)).await {
            Ok(true) => {}
            Ok(false) => {
                refusals.insert(group, "group_not_found");
                continue;
            }
            Err(failure) => status_line(&format!("whether {group} exists is not known: {failure}")),
        }
        if !services.config.admin.grantable.allows(group) {
            refusals.insert(group, "group_not_grantable");
        }
    }
    refusals
}

/// The sign-up that the group rules will see.
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
        let row = |group: &GroupPreview<'_>| {
            let explain = |reason| explain_refusal(reason, Some(group.group), GRANT_LATER);
            let reason = group.reason.map(explain).unwrap_or_default();
            let rows = plural(group.rows as u64, "row");
            [group.group.to_owned(), rows, reason]
        };
        let rows: Vec<_> = self.groups.iter().map(row).collect();
        let Self {
            done,
            refused,
            to_do,
            ..
        } = self;
        format!(
            "{}dry run: {to_do} would be invited, {refused} would be refused, {done} already done",
            table(&rows, usize::MAX),
        )
    }
}
