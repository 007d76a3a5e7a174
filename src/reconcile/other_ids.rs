//! Finds users with a profile under another id than their `sub`, as Amplify's Data client
//! writes it.

use super::fingerprints::Fingerprints;
use super::incomplete_user::{IncompleteUser, ProfileState};
use crate::aws::{Failure, ProfileTable};
use crate::config::OwnerAttribute;
use crate::event::{PoolId, Sub};
use crate::retry::retry_inline;

/// How a run finds profiles under other ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OtherIdSearch {
    /// No search: such a user gets a second profile.
    None,
    /// One scan of the table for this attribute, at the first user without a profile.
    Scan(OwnerAttribute),
    /// A query of the named index for each user without a profile.
    Index(OwnerAttribute, String),
}

/// The owners of all profiles, read page by page until it is complete.
#[derive(Debug, Default)]
pub(super) struct OwnerSet {
    seen: Fingerprints,
    /// Key of the last profile of the page before.
    last_key: Option<String>,
    complete: bool,
}

impl OwnerSet {
    /// Whether the scan has started and is not complete.
    pub(super) fn is_reading(&self) -> bool {
        self.last_key.is_some()
    }

    /// Searches for the profile of each user without one under their `sub`. Returns false if
    /// it read a page of owners instead: call it again, also after a failure.
    pub(super) async fn find_profiles(
        &mut self,
        search: &OtherIdSearch,
        table: &ProfileTable,
        pool: &PoolId,
        users: &mut Vec<IncompleteUser>,
    ) -> Result<bool, Failure> {
        let is_missing = |user: &IncompleteUser| user.profile == ProfileState::Missing;
        if let OtherIdSearch::Scan(owner) = search
            && !self.complete
            && users.iter().any(is_missing)
        {
            self.read_page(table, owner).await?;
            return Ok(false);
        }
        for IncompleteUser { user, profile, .. } in users.iter_mut() {
            let Some(sub) = user
                .sub
                .as_ref()
                .filter(|_| *profile == ProfileState::Missing)
            else {
                continue;
            };
            let found = match search {
                OtherIdSearch::None => false,
                OtherIdSearch::Scan(owner) => {
                    let values = owner.values(pool, sub, &user.username);
                    values.iter().any(|value| self.seen.has(value))
                }
                OtherIdSearch::Index(owner, index) => {
                    let values = owner.values(pool, sub, &user.username);
                    table.has_owner(index, owner.name(), &values).await?
                }
            };
            if found {
                *profile = ProfileState::OtherId;
            }
        }
        exclude_new_profiles(table, users).await?;
        Ok(true)
    }

    async fn read_page(
        &mut self,
        table: &ProfileTable,
        owner: &OwnerAttribute,
    ) -> Result<(), Failure> {
        let after = self.last_key.as_deref();
        let page = retry_inline(|| table.scan_owners(owner.name(), after, None)).await?;
        for (_, owner) in &page.items {
            self.seen.add(owner);
        }
        self.complete = page.next.is_none();
        self.last_key = page.next;
        Ok(())
    }
}

/// A worker may write a profile under the `sub` after the users were read. Its owner is
/// found then, although the profile is not under another id.
async fn exclude_new_profiles(
    table: &ProfileTable,
    users: &mut Vec<IncompleteUser>,
) -> Result<(), Failure> {
    let under_other_id = users
        .iter()
        .filter(|user| user.profile == ProfileState::OtherId);
    let subs: Vec<&str> = under_other_id
        .filter_map(|incomplete| incomplete.user.sub.as_ref().map(Sub::as_str))
        .collect();
    let present = retry_inline(|| table.existing(&subs)).await?;
    for IncompleteUser { user, profile, .. } in users.iter_mut() {
        let sub = user.sub.as_ref();
        if sub.is_some_and(|sub| present.contains(sub.as_str())) {
            *profile = ProfileState::Present;
        }
    }
    users.retain(|user| user.profile == ProfileState::OtherId || user.is_queueable());
    Ok(())
}
