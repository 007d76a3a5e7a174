//! What is looked up for people: a user for an administrator, their own record for
//! everybody.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::aws::{
    Failure, FindUserError, ListedUser, Listing, PoolUser, ProfileTable, UserManager, UserStatus,
};
use crate::config::{self, GroupName};
use crate::event::{Caller, PoolId, Sub, Username, is_loggable_sub};
use crate::retry::retry_inline;

/// Looks things up, inside the process's budgets.
#[derive(Debug)]
pub(crate) struct UserLookup {
    users: UserManager,
    listing: Listing,
    profiles: Option<ProfileLookup>,
}

/// The table of profile records, and what names a record's owner.
#[derive(Debug)]
struct ProfileLookup {
    table: ProfileTable,
    owner: Option<config::OwnerAttribute>,
}

/// A user, with all that usher gives.
#[derive(Debug)]
pub(crate) struct UserView {
    /// As the pool knows them.
    pub user: PoolUser,
    /// The groups that they are in.
    pub groups: BTreeSet<GroupName>,
    /// Their record, where there is one.
    pub profile: Option<Map<String, Value>>,
}

/// Why there is nothing to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// There is none.
    NotFound,
    /// It may be one user or another: [`PoolUser::is_ambiguous`].
    Ambiguous,
    /// It could not be found out.
    Failed(Failure),
}

impl From<Failure> for LookupError {
    fn from(failure: Failure) -> Self {
        if failure.reason == "user_not_found" {
            Self::NotFound
        } else {
            Self::Failed(failure)
        }
    }
}

impl From<FindUserError> for LookupError {
    fn from(none: FindUserError) -> Self {
        match none {
            FindUserError::Ambiguous => Self::Ambiguous,
            FindUserError::Failed(failure) => failure.into(),
        }
    }
}

impl UserLookup {
    /// Over the worker's own services; `profiles` is `None` when they are switched off.
    pub(crate) fn new(
        users: UserManager,
        listing: Listing,
        profiles: Option<(ProfileTable, &config::ProfilesConfig)>,
    ) -> Self {
        Self {
            users,
            listing,
            profiles: profiles.map(|(table, settings)| ProfileLookup {
                table,
                owner: settings.owner.clone(),
            }),
        }
    }

    /// A user of the administrator's pool, by name, alias or `sub`. An audit line says who
    /// looked at whom.
    ///
    /// # Errors
    /// [`LookupError`].
    pub(crate) async fn get_user(
        &self,
        admin: &Caller,
        username: &Username,
    ) -> Result<UserView, LookupError> {
        let found = self.look_up(&admin.pool, username).await;
        audit(admin, &found);
        found
    }

    async fn look_up(&self, pool: &PoolId, username: &Username) -> Result<UserView, LookupError> {
        let person = retry_inline(|| self.users.find(pool, username)).await?;
        let groups = retry_inline(|| self.listing.groups_of(pool, &person.username)).await?;
        let profile = match (&self.profiles, &person.sub) {
            (Some(records), Some(sub)) => retry_inline(|| records.table.read(sub.as_str())).await?,
            _ => None,
        };
        Ok(UserView {
            user: person,
            groups,
            profile,
        })
    }

    /// The caller's own record: the one under their `sub`. Where an attribute names the owner,
    /// it has to be the caller: an `AppSync` client may have written the record under this id.
    ///
    /// # Errors
    /// [`LookupError`].
    pub(crate) async fn own_profile(
        &self,
        caller: &Caller,
    ) -> Result<Map<String, Value>, LookupError> {
        let records = self.profiles.as_ref().ok_or(LookupError::NotFound)?;
        let record = retry_inline(|| records.table.read(&caller.sub)).await?;
        let record = record.ok_or(LookupError::NotFound)?;
        let owner = records.owner.as_ref();
        if owner.is_some_and(|owner| !is_owned_by(&record, owner, caller)) {
            return Err(LookupError::NotFound);
        }
        Ok(record)
    }

    /// Somebody of this pool who has an invitation open. Strangers can ask for it, so
    /// it is a search: `AdminGetUser` would make the user count as active this month.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn find_invited(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<Option<ListedUser>, Failure> {
        let mut found = self.listing.search(pool, username).await?.into_iter();
        Ok(found.find(|user| user.status == UserStatus::Invited))
    }

    /// How often a second [`Self::find_invited`] can be asked for in one pool.
    pub(crate) fn search_rate(&self) -> f64 {
        self.listing.rate() / f64::from(Listing::MAX_SEARCH_CALLS)
    }
}

fn audit(admin: &Caller, found: &Result<UserView, LookupError>) {
    let (result, reason) = match found {
        Ok(_) => ("done", ""),
        Err(LookupError::NotFound) => ("rejected", "user_not_found"),
        Err(LookupError::Ambiguous) => ("rejected", "ambiguous_user"),
        Err(LookupError::Failed(failure)) => ("failed", failure.reason.as_str()),
    };
    let sub = found
        .as_ref()
        .ok()
        .and_then(|shown| shown.user.sub.as_ref());
    tracing::info!(
        target: "usher::audit",
        action = "GetUser",
        actor = admin.sub,
        user.sub = sub.map(Sub::as_str).filter(|sub| is_loggable_sub(sub)),
        pool.id = admin.pool.as_str(),
        result,
        reason,
        "admin looked at a user",
    );
}

fn is_owned_by(
    record: &Map<String, Value>,
    owner: &config::OwnerAttribute,
    caller: &Caller,
) -> bool {
    let named = record.get(owner.name()).and_then(Value::as_str);
    let (sub, username) = (Sub::new(&caller.sub), Username::new(&caller.username));
    let (Some(named), Some(sub), Some(username)) = (named, sub, username) else {
        return false;
    };
    let values = owner.values(&caller.pool, &sub, &username);
    values.iter().any(|value| value == named)
}
