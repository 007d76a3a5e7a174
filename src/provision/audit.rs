//! One line for each order: who asked for what, for whom, and what became of it.
//! Under the target `usher::audit`, which no log filter leaves out.

use super::{Outcome, Performed};
use crate::aws::Person;
use crate::event::{Action, GroupName, Order, Sub, is_opaque};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It came to an end.
    Ended,
    /// It waits on the queue; another line follows when it ends.
    Queued,
    /// It was not let in.
    Refused(&'static str),
    /// Nobody does it: neither Cognito nor the queue took it.
    NotTaken,
}

impl Performed {
    /// Writes the line of an order that ended, was queued or was not taken. An attempt
    /// that will be followed by another has none.
    pub fn audit(&self, order: &Order, stage: Stage) {
        let mail = self.invited.as_ref().map(|invited| invited.mail.name());
        let reason = self.outcome.reason();
        let result = match (stage, &self.outcome) {
            (Stage::Ended, Outcome::Done | Outcome::AlreadyDone(_)) => "done",
            (Stage::Ended, Outcome::Rejected(_)) => "rejected",
            (Stage::Ended, _) => return,
            (Stage::Queued, _) => "queued",
            (Stage::Refused(_), _) => "refused",
            (Stage::NotTaken, _) => "not_taken",
        };
        write(order, result, reason, self.whom.as_ref(), mail);
    }
}

/// The line of an order of which no more is known than what was asked for.
pub fn audit(order: &Order, stage: Stage) {
    let (result, reason) = match stage {
        Stage::Ended => ("done", ""),
        Stage::Queued => ("queued", ""),
        Stage::Refused(why) => ("refused", why),
        Stage::NotTaken => ("not_taken", ""),
    };
    write(order, result, reason, None, None);
}

fn write(
    order: &Order,
    result: &'static str,
    reason: &str,
    whom: Option<&Person>,
    mail: Option<&str>,
) {
    let command = order.action.command();
    metrics::counter!("usher_admin_actions_total", "action" => command, "result" => result)
        .increment(1);
    let whom = whom
        .and_then(|person| person.sub.as_ref())
        .map(Sub::as_str)
        .filter(|sub| is_opaque(sub));
    tracing::info!(
        target: "usher::audit",
        action = command,
        actor = order.requested_by,
        user.sub = whom,
        group.names = names(&order.action),
        pool.id = order.pool.as_str(),
        request.id = order.request_id,
        result,
        reason,
        mail,
        "admin action",
    );
}

fn names(action: &Action) -> String {
    let names: Vec<&str> = action.groups().iter().map(GroupName::as_str).collect();
    names.join(",")
}
