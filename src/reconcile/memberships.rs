//! The members of the groups that a run compares, and restarts of lists whose page token has
//! expired.

use super::fingerprints::Fingerprints;
use crate::aws::{Cognito, Failure};
use crate::config::GroupName;
use crate::event::{PoolId, Username};
use crate::reason::Reason;
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

/// The next expired token after this many restarts is an error.
const MAX_LIST_RESTARTS: u32 = 3;

/// Counts the restarts of the user list, or of all member lists together.
#[derive(Debug, Default)]
pub(super) struct Restarts(u32);

impl Restarts {
    /// Whether to read the list again from its start after this failure. If so, it clears
    /// the token.
    pub(super) fn restart_if_expired(
        &mut self,
        failure: &Failure,
        token: &mut Option<String>,
    ) -> bool {
        // Cognito has no separate code for an expired token.
        let has_expired = failure.reason == Reason::InvalidParameter && token.is_some();
        if !has_expired || self.0 == MAX_LIST_RESTARTS {
            return false;
        }
        self.0 += 1;
        *token = None;
        true
    }
}
