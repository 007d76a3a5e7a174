//! Invitations whose mail failed while something else was in the way: the next attempt
//! finds the person there and could not know.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use crate::event::AdminCommand;
use crate::provision::{CommandResult, MailStatus};

const MAX_PENDING_MAILS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// The failed mails of orders that are tried again, by request id.
#[derive(Debug)]
pub(super) struct PendingMails(Mutex<LruCache<String, MailStatus>>);

impl Default for PendingMails {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_PENDING_MAILS)))
    }
}

impl PendingMails {
    /// What was performed, with what is known of an earlier attempt's mail.
    pub(super) fn merge_mail(
        &self,
        order: &AdminCommand,
        mut performed: CommandResult,
    ) -> CommandResult {
        let Some(invited) = &mut performed.invitation else {
            return performed;
        };
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match invited.mail {
            MailStatus::Failed | MailStatus::OverLimit => {
                failed.put(order.request_id.clone(), invited.mail);
            }
            MailStatus::Sent | MailStatus::NoCode => {
                failed.pop(&order.request_id);
            }
            MailStatus::NotSent | MailStatus::Unknown => {
                if let Some(mail) = failed.get(&order.request_id) {
                    invited.mail = *mail;
                }
            }
        }
        performed
    }
}
