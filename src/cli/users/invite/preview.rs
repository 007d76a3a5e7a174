//! `usher users invite --dry-run`: shows the pending rows and their groups.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use super::run::PendingRow;
use crate::app::Services;
use crate::cli::reasons::{GRANT_PRIVILEGED, explain_refusal};
use crate::cli::{CommandStatus, Global, plural, status_line};
use crate::config::GroupName;
use crate::event::{Invitation, PoolId, Scope, SignUp, UserAttributes, Username};
use crate::provision::groups_for;
use crate::retry::retry_inline;

#[derive(Debug, Serialize)]
struct Preview<'a> {
    rows: usize,
    done: usize,
    to_do: usize,
    groups: Vec<GroupPreview<'a>>,
}

/// A group, and the number of pending rows whose users would be added to it.
#[derive(Debug, Serialize)]
struct GroupPreview<'a> {
    name: &'a str,
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
    let (config, cognito) = (&services.config, services.cognito());
    // The rows of each group, and the groups that a row asks for by name.
    let mut rows: BTreeMap<GroupName, usize> = BTreeMap::new();
    let mut requested = BTreeSet::new();
    for PendingRow { row, .. } in pending {
        let named = &row.invitation.groups;
        let given = groups_for(&config.groups, &sign_up(pool, &row.invitation)?);
        let groups: BTreeSet<&GroupName> = given.iter().chain(named).collect();
        for group in groups {
            *rows.entry(group.clone()).or_default() += 1;
        }
        requested.extend(named.clone());
    }
    let mut groups = Vec::new();
    for (group, rows) in &rows {
        let reason = if !requested.contains(group) {
            None
        } else if !config.admin.grantable.allows(group) {
            Some("group_not_grantable")
        } else {
            match retry_inline(|| cognito.has_group(pool, group)).await {
                Ok(exists) => (!exists).then_some("group_not_found"),
                Err(failure) => {
                    status_line(&format!("whether {group} is there is not known: {failure}"));
                    None
                }
            }
        };
        groups.push(GroupPreview {
            name: group.as_str(),
            rows: *rows,
            reason,
        });
    }
    let preview = Preview {
        rows: pending.len() + done,
        done,
        to_do: pending.len(),
        groups,
    };
    global.output.print_line(&preview, || preview.text())?;
    let is_refused = |group: &GroupPreview<'_>| group.reason.is_some();
    Ok(CommandStatus::success_if(
        !preview.groups.iter().any(is_refused),
    ))
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
        let Self {
            rows, done, to_do, ..
        } = self;
        let rows = plural(*rows as u64, "row");
        let mut text = format!("{rows}: {to_do} to do, {done} done already\n");
        for group in &self.groups {
            let explain = |reason| explain_refusal(reason, Some(group.name), GRANT_PRIVILEGED);
            let reason = group.reason.map(|reason| format!("  {}", explain(reason)));
            let reason = reason.unwrap_or_default();
            let rows = plural(group.rows as u64, "row");
            let _ = writeln!(text, "{}  {rows}{reason}", group.name);
        }
        text
    }
}
