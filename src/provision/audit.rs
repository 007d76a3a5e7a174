//! Writes the audit lines of admin commands, with requester, operation, user and result.
//! No log filter removes their target, `usher::audit`.

use crate::event::{AdminCommand, AdminOperation, GroupName};

/// How far a command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandStage {
    Completed,
    /// It waits on the queue; another line follows when it is completed.
    Queued,
    /// It was not executed, for this reason.
    Refused(&'static str),
    /// It was neither executed nor queued.
    Unavailable,
}

/// Writes the audit line of a command that was not attempted.
pub(crate) fn audit(command: &AdminCommand, stage: CommandStage) {
    let (result, reason) = match stage {
        CommandStage::Completed => ("done", ""),
        CommandStage::Queued => ("queued", ""),
        CommandStage::Refused(why) => ("refused", why),
        CommandStage::Unavailable => ("not_taken", ""),
    };
    write(command, result, reason, None, None);
}

pub(super) fn write(
    command: &AdminCommand,
    result: &'static str,
    reason: &str,
    sub: Option<&str>,
    mail: Option<&str>,
) {
    let operation = command.operation.name();
    metrics::counter!("usher_admin_actions_total", "action" => operation, "result" => result)
        .increment(1);
    tracing::info!(
        target: "usher::audit",
        action = operation,
        actor = command.requested_by,
        user.sub = sub,
        group.names = group_names(&command.operation),
        pool.id = command.pool.as_str(),
        request.id = command.request_id,
        result,
        reason,
        mail,
        "admin action",
    );
}

fn group_names(operation: &AdminOperation) -> String {
    let names: Vec<&str> = operation.groups().iter().map(GroupName::as_str).collect();
    names.join(",")
}
