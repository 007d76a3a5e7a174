//! Messages that become dead letters, so that the runbook can be rehearsed.

use serde_json::json;

use super::stack::Stack;
use crate::aws::{Failure, Outgoing};
use crate::message::attribute;

impl Stack {
    /// Sends messages that the worker must reject, for four reasons: `not_json`,
    /// `user_not_found`, `foreign_pool` and `group_not_grantable`. Returns how many.
    ///
    /// # Errors
    /// The first call that fails.
    pub(crate) async fn send_failures(&self) -> Result<usize, Failure> {
        let pool = self.pool.id.as_str();
        let sign_up = |pool: &str, name: &str| {
            json!({
                "triggerSource": "PostConfirmation_ConfirmSignUp",
                "userPoolId": pool,
                "userName": name,
                "request": {"userAttributes": {"email": format!("{name}@example.com")}},
            })
            .to_string()
        };
        let cut = |name| sign_up(pool, name)[..60].to_owned();
        // Power is given only to a group that `admin.grantable_groups` names in full.
        let command = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": "demo-failure",
            "requestedBy": {"sub": "00000000-0000-4000-8000-000000000000"},
            "userPoolId": pool, "username": "user", "groupName": "ADMINS",
        });
        let bodies = [
            cut("malformed-1"),
            cut("malformed-2"),
            sign_up(pool, "deleted-1"),
            sign_up(pool, "deleted-2"),
            sign_up("us-east-1_Elsewhere", "foreigner"),
            command.to_string(),
        ];
        let count = bodies.len();
        // All attempts at an unknown user take minutes, so each message has only its last one.
        let attempts = self.services.config.worker.max_attempts.saturating_sub(1);
        for body in bodies {
            let mut message = Outgoing {
                body,
                ..Outgoing::default()
            };
            let attempts = attempts.to_string();
            message
                .attributes
                .insert(attribute::ATTEMPTS.to_owned(), attempts);
            self.queue.send(message).await?;
        }
        Ok(count)
    }
}
