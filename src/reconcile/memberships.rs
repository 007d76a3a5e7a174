//! Who is in which group.

use super::fingerprints::Fingerprints;
use super::restarts::Restarts;
use crate::aws::{Failure, Listing};
use crate::config::GroupName;
use crate::event::{PoolId, Username};
use crate::retry::retry_inline;

/// The members of the groups that are compared: being read, or complete.
#[derive(Debug, Default)]
pub(super) struct MembershipSet {
    seen: Fingerprints,
    /// The place of the group whose members are read.
    group_index: usize,
    token: Option<String>,
    restarts: Restarts,
}

impl MembershipSet {
    /// Whether the members of all these groups are known.
    pub(super) fn is_complete(&self, groups: &[GroupName]) -> bool {
        self.group_index == groups.len()
    }

    /// Whether the user is a member of the group at this place of the list.
    pub(super) fn has(&self, group: usize, user: &Username) -> bool {
        self.seen.has(&(group, user.reveal()))
    }

    /// Reads one page of the group whose turn it is.
    pub(super) async fn read_page(
        &mut self,
        listing: &Listing,
        pool: &PoolId,
        groups: &[GroupName],
    ) -> Result<(), Failure> {
        let group = &groups[self.group_index];
        let token = self.token.as_deref();
        let page = match retry_inline(|| listing.members(pool, group, token)).await {
            Err(failure) if self.restarts.restart_if_expired(&failure, &mut self.token) => {
                tracing::info!(
                    "the token of the next page has expired: the list of members begins again"
                );
                retry_inline(|| listing.members(pool, group, None)).await?
            }
            page => page?,
        };
        for user in &page.items {
            self.seen.add(&(self.group_index, user.reveal()));
        }
        self.token = page.next;
        if self.token.is_none() {
            self.group_index += 1;
        }
        Ok(())
    }
}
