//! Invitations whose mail failed while something else was in the way: the next attempt
//! finds the person there and could not know.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use crate::event::Order;
use crate::provision::{Mail, Performed};

const MOST: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// The failed mails of orders that are tried again, by request id.
#[derive(Debug)]
pub(super) struct Owed(Mutex<LruCache<String, Mail>>);

impl Default for Owed {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }
}

impl Owed {
    /// What was performed, with what is known of an earlier attempt's mail.
    pub(super) fn remembered(&self, order: &Order, mut performed: Performed) -> Performed {
        let Some(invited) = &mut performed.invited else {
            return performed;
        };
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match invited.mail {
            Mail::Failed | Mail::OverLimit => {
                failed.put(order.request_id.clone(), invited.mail);
            }
            Mail::Sent | Mail::NoCode => {
                failed.pop(&order.request_id);
            }
            Mail::NotSent | Mail::Unknown => {
                if let Some(mail) = failed.get(&order.request_id) {
                    invited.mail = *mail;
                }
            }
        }
        performed
    }
}
