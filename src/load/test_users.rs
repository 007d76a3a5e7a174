//! The users of a run: made before it begins.

use std::pin::pin;

use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::run_id::{RunId, Tag};
use crate::aws::{Class, CreatedUser, Failure, SignInName, Users};
use crate::event::{PoolId, Sub, Username};
use crate::retry::{Backoff, SharedRetry};

/// A user of this run.
#[derive(Debug, Clone)]
pub struct TestUser {
    /// Their number.
    pub number: u32,
    /// As the pool names them.
    pub username: Username,
    /// Their immutable id.
    pub sub: Sub,
    /// Made up like their name.
    pub email: String,
}

/// All users of a run.
#[derive(Debug, Default)]
pub(crate) struct TestUsers {
    /// Who will sign up, by number.
    pub users: Vec<TestUser>,
    /// For whom nothing is sent.
    pub(crate) bystanders: Vec<TestUser>,
}

/// Makes users in one pool.
#[derive(Debug)]
pub(crate) struct UserFactory<'a> {
    /// Where they are made.
    pub users: &'a Users,
    /// The pool.
    pub pool: &'a PoolId,
    /// Whose names they carry.
    pub(crate) run_id: &'a RunId,
    /// What the pool takes for a name.
    pub(crate) sign_in_name: SignInName,
    /// The part behind the @ of their addresses.
    pub email_domain: &'a str,
    /// Gives up once nothing works any more.
    pub retry: &'a SharedRetry,
}

/// Calls that are out at once; the budget sets the pace.
const USER_CREATIONS_IN_PARALLEL: usize = 32;
const MAX_USER_CREATE_TRIES: u32 = 5;

impl UserFactory<'_> {
    /// Makes them all, or those that were made before it was told to stop or one
    /// could not be made. Calls under way come to their end.
    ///
    /// # Errors
    /// The first user that could not be made, with the others.
    pub(crate) async fn create_all(
        &self,
        sign_ups: u32,
        bystanders: u32,
        stop: &CancellationToken,
        made: impl Fn(u64),
    ) -> Result<TestUsers, (TestUsers, Failure)> {
        let enough = stop.child_token();
        let people = (0..sign_ups).map(Tag::SignUp);
        let all = people.chain((0..bystanders).map(Tag::Bystander));
        let making = stream::iter(all)
            .take_until(enough.cancelled())
            .map(|tag| async move { (tag, self.create_user(tag).await) })
            // In their order, so that people stand by their numbers.
            .buffered(USER_CREATIONS_IN_PARALLEL);
        let mut making = pin!(making);
        let (mut crew, mut failed) = (TestUsers::default(), None);
        let mut count = 0;
        while let Some((tag, person)) = making.next().await {
            match (tag, person) {
                (_, Err(failure)) => {
                    enough.cancel();
                    failed = failed.or(Some(failure));
                }
                (Tag::Bystander(_), Ok(person)) => crew.bystanders.push(person),
                (Tag::SignUp(_) | Tag::Poison(_), Ok(person)) => crew.users.push(person),
            }
            count += 1;
            made(count);
        }
        match failed {
            None => Ok(crew),
            Some(failure) => Err((crew, failure)),
        }
    }

    async fn create_user(&self, tag: Tag) -> Result<TestUser, Failure> {
        let name = self.run_id.name(tag);
        let email = format!("{name}@{}", self.email_domain);
        let asked = match self.sign_in_name {
            SignInName::Email => Username::new(&email),
            SignInName::Any | SignInName::Phone => Username::new(&name),
        };
        let asked = asked.expect("a run's names are not empty");
        let created = self.create_with_retry(&asked, &email).await?;
        let (Tag::SignUp(n) | Tag::Bystander(n) | Tag::Poison(n)) = tag;
        Ok(TestUser {
            number: n,
            username: created.username,
            sub: created.sub,
            email,
        })
    }

    /// A trigger of the pool that does not answer in time may have let the user be
    /// made, and a user who exists may not be seen yet: worth a few tries.
    async fn create_with_retry(
        &self,
        name: &Username,
        email: &str,
    ) -> Result<CreatedUser, Failure> {
        let mut tries = 1;
        let mut pace = Backoff::default();
        loop {
            let create = || self.users.create(self.pool, name, email);
            match self.retry.call(create).await {
                Err(failure) if tries < MAX_USER_CREATE_TRIES && is_retryable(&failure) => {
                    tries += 1;
                    tokio::time::sleep(pace.next_pause()).await;
                }
                result => return result,
            }
        }
    }
}

fn is_retryable(failure: &Failure) -> bool {
    failure.class == Class::NotYet || failure.code == "UnexpectedLambdaException"
}
