//! The members of the groups that a run compares.

use super::fingerprints::Fingerprints;
use super::restarts::Restarts;
use crate::aws::{Cognito, Failure};
use crate::config::GroupName;
use crate::event::{PoolId, Username};
use crate::retry::retry_inline;

/// Members by group, read page by page until it is complete.
#[derive(Debug, Default)]
pub(super) struct MembershipSet {
    seen: Fingerprints,
    /// Index of the group that is read now; all groups before it are complete.
    group_index: usize,
    token: Option<String>,
    restarts: Restarts,
}

impl MembershipSet {
    pub(super) fn is_complete(&self, groups: &[GroupName]) -> bool {
        self.group_index == groups.len()
    }

    /// `group` is an index into the list that [`Self::read_page`] gets.
    pub(super) fn has(&self, group: usize, user: &Username) -> bool {
        self.seen.has(&(group, user.reveal()))
    }

    /// Reads one page, from the start of the list again if its token has expired.
    pub(super) async fn read_page(
        &mut self,
        cognito: &Cognito,
        pool: &PoolId,
        groups: &[GroupName],
    ) -> Result<(), Failure> {
        let group = &groups[self.group_index];
        let token = self.token.as_deref();
        let page = match retry_inline(|| cognito.list_members(pool, group, token)).await {
            Err(failure) if self.restarts.restart_if_expired(&failure, &mut self.token) => {
                tracing::info!(
                    "page token of the member list has expired; the list is read again from its start"
                );
                retry_inline(|| cognito.list_members(pool, group, None)).await?
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
