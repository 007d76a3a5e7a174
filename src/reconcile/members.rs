//! Who is in which group.

use super::fingerprints::Fingerprints;
use super::token::Restarts;
use crate::aws::{Failure, Listing};
use crate::config::GroupName;
use crate::event::{PoolId, Username};
use crate::retry::quickly;

/// The members of the groups that are compared: being read, or complete.
#[derive(Debug, Default)]
pub(super) struct Members {
    seen: Fingerprints,
    /// The place of the group whose members are read.
    group: usize,
    token: Option<String>,
    restarts: Restarts,
}

impl Members {
    /// Whether the members of all these groups are known.
    pub(super) fn are_known(&self, groups: &[GroupName]) -> bool {
        self.group == groups.len()
    }

    /// Whether the user is a member of the group at this place of the list.
    pub(super) fn has(&self, group: usize, user: &Username) -> bool {
        self.seen.has(&(group, user.reveal()))
    }

    /// Reads one page of the group whose turn it is.
    pub(super) async fn read(
        &mut self,
        listing: &Listing,
        pool: &PoolId,
        groups: &[GroupName],
    ) -> Result<(), Failure> {
        let group = &groups[self.group];
        let token = self.token.as_deref();
        let page = match quickly(|| listing.members(pool, group, token)).await {
            Err(failure) if self.restarts.begins_again(&failure, &mut self.token) => {
                tracing::info!(
                    "the token of the next page has expired: the list of members begins again"
                );
                quickly(|| listing.members(pool, group, None)).await?
            }
            page => page?,
        };
        for user in &page.items {
            self.seen.add(&(self.group, user.reveal()));
        }
        self.token = page.next;
        if self.token.is_none() {
            self.group += 1;
        }
        Ok(())
    }
}
