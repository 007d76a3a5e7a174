//! Users who have a record under another id than their `sub`, as Amplify's Data client
//! writes it.

use super::fingerprints::Fingerprints;
use super::lacking::{Lacking, Record};
use crate::aws::{Failure, Profiles};
use crate::config::Owner;
use crate::event::PoolId;
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

    /// Whether they have to be read before it is known who of these users has a record.
    pub(super) fn are_needed(&self, search: &Search, users: &[Lacking]) -> bool {
        let has_none = |user: &Lacking| user.record == Record::Missing;
        matches!(search, Search::Scan(_)) && !self.complete && users.iter().any(has_none)
    }

    /// Reads one page.
    pub(super) async fn read(&mut self, table: &Profiles, owner: &Owner) -> Result<(), Failure> {
        let after = self.after.as_deref();
        let page = quickly(|| table.owners(owner.attribute(), after, None)).await?;
        for owner in &page.items {
            self.seen.add(owner);
        }
        self.complete = page.next.is_none();
        self.after = page.next;
        Ok(())
    }

    /// Finds the record of each user who has none under their `sub`.
    pub(super) async fn find(
        &self,
        search: &Search,
        table: &Profiles,
        pool: &PoolId,
        users: &mut [Lacking],
    ) -> Result<(), Failure> {
        for Lacking { user, record, .. } in users {
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
                    quickly(|| table.has_owner(index, owner.attribute(), &values)).await?
                }
            };
            if found {
                *record = Record::Elsewhere;
            }
        }
        Ok(())
    }
}
