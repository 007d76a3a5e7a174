//! The users of a run, created before it begins.
//!
//! A user's e-mail address begins with their made-up name: pools whose users sign in
//! with their address make user names of their own.

use std::pin::pin;

use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::run_id::{RunId, Tag};
use crate::aws::{Class, Cognito, CreatedUser, Failure, SignInName};
use crate::event::{PoolId, Sub, Username};
use crate::retry::{Backoff, SharedRetry};

/// A user of the pool who was created for this run.
#[derive(Debug, Clone)]
pub struct TestUser {
    /// Number in the plan, from 0; bystanders are numbered separately.
    pub number: u32,
    /// User name as the pool returned it.
    pub username: Username,
    /// Immutable id that the pool returned.
    pub sub: Sub,
    /// E-mail address that begins with the made-up name.
    pub email: String,
}

#[derive(Debug, Default)]
pub(crate) struct TestUsers {
    /// Users with a sign-up, by number.
    pub users: Vec<TestUser>,
    /// Users for whom no message is sent.
    pub(crate) bystanders: Vec<TestUser>,
}

/// Creates users in one pool.
#[derive(Debug)]
pub(crate) struct UserFactory<'a> {
    pub cognito: &'a Cognito,
    pub pool: &'a PoolId,
    pub(crate) run_id: &'a RunId,
    /// Form of user name that the pool accepts.
    pub(crate) sign_in_name: SignInName,
    /// The part after the @ of their addresses.
    pub email_domain: &'a str,
    pub retry: &'a SharedRetry,
}

/// The budget limits the rate of these calls.
const USER_CREATIONS_IN_PARALLEL: usize = 32;
const MAX_USER_CREATE_TRIES: u32 = 5;

impl UserFactory<'_> {
    /// Creates all users. After `stop` or a failure it starts no further calls, lets
    /// the calls in progress finish, and returns the users so far. `created` gets the
    /// number of finished calls.
    ///
    /// # Errors
    /// The first failure, with the users who were created.
    pub(crate) async fn create_all(
        &self,
        sign_ups: u32,
        bystanders: u32,
        stop: &CancellationToken,
        created: impl Fn(u64),
    ) -> Result<TestUsers, (TestUsers, Failure)> {
        let ended = stop.child_token();
        let sign_ups = (0..sign_ups).map(Tag::SignUp);
        let all = sign_ups.chain((0..bystanders).map(Tag::Bystander));
        let creations = stream::iter(all)
            .take_until(ended.cancelled())
            .map(|tag| async move { (tag, self.create_user(tag).await) })
            // Ordered, so that a user's index is their number.
            .buffered(USER_CREATIONS_IN_PARALLEL);
        let mut creations = pin!(creations);
        let (mut users, mut failed) = (TestUsers::default(), None);
        let mut count = 0;
        while let Some((tag, user)) = creations.next().await {
            match (tag, user) {
                (_, Err(failure)) => {
                    ended.cancel();
                    failed = failed.or(Some(failure));
                }
                (Tag::Bystander(_), Ok(user)) => users.bystanders.push(user),
                (Tag::SignUp(_) | Tag::Poison(_), Ok(user)) => users.users.push(user),
            }
            count += 1;
            created(count);
        }
        match failed {
            None => Ok(users),
            Some(failure) => Err((users, failure)),
        }
    }

    async fn create_user(&self, tag: Tag) -> Result<TestUser, Failure> {
        let name = self.run_id.name(tag);
        let email = format!("{name}@{}", self.email_domain);
        let requested = match self.sign_in_name {
            SignInName::Email => Username::new(&email),
            SignInName::Any | SignInName::Phone => Username::new(&name),
        };
        let requested = requested.expect("a run's names are not empty");
        let created = self.create_with_retry(&requested, &email).await?;
        let (Tag::SignUp(n) | Tag::Bystander(n) | Tag::Poison(n)) = tag;
        Ok(TestUser {
            number: n,
            username: created.username,
            sub: created.sub,
            email,
        })
    }

    /// Retries failures that may pass. A trigger of the pool may have timed out after the
    /// user was created, and a user who exists may not be visible yet.
    async fn create_with_retry(
        &self,
        name: &Username,
        email: &str,
    ) -> Result<CreatedUser, Failure> {
        let mut tries = 1;
        let mut backoff = Backoff::default();
        loop {
            let create = || self.cognito.create_test_user(self.pool, name, email);
            match self.retry.call(create).await {
                Err(failure) if tries < MAX_USER_CREATE_TRIES && may_succeed_later(&failure) => {
                    tries += 1;
                    tokio::time::sleep(backoff.next_pause()).await;
                }
                result => return result,
            }
        }
    }
}

fn may_succeed_later(failure: &Failure) -> bool {
    failure.code == "UnexpectedLambdaException" || failure.class == Class::NotYet
}
