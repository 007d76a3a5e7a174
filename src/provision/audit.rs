//! One line for each order: who asked for what, for whom, and what became of it.
//! Under the target `usher::audit`, which no log filter leaves out.

use super::{Outcome, Performed};
use crate::event::{Action, GroupName, Order, Sub, is_opaque};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It came to an end.
    Ended,
    /// It waits on the queue; another line follows when it ends.
    Queued,
}

impl Performed {
    /// Writes the line of an order that ended or was queued. An attempt that will be
    /// followed by another has none.
    pub fn audit(&self, order: &Order, stage: Stage) {
        let result = match (stage, &self.outcome) {
            (Stage::Queued, _) => "queued",
            (Stage::Ended, Outcome::Done | Outcome::AlreadyDone(_)) => "done",
            (Stage::Ended, Outcome::Rejected(_)) => "rejected",
            (Stage::Ended, _) => return,
        };
        metrics::counter!(
            "usher_admin_actions_total",
            "action" => order.action.command(), "result" => result,
        )
        .increment(1);
        let whom = self
            .whom
            .as_ref()
            .and_then(|person| person.sub.as_ref())
            .map(Sub::as_str)
            .filter(|sub| is_opaque(sub));
        let mail = self.invited.as_ref().map(|invited| invited.mail.name());
        tracing::info!(
            target: "usher::audit",
            action = order.action.command(),
            actor = order.requested_by,
            user.sub = whom,
            group.names = names(&order.action),
            pool.id = order.pool.as_str(),
            request.id = order.request_id,
            result,
            reason = self.outcome.reason(),
            mail,
            "admin action",
        );
    }
}

fn names(action: &Action) -> String {
    let names: Vec<&str> = action.groups().iter().map(GroupName::as_str).collect();
    names.join(",")
}
