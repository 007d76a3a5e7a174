//! Writes the audit lines of admin commands, with requester, operation, user and result.
//! No log filter removes their target, `usher::audit`.

use super::{CommandResult, Outcome};
use crate::aws::PoolUser;
use crate::event::{AdminCommand, AdminOperation, GroupName, Sub, is_loggable_id};

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

impl CommandResult {
    /// Writes the audit line of this command. An attempt that another will follow gets none.
    pub(crate) fn audit(&self, command: &AdminCommand, stage: CommandStage) {
        let mail = self.invitation.as_ref().map(|invited| invited.mail.name());
        let reason = self.outcome.reason_code();
        let result = match (stage, &self.outcome) {
            (CommandStage::Completed, Outcome::Done | Outcome::AlreadyDone(_)) => "done",
            (CommandStage::Completed, Outcome::Rejected(_)) => "rejected",
            (CommandStage::Completed, _) => return,
            (CommandStage::Queued, _) => "queued",
            (CommandStage::Refused(_), _) => "refused",
            (CommandStage::Unavailable, _) => "not_taken",
        };
        write(command, result, reason, self.user.as_ref(), mail);
    }
}

/// Writes the audit line of a command that has no [`CommandResult`].
pub(crate) fn audit(command: &AdminCommand, stage: CommandStage) {
    let (result, reason) = match stage {
        CommandStage::Completed => ("done", ""),
        CommandStage::Queued => ("queued", ""),
        CommandStage::Refused(why) => ("refused", why),
        CommandStage::Unavailable => ("not_taken", ""),
    };
    write(command, result, reason, None, None);
}

fn write(
    command: &AdminCommand,
    result: &'static str,
    reason: &str,
    user: Option<&PoolUser>,
    mail: Option<&str>,
) {
    let operation = command.operation.name();
    metrics::counter!("usher_admin_actions_total", "action" => operation, "result" => result)
        .increment(1);
    let sub = user
        .and_then(|user| user.sub.as_ref())
        .map(Sub::as_str)
        .filter(|sub| is_loggable_id(sub));
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
