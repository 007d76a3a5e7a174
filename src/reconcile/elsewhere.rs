//! Users who have a record under another id than their `sub`, as Amplify's Data client
//! writes it.

use super::fingerprints::Fingerprints;
use super::lacking::{Lacking, Record};
use crate::aws::{Failure, Profiles};
use crate::config::Owner;
use crate::event::{PoolId, Sub};
use crate::retry::quickly;

/// How records under other ids are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// Not at all: a second record is written beside them.
    None,
    /// By a scan of this attribute, once a user without a record comes.
    Scan(Owner),
    /// By a query for each user without a record, of the index with this name.
    Index(Owner, String),
}

/// The owners of all records: being read, or complete.
#[derive(Debug, Default)]
pub(super) struct Owners {
    seen: Fingerprints,
    /// The key of the last record of the page before.
    after: Option<String>,
    complete: bool,
}

impl Owners {
    /// Whether the scan has begun and goes on.
    pub(super) fn are_being_read(&self) -> bool {
        self.after.is_some()
    }

    /// Finds the record of each user who has none under their `sub`. False while the owners
    /// are being read: a page of them now. A call that failed may be made again.
    pub(super) async fn find(
        &mut self,
        search: &Search,
        table: &Profiles,
        pool: &PoolId,
        users: &mut Vec<Lacking>,
    ) -> Result<bool, Failure> {
        let is_missing = |user: &Lacking| user.record == Record::Missing;
        if let Search::Scan(owner) = search
            && !self.complete
            && users.iter().any(is_missing)
        {
            self.read(table, owner).await?;
            return Ok(false);
        }
        for Lacking { user, record, .. } in users.iter_mut() {
            let Some(sub) = user.sub.as_ref().filter(|_| *record == Record::Missing) else {
                continue;
            };
            let found = match search {
                Search::None => false,
                Search::Scan(owner) => {
                    let values = owner.values(pool, sub, &user.username);
                    values.iter().any(|value| self.seen.has(value))
                }
                Search::Index(owner, index) => {
                    let values = owner.values(pool, sub, &user.username);
                    table.has_owner(index, owner.attribute(), &values).await?
                }
            };
            if found {
                *record = Record::Elsewhere;
            }
        }
        leave_out_new_records(table, users).await?;
        Ok(true)
    }

    async fn read(&mut self, table: &Profiles, owner: &Owner) -> Result<(), Failure> {
        let after = self.after.as_deref();
        let page = quickly(|| table.owners(owner.attribute(), after, None)).await?;
        for (_, owner) in &page.items {
            self.seen.add(owner);
        }
        self.complete = page.next.is_none();
        self.after = page.next;
        Ok(())
    }
}

/// A worker may have written a record under the `sub` after the users were read. Its owner was
/// found then, and it is not elsewhere.
async fn leave_out_new_records(table: &Profiles, users: &mut Vec<Lacking>) -> Result<(), Failure> {
    let elsewhere = users.iter().filter(|it| it.record == Record::Elsewhere);
    let subs: Vec<&str> = elsewhere
        .filter_map(|it| it.user.sub.as_ref().map(Sub::as_str))
        .collect();
    let present = quickly(|| table.present(&subs)).await?;
    for Lacking { user, record, .. } in users.iter_mut() {
        let sub = user.sub.as_ref();
        if sub.is_some_and(|sub| present.contains(sub.as_str())) {
            *record = Record::There;
        }
    }
    users.retain(|user| user.record == Record::Elsewhere || user.is_queued());
    Ok(())
}
