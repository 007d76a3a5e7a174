//! What is looked up for people: a user for an administrator, their own record for
//! everybody.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::aws::{Failure, Listed, Listing, NoPerson, People, Person, Profiles, Status};
use crate::config::{self, GroupName, Segment, Template};
use crate::event::{Caller, PoolId, Sub, Username, is_opaque};
use crate::retry::quickly;

/// Looks things up, inside the process's budgets.
#[derive(Debug)]
pub struct Office {
    people: People,
    listing: Listing,
    records: Option<Owned>,
}

/// The table of profile records, and the attribute that names a record's owner.
#[derive(Debug)]
struct Owned {
    table: Profiles,
    owner: Option<String>,
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
                owner: settings
                    .attributes
                    .iter()
                    .find(|(_, template)| is_owner(template))
                    .map(|(name, _)| name.clone()),
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

    /// The caller's own record: the one under their `sub`, and only when its owner is the
    /// caller; see [`is_owned_by`].
    ///
    /// # Errors
    /// [`Missing`].
    pub async fn own_profile(&self, caller: &Caller) -> Result<Map<String, Value>, Missing> {
        let records = self.records.as_ref().ok_or(Missing::Nothing)?;
        let record = quickly(|| records.table.read(&caller.sub)).await?;
        let record = record.ok_or(Missing::Nothing)?;
        if let Some(owner) = &records.owner {
            let owner = record.get(owner).and_then(Value::as_str);
            if !owner.is_some_and(|owner| is_owned_by(caller, owner)) {
                return Err(Missing::Nothing);
            }
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

/// Whether this owner is the caller, as `AppSync` compares it by Amplify's owner rule:
/// `sub::username`, the `sub`, or the user name. Users may choose their names, so one that may
/// stand for another user's `sub` is not compared.
///
/// <https://docs.amplify.aws/react/build-a-backend/data/customize-authz/per-user-per-owner-data-access/>
fn is_owned_by(caller: &Caller, owner: &str) -> bool {
    let Caller { sub, username, .. } = caller;
    let stands_for_another = || {
        let is_uuid = Username::new(username).is_some_and(|name| name.is_uuid());
        is_uuid || username.contains("::")
    };
    owner == sub
        || owner == format!("{sub}::{username}")
        || owner == username && !stands_for_another()
}

/// `{sub}::{username}`, which Amplify writes for an owner.
fn is_owner(template: &Template) -> bool {
    let field = |name: &str| Segment::Field(name.to_owned());
    template.segments
        == [
            field("sub"),
            Segment::Text("::".to_owned()),
            field("username"),
        ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_compared_as_appsync_does_and_never_by_a_name_that_stands_for_another() {
        const SUB: &str = "b662d2e4-d0a1-7098-4973-20a5d6ff5a12";
        const OTHER: &str = "b662d2e4-d0a1-7098-4973-20a5d6ff5a13";
        let pair = |sub: &str, name: &str| format!("{sub}::{name}");
        for (username, owner, expected) in [
            ("ada", pair(SUB, "ada"), true),
            ("ada", SUB.to_owned(), true),
            ("ada", "ada".to_owned(), true),
            ("ada", pair(SUB, "grace"), false),
            ("ada", pair(OTHER, "ada"), false),
            ("ada", OTHER.to_owned(), false),
            ("ada", String::new(), false),
            // Where the pool makes the names, they are the `sub`.
            (SUB, SUB.to_owned(), true),
            // Somebody chose a name that reads as the owner of another's record.
            (OTHER, OTHER.to_owned(), false),
            (
                "B662D2E4-D0A1-7098-4973-20A5D6FF5A13",
                OTHER.to_uppercase(),
                false,
            ),
            (&pair(OTHER, "grace"), pair(OTHER, "grace"), false),
        ] {
            let caller = Caller {
                pool: PoolId::new("eu-west-1_x").expect("an id"),
                sub: SUB.to_owned(),
                username: username.to_owned(),
                client: "client".to_owned(),
                groups: BTreeSet::new(),
            };
            assert_eq!(is_owned_by(&caller, &owner), expected, "{username} {owner}");
        }
    }
}
