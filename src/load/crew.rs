//! The users of a run: made before it begins.

use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::run_id::{RunId, Tag};
use crate::aws::{Failure, SignInName, Users};
use crate::event::{PoolId, Sub, Username};
use crate::retry::patiently;

/// A user of this run.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their number.
    pub n: u32,
    /// As the pool names them.
    pub username: Username,
    /// Their immutable id.
    pub sub: Sub,
    /// Made up like their name.
    pub email: String,
}

/// All users of a run.
#[derive(Debug, Default)]
pub struct Crew {
    /// Who will sign up, by number.
    pub people: Vec<Person>,
    /// For whom nothing is sent.
    pub bystanders: Vec<Person>,
}

/// Makes users in one pool.
#[derive(Debug)]
pub struct Maker<'a> {
    /// Where they are made.
    pub users: &'a Users,
    /// The pool.
    pub pool: &'a PoolId,
    /// Whose names they carry.
    pub run: &'a RunId,
    /// What the pool takes for a name.
    pub names: SignInName,
    /// The part behind the @ of their addresses.
    pub domain: &'a str,
}

/// Calls that are out at once; the budget sets the pace.
const PARALLEL: usize = 32;

impl Maker<'_> {
    /// Makes them all. What was made before a failure or a stop is found by its name.
    ///
    /// # Errors
    /// The first user that could not be made.
    pub async fn make(
        &self,
        sign_ups: u32,
        bystanders: u32,
        stop: &CancellationToken,
        made: impl Fn(u64),
    ) -> Result<Crew, Failure> {
        let people = (0..sign_ups).map(Tag::SignUp);
        let all = people.chain((0..bystanders).map(Tag::Bystander));
        let mut making = stream::iter(all)
            .map(|tag| async move { (tag, self.one(tag).await) })
            // In their order, so that people stand by their numbers.
            .buffered(PARALLEL);
        let mut crew = Crew::default();
        let mut count = 0;
        loop {
            let next = tokio::select! {
                next = making.next() => next,
                () = stop.cancelled() => None,
            };
            let Some((tag, person)) = next else {
                return Ok(crew);
            };
            match tag {
                Tag::Bystander(_) => crew.bystanders.push(person?),
                Tag::SignUp(_) | Tag::Poison(_) => crew.people.push(person?),
            }
            count += 1;
            made(count);
        }
    }

    async fn one(&self, tag: Tag) -> Result<Person, Failure> {
        let name = self.run.name(tag);
        let email = format!("{name}@{}", self.domain);
        let asked = match self.names {
            SignInName::Email => Username::new(&email),
            SignInName::Any | SignInName::Phone => Username::new(&name),
        };
        let asked = asked.expect("a run's names are not empty");
        let created = patiently(|| self.users.create(self.pool, &asked, &email)).await?;
        let (Tag::SignUp(n) | Tag::Bystander(n) | Tag::Poison(n)) = tag;
        Ok(Person {
            n,
            username: created.username,
            sub: created.sub,
            email,
        })
    }
}
