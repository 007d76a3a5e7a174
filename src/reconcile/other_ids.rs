//! Users who have a record under another id than their `sub`, as Amplify's Data client
//! writes it.

use super::fingerprints::Fingerprints;
use super::incomplete_user::{IncompleteUser, ProfileState};
use crate::aws::{Failure, ProfileTable};
use crate::config::OwnerAttribute;
use crate::event::{PoolId, Sub};
use crate::retry::retry_inline;

/// How records under other ids are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OtherIdSearch {
    /// Not at all: a second record is written beside them.
    None,
    /// By a scan of this attribute, once a user without a record comes.
    Scan(OwnerAttribute),
    /// By a query for each user without a record, of the index with this name.
    Index(OwnerAttribute, String),
}

/// The owners of all records: being read, or complete.
#[derive(Debug, Default)]
pub(super) struct OwnerSet {
    seen: Fingerprints,
    /// The key of the last record of the page before.
    last_key: Option<String>,
    complete: bool,
}

impl OwnerSet {
    /// Whether the scan has begun and goes on.
    pub(super) fn is_reading(&self) -> bool {
        self.last_key.is_some()
    }

    /// Finds the record of each user who has none under their `sub`. False while the owners
    /// are being read: a page of them now. A call that failed may be made again.
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
        for IncompleteUser {
            user,
            profile: record,
            ..
        } in users.iter_mut()
        {
            let Some(sub) = user
                .sub
                .as_ref()
                .filter(|_| *record == ProfileState::Missing)
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
                *record = ProfileState::OtherId;
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

/// A worker may have written a record under the `sub` after the users were read. Its owner was
/// found then, and it is not elsewhere.
async fn exclude_new_profiles(
    table: &ProfileTable,
    users: &mut Vec<IncompleteUser>,
) -> Result<(), Failure> {
    let elsewhere = users
        .iter()
        .filter(|it| it.profile == ProfileState::OtherId);
    let subs: Vec<&str> = elsewhere
        .filter_map(|it| it.user.sub.as_ref().map(Sub::as_str))
        .collect();
    let present = retry_inline(|| table.existing(&subs)).await?;
    for IncompleteUser {
        user,
        profile: record,
        ..
    } in users.iter_mut()
    {
        let sub = user.sub.as_ref();
        if sub.is_some_and(|sub| present.contains(sub.as_str())) {
            *record = ProfileState::Present;
        }
    }
    users.retain(|user| user.profile == ProfileState::OtherId || user.is_queueable());
    Ok(())
}
