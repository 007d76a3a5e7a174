//! Remembers invitation mails that failed. When a command is retried for another reason,
//! its next attempt finds the user and cannot know that the mail failed.

use crate::cache::Cache;
use crate::event::AdminCommand;
use crate::provision::{CommandResult, MailStatus};

const MAX_FAILED_MAILS: usize = 4096;

/// Mail failures of admin commands that are retried, by request id.
#[derive(Debug)]
pub(super) struct FailedMails(Cache<String, MailStatus>);

impl Default for FailedMails {
    fn default() -> Self {
        Self(Cache::new(MAX_FAILED_MAILS))
    }
}

impl FailedMails {
    /// Stores a failed mail, or adds the mail failure of an earlier attempt to the result.
    pub(super) fn merge_mail(
        &self,
        command: &AdminCommand,
        mut result: CommandResult,
    ) -> CommandResult {
        let Some(invitation) = &mut result.invitation else {
            return result;
        };
        match invitation.mail {
            MailStatus::Failed | MailStatus::OverLimit => {
                self.0.insert(command.request_id.clone(), invitation.mail);
            }
            MailStatus::Sent | MailStatus::NoCode => {
                self.0.remove(&command.request_id);
            }
            MailStatus::NotSent | MailStatus::Unknown => {
                if let Some(mail) = self.0.get(&command.request_id) {
                    invitation.mail = mail;
                }
            }
        }
        result
    }
}
