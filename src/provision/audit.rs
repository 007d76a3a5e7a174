//! One line for each order: who asked for what, for whom, and what became of it.
//! Under the target `usher::audit`, which no log filter leaves out.

use super::{CommandResult, Outcome};
use crate::aws::PoolUser;
use crate::event::{AdminCommand, AdminOperation, GroupName, Sub, is_loggable_sub};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandStage {
    /// It came to an end.
    Completed,
    /// It waits on the queue; another line follows when it ends.
    Queued,
    /// It was not let in.
    Refused(&'static str),
    /// Nobody does it: neither Cognito nor the queue took it.
    Unavailable,
}

impl CommandResult {
    /// Writes the line of an order that ended, was queued or was not taken. An attempt
    /// that will be followed by another has none.
    pub(crate) fn audit(&self, order: &AdminCommand, stage: CommandStage) {
        let mail = self.invitation.as_ref().map(|invited| invited.mail.name());
        let reason = self.outcome.reason();
        let result = match (stage, &self.outcome) {
            (CommandStage::Completed, Outcome::Done | Outcome::AlreadyDone(_)) => "done",
            (CommandStage::Completed, Outcome::Rejected(_)) => "rejected",
            (CommandStage::Completed, _) => return,
            (CommandStage::Queued, _) => "queued",
            (CommandStage::Refused(_), _) => "refused",
            (CommandStage::Unavailable, _) => "not_taken",
        };
        write(order, result, reason, self.user.as_ref(), mail);
    }
}

/// The line of an order of which no more is known than what was asked for.
pub(crate) fn audit(order: &AdminCommand, stage: CommandStage) {
    let (result, reason) = match stage {
        CommandStage::Completed => ("done", ""),
        CommandStage::Queued => ("queued", ""),
        CommandStage::Refused(why) => ("refused", why),
        CommandStage::Unavailable => ("not_taken", ""),
    };
    write(order, result, reason, None, None);
}

fn write(
    order: &AdminCommand,
    result: &'static str,
    reason: &str,
    whom: Option<&PoolUser>,
    mail: Option<&str>,
) {
    let command = order.operation.name();
    metrics::counter!("usher_admin_actions_total", "action" => command, "result" => result)
        .increment(1);
    let whom = whom
        .and_then(|person| person.sub.as_ref())
        .map(Sub::as_str)
        .filter(|sub| is_loggable_sub(sub));
    tracing::info!(
        target: "usher::audit",
        action = command,
        actor = order.requested_by,
        user.sub = whom,
        group.names = group_names(&order.operation),
        pool.id = order.pool.as_str(),
        request.id = order.request_id,
        result,
        reason,
        mail,
        "admin action",
    );
}

fn group_names(action: &AdminOperation) -> String {
    let names: Vec<&str> = action.groups().iter().map(GroupName::as_str).collect();
    names.join(",")
}
