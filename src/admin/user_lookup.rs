//! Reads a user for an administrator or an operator, and the own profile of any user.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::aws::{Cognito, Failure, FindUserError, ListedUser, PoolUser, ProfileTable, UserStatus};
use crate::config::{self, GroupName};
use crate::event::{Caller, PoolId, Sub, Username, is_loggable_id};
use crate::quota::Category;
use crate::reason::Reason;
use crate::retry::retry_inline;

/// Reads users and profiles, within the process's budgets.
#[derive(Debug)]
pub(crate) struct UserLookup {
    cognito: Cognito,
    profiles: Option<ProfileLookup>,
}

#[derive(Debug)]
struct ProfileLookup {
    table: ProfileTable,
    owner: Option<config::OwnerAttribute>,
}

/// A user with groups and profile.
#[derive(Debug)]
pub(crate) struct UserView {
    pub user: PoolUser,
    pub groups: BTreeSet<GroupName>,
    /// `None` if the user has none, or if profiles are off.
    pub profile: Option<Map<String, Value>>,
}

/// The users whom a name means.
#[derive(Debug)]
pub(crate) enum FoundUsers {
    One(Box<UserView>),
    /// These users have the e-mail address.
    Several(Vec<ListedUser>),
}

/// Why a lookup has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// No such user or profile.
    NotFound,
    /// The name may mean two users: [`PoolUser::is_ambiguous`].
    Ambiguous,
    /// A call failed.
    Failed(Failure),
}

impl From<Failure> for LookupError {
    fn from(failure: Failure) -> Self {
        if failure.reason == Reason::UserNotFound {
            Self::NotFound
        } else {
            Self::Failed(failure)
        }
    }
}

impl From<FindUserError> for LookupError {
    fn from(error: FindUserError) -> Self {
        match error {
            FindUserError::Ambiguous => Self::Ambiguous,
            FindUserError::Failed(failure) => failure.into(),
        }
    }
}

impl UserLookup {
    /// `profiles` is `None` if they are off.
    pub(crate) fn new(
        cognito: Cognito,
        profiles: Option<(ProfileTable, &config::ProfilesConfig)>,
    ) -> Self {
        Self {
            cognito,
            profiles: profiles.map(|(table, settings)| ProfileLookup {
                table,
                owner: settings.owner.clone(),
            }),
        }
    }

    /// Reads a user of the administrator's pool, by name, alias or `sub`. Writes an audit line
    /// with both.
    pub(crate) async fn get_user(
        &self,
        admin: &Caller,
        username: &Username,
    ) -> Result<UserView, LookupError> {
        let found = self.look_up(&admin.pool, username).await;
        audit(admin, &found);
        found
    }

    /// Like [`Self::get_user`], for an operator. Writes no audit line.
    pub(crate) async fn look_up(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<UserView, LookupError> {
        let user = retry_inline(|| self.cognito.find_user(pool, username)).await?;
        let groups = retry_inline(|| self.cognito.groups_of(pool, &user.username)).await?;
        let profile = match (&self.profiles, &user.sub) {
            (Some(profiles), Some(sub)) => {
                retry_inline(|| profiles.table.read(sub.as_str())).await?
            }
            _ => None,
        };
        Ok(UserView {
            user,
            groups,
            profile,
        })
    }

    /// Like [`Self::look_up`]. Also searches for an e-mail address that is not an alias.
    pub(crate) async fn find(
        &self,
        pool: &PoolId,
        asked: &Username,
    ) -> Result<FoundUsers, LookupError> {
        let found = self.look_up(pool, asked).await;
        if !matches!(found, Err(LookupError::NotFound)) || !asked.reveal().contains('@') {
            return Ok(FoundUsers::One(Box::new(found?)));
        }
        let mut users = self.cognito.search_users(pool, asked).await?;
        if users.len() > 1 {
            return Ok(FoundUsers::Several(users));
        }
        let user = users.pop().ok_or(LookupError::NotFound)?;
        // A listed name may belong to another user by now, a `sub` cannot.
        let sub = user.sub.as_ref().map(Sub::as_str).and_then(Username::new);
        let view = self.look_up(pool, &sub.unwrap_or(user.username)).await?;
        Ok(FoundUsers::One(Box::new(view)))
    }

    /// The profile under the caller's `sub`. If an attribute names the owner, it must name the
    /// caller: an `AppSync` client may have written an item under this id.
    pub(crate) async fn own_profile(
        &self,
        caller: &Caller,
    ) -> Result<Map<String, Value>, LookupError> {
        let profiles = self.profiles.as_ref().ok_or(LookupError::NotFound)?;
        let profile = retry_inline(|| profiles.table.read(&caller.sub)).await?;
        let profile = profile.ok_or(LookupError::NotFound)?;
        let owner = profiles.owner.as_ref();
        if owner.is_some_and(|owner| !is_owned_by(&profile, owner, caller)) {
            return Err(LookupError::NotFound);
        }
        Ok(profile)
    }

    /// A user of this pool with an open invitation. Anyone can cause this call, so it is a
    /// search: `AdminGetUser` would make the user count as active this month.
    pub(crate) async fn find_invited(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> Result<Option<ListedUser>, Failure> {
        let mut found = self.cognito.search_users(pool, username).await?.into_iter();
        Ok(found.find(|user| user.status == UserStatus::Invited))
    }

    /// How many times a second [`Self::find_invited`] can be called for one pool.
    pub(crate) fn search_rate(&self) -> f64 {
        self.cognito.limit(Category::UserList) / f64::from(Cognito::MAX_SEARCH_CALLS)
    }
}

fn audit(admin: &Caller, found: &Result<UserView, LookupError>) {
    let (result, reason) = match found {
        Ok(_) => ("done", ""),
        Err(LookupError::NotFound) => ("rejected", "user_not_found"),
        Err(LookupError::Ambiguous) => ("rejected", "ambiguous_user"),
        Err(LookupError::Failed(failure)) => ("failed", failure.reason.as_str()),
    };
    let sub = found.as_ref().ok().and_then(|view| view.user.sub.as_ref());
    tracing::info!(
        target: "usher::audit",
        action = "GetUser",
        actor = admin.sub,
        user.sub = sub.map(Sub::as_str).filter(|sub| is_loggable_id(sub)),
        pool.id = admin.pool.as_str(),
        result,
        reason,
        "user lookup by an administrator",
    );
}

fn is_owned_by(
    profile: &Map<String, Value>,
    owner: &config::OwnerAttribute,
    caller: &Caller,
) -> bool {
    let named = profile.get(owner.name()).and_then(Value::as_str);
    let (sub, username) = (Sub::new(&caller.sub), Username::new(&caller.username));
    let (Some(named), Some(sub), Some(username)) = (named, sub, username) else {
        return false;
    };
    let values = owner.values(&caller.pool, &sub, &username);
    values.iter().any(|value| value == named)
}
