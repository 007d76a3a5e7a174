//! What is looked up for people: a user for an administrator, their own record for
//! everybody.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::aws::{Failure, Listed, Listing, NoPerson, People, Person, Profiles, Status};
use crate::config::{self, GroupName};
use crate::event::{Caller, PoolId, Sub, Username, is_opaque};
use crate::retry::quickly;

/// Looks things up, inside the process's budgets.
#[derive(Debug)]
pub struct Office {
    people: People,
    listing: Listing,
    records: Option<Owned>,
}

/// The table of profile records, and what names a record's owner.
#[derive(Debug)]
struct Owned {
    table: Profiles,
    owner: Option<config::Owner>,
}

/// A user, with all that usher gives.
#[derive(Debug)]
pub struct Shown {
    /// As the pool knows them.
    pub person: Person,
    /// The groups that they are in.
    pub groups: BTreeSet<GroupName>,
    /// Their record, where there is one.
    pub profile: Option<Map<String, Value>>,
}

/// Why there is nothing to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// There is none.
    Nothing,
    /// It may be one user or another: [`Person::is_ambiguous`].
    Ambiguous,
    /// It could not be found out.
    Failed(Failure),
}

impl From<Failure> for Missing {
    fn from(failure: Failure) -> Self {
        if failure.reason == "user_not_found" {
            Self::Nothing
        } else {
            Self::Failed(failure)
        }
    }
}

impl From<NoPerson> for Missing {
    fn from(none: NoPerson) -> Self {
        match none {
            NoPerson::Ambiguous => Self::Ambiguous,
            NoPerson::Failed(failure) => failure.into(),
        }
    }
}

impl Office {
    /// Over the worker's own services; `profiles` is `None` when they are switched off.
    pub fn new(
        people: People,
        listing: Listing,
        profiles: Option<(Profiles, &config::Profiles)>,
    ) -> Self {
        Self {
            people,
            listing,
            records: profiles.map(|(table, settings)| Owned {
                table,
                owner: settings.owner.clone(),
            }),
        }
    }

    /// A user of the administrator's pool, by name, alias or `sub`. An audit line says who
    /// looked at whom.
    ///
    /// # Errors
    /// [`Missing`].
    pub async fn user(&self, admin: &Caller, username: &Username) -> Result<Shown, Missing> {
        let found = self.look_up(&admin.pool, username).await;
        audit(admin, &found);
        found
    }

    async fn look_up(&self, pool: &PoolId, username: &Username) -> Result<Shown, Missing> {
        let person = quickly(|| self.people.find(pool, username)).await?;
        let groups = quickly(|| self.listing.groups_of(pool, &person.username)).await?;
        let profile = match (&self.records, &person.sub) {
            (Some(records), Some(sub)) => quickly(|| records.table.read(sub.as_str())).await?,
            _ => None,
        };
        Ok(Shown {
            person,
            groups,
            profile,
        })
    }

    /// The caller's own record: the one under their `sub`. Where an attribute names the owner,
    /// it has to be the caller: an `AppSync` client may have written the record under this id.
    ///
    /// # Errors
    /// [`Missing`].
    pub async fn own_profile(&self, caller: &Caller) -> Result<Map<String, Value>, Missing> {
        let records = self.records.as_ref().ok_or(Missing::Nothing)?;
        let record = quickly(|| records.table.read(&caller.sub)).await?;
        let record = record.ok_or(Missing::Nothing)?;
        let owner = records.owner.as_ref();
        if owner.is_some_and(|owner| !is_owned_by(&record, owner, caller)) {
            return Err(Missing::Nothing);
        }
        Ok(record)
    }

    /// Somebody of this pool who has an invitation open. Strangers can ask for it, so
    /// it is a search: `AdminGetUser` would make the user count as active this month.
    ///
    /// # Errors
    /// As any call.
    pub async fn invited(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<Option<Listed>, Failure> {
        let mut found = self.listing.search(pool, username).await?.into_iter();
        Ok(found.find(|user| user.status == Status::Invited))
    }

    /// How often a second [`Self::invited`] can be asked for in one pool.
    pub fn search_rate(&self) -> f64 {
        self.listing.rate() / f64::from(Listing::SEARCH_CALLS)
    }
}

fn audit(admin: &Caller, found: &Result<Shown, Missing>) {
    let (result, reason) = match found {
        Ok(_) => ("done", ""),
        Err(Missing::Nothing) => ("rejected", "user_not_found"),
        Err(Missing::Ambiguous) => ("rejected", "ambiguous_user"),
        Err(Missing::Failed(failure)) => ("failed", failure.reason.as_str()),
    };
    let sub = found
        .as_ref()
        .ok()
        .and_then(|shown| shown.person.sub.as_ref());
    tracing::info!(
        target: "usher::audit",
        action = "GetUser",
        actor = admin.sub,
        user.sub = sub.map(Sub::as_str).filter(|sub| is_opaque(sub)),
        pool.id = admin.pool.as_str(),
        result,
        reason,
        "admin looked at a user",
    );
}

fn is_owned_by(record: &Map<String, Value>, owner: &config::Owner, caller: &Caller) -> bool {
    let named = record.get(owner.attribute()).and_then(Value::as_str);
    let (sub, username) = (Sub::new(&caller.sub), Username::new(&caller.username));
    let (Some(named), Some(sub), Some(username)) = (named, sub, username) else {
        return false;
    };
    let values = owner.values(&caller.pool, &sub, &username);
    values.iter().any(|value| value == named)
}
