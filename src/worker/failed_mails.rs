//! Remembers invitation mails that failed. When a command is retried for another reason,
//! its next attempt finds the user and cannot know that the mail failed.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use crate::event::AdminCommand;
use crate::provision::{CommandResult, MailStatus};

const MAX_FAILED_MAILS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Mail failures of admin commands that are retried, by request id.
#[derive(Debug)]
pub(super) struct FailedMails(Mutex<LruCache<String, MailStatus>>);

impl Default for FailedMails {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_FAILED_MAILS)))
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
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match invitation.mail {
            MailStatus::Failed | MailStatus::OverLimit => {
                failed.put(command.request_id.clone(), invitation.mail);
            }
            MailStatus::Sent | MailStatus::NoCode => {
                failed.pop(&command.request_id);
            }
            MailStatus::NotSent | MailStatus::Unknown => {
                if let Some(mail) = failed.get(&command.request_id) {
                    invitation.mail = *mail;
                }
            }
        }
        result
    }
}
