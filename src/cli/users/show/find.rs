//! Finds the user by what an operator knows of them.

use anyhow::anyhow;

use crate::admin::{LookupError, UserView};
use crate::app::Services;
use crate::aws::ListedUser;
use crate::cli::reasons::explain;
use crate::event::{PoolId, Sub, Username};

pub(super) enum Found {
    One(Box<UserView>),
    /// These users have the e-mail address.
    Several(Vec<ListedUser>),
}

/// By user name, `sub` or alias. Searches for an e-mail address that is not an alias.
pub(super) async fn find(
    services: &Services,
    pool: &PoolId,
    asked: &Username,
) -> anyhow::Result<Found> {
    let lookup = services.user_lookup()?;
    match lookup.look_up(pool, asked).await {
        Err(LookupError::NotFound) if asked.reveal().contains('@') => {}
        found => return one(found, pool),
    }
    let mut users = services.cognito().search_users(pool, asked).await?;
    if users.len() > 1 {
        return Ok(Found::Several(users));
    }
    let Some(user) = users.pop() else {
        return Err(no_such_user(pool));
    };
    // A listed name may belong to another user by now, a `sub` cannot.
    let sub = user.sub.as_ref().map(Sub::as_str).and_then(Username::new);
    let known = sub.unwrap_or(user.username);
    one(lookup.look_up(pool, &known).await, pool)
}

fn one(found: Result<UserView, LookupError>, pool: &PoolId) -> anyhow::Result<Found> {
    match found {
        Ok(view) => Ok(Found::One(Box::new(view))),
        Err(LookupError::NotFound) => Err(no_such_user(pool)),
        Err(LookupError::Ambiguous) => Err(anyhow!("{}", explain("ambiguous_user"))),
        Err(LookupError::Failed(failure)) => Err(failure.into()),
    }
}

/// Does not repeat the name: standard error may be a log.
fn no_such_user(pool: &PoolId) -> anyhow::Error {
    anyhow!("no user of {pool} has this user name, sub or e-mail address")
}
