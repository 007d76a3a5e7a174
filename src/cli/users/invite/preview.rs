//! `usher users invite --dry-run`: shows the pending rows and their groups.

use serde::Serialize;

use crate::app::Services;
use crate::cli::{CommandStatus, Global, plural, status_line, table};
use crate::event::PoolId;
use crate::reason::{GRANT_LATER, explain_refusal};
use crate::users::{GroupPlan, ListedGroups, PendingRow};

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
    let invitations = || pending.iter().map(|it| &it.row.invitation);
    let plan = GroupPlan::new(services, pool, invitations(), &ListedGroups::default()).await?;
    for unknown in &plan.unknown {
        status_line(unknown);
    }
    let groups = plan.rows.iter().map(|(group, rows)| GroupPreview {
        group: group.as_str(),
        rows: *rows,
        reason: plan.refusals.get(group).copied(),
    });
    let refused = invitations().filter(|it| plan.refuses(it)).count();
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
