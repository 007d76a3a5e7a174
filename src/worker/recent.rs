//! Users that were done a moment ago, and those whose sign-up was refused, in bounded memory.
//!
//! Cognito fires a slow trigger again and SQS delivers at least once, so the
//! same sign-up often comes in twos and threes. Every effect may be repeated,
//! but each repetition would spend the rate budget.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use crate::aws::Failure;
use crate::config::GroupName;
use crate::event::{Order, SignUp};

/// Long enough for Cognito's repeated calls and a visibility timeout, short
/// enough that somebody who undoes an effect and replays the event gets it back.
const MOMENT: Duration = Duration::from_mins(1);
const CAPACITY: NonZeroUsize = NonZeroUsize::new(8192).expect("not zero");

#[derive(Debug)]
pub(super) struct Recent {
    keys: [RandomState; 2],
    users: Mutex<LruCache<u128, Arc<User>>>,
}

/// Work for one user, or on one order, goes one after the other; the second finds it done.
#[derive(Debug, Default)]
pub(super) struct User {
    done: tokio::sync::Mutex<Option<Instant>>,
    /// The latest refusal, and when it came first.
    refused: Mutex<Option<(Failure, Instant)>>,
}

/// The right to work for one user.
pub(super) struct Turn<'a>(tokio::sync::MutexGuard<'a, Option<Instant>>);

impl Default for Recent {
    fn default() -> Self {
        Self {
            keys: Default::default(),
            users: Mutex::new(LruCache::new(CAPACITY)),
        }
    }
}

impl Recent {
    /// The user with just these groups and with or without a record: anything else is
    /// other work.
    pub(super) fn user(&self, sign_up: &SignUp, groups: &[GroupName]) -> Arc<User> {
        let has_record = sign_up.scope.has_record();
        let user = (&sign_up.pool, &sign_up.username, &sign_up.sub);
        self.keyed((user, groups, has_record))
    }

    /// The order, but for the time.
    pub(super) fn order(&self, order: &Order) -> Arc<User> {
        // A client that asks again asks at another time.
        self.keyed(order.replayed().to_body())
    }

    fn keyed(&self, what: impl Hash) -> Arc<User> {
        let key = self.key(&what);
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(users.get_or_insert(key, Arc::default))
    }

    /// 128 bits under random keys: a collision would leave a user out.
    fn key(&self, what: &impl Hash) -> u128 {
        self.keys
            .iter()
            .fold(0, |key, state| key << 64 | u128::from(state.hash_one(what)))
    }
}

impl User {
    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn(self.done.lock().await)
    }

    /// Since when a service has refused this user; `None` for the first time. The message
    /// may have gone back to the queue since.
    pub(super) fn refused_since(&self, failure: &Failure) -> Option<Instant> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match &*refused {
            Some((same, since)) if same == failure => Some(*since),
            _ => {
                *refused = Some((failure.clone(), Instant::now()));
                None
            }
        }
    }

    /// The refusal was decided on; the next one is the first again.
    pub(super) fn forget_refusal(&self) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Turn<'_> {
    pub(super) fn is_done(&self) -> bool {
        self.0.is_some_and(|at| at.elapsed() < MOMENT)
    }

    pub(super) fn done(mut self) {
        *self.0 = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Class, Service};
    use crate::event::{Attributes, PoolId, Scope, Sub, Username};

    fn sign_up(name: &str) -> SignUp {
        SignUp {
            pool: PoolId::new("eu-west-1_x").expect("not empty"),
            username: Username::new(name).expect("not empty"),
            sub: Sub::new("1"),
            client_id: None,
            attributes: Attributes::default(),
            scope: Scope::Whole,
        }
    }

    fn groups(names: &[&str]) -> Vec<GroupName> {
        names
            .iter()
            .filter_map(|name| GroupName::new(name))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_is_remembered_for_a_moment_and_only_with_the_same_groups() {
        let recent = Recent::default();
        let user = recent.user(&sign_up("a"), &groups(&["X"]));
        let turn = user.turn().await;
        assert!(!turn.is_done());
        turn.done();
        assert!(
            recent
                .user(&sign_up("a"), &groups(&["X"]))
                .turn()
                .await
                .is_done()
        );
        assert!(
            !recent
                .user(&sign_up("a"), &groups(&["X", "Y"]))
                .turn()
                .await
                .is_done()
        );
        assert!(
            !recent
                .user(&sign_up("b"), &groups(&["X"]))
                .turn()
                .await
                .is_done()
        );
        let mut without_record = sign_up("a");
        without_record.scope = Scope::Groups(groups(&["X"]));
        let user = recent.user(&without_record, &groups(&["X"]));
        assert!(!user.turn().await.is_done(), "a record is to be written");
        tokio::time::advance(MOMENT).await;
        assert!(
            !recent
                .user(&sign_up("a"), &groups(&["X"]))
                .turn()
                .await
                .is_done()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_remembered_with_its_first_time_until_it_is_decided() {
        let recent = Recent::default();
        let failure = |code: &str| Failure {
            service: Service::Cognito,
            operation: "AdminAddUserToGroup",
            resource: "eu-west-1_x".to_owned(),
            code: code.to_owned(),
            reason: code.to_lowercase(),
            class: Class::Permanent,
        };
        let refused = |code| {
            recent
                .user(&sign_up("a"), &[])
                .refused_since(&failure(code))
        };
        let begun = Instant::now();
        assert_eq!(refused("New"), None);
        tokio::time::advance(MOMENT).await;
        assert_eq!(refused("New"), Some(begun));
        assert_eq!(refused("Other"), None, "another code is another refusal");
        assert_eq!(refused("Other"), Some(begun + MOMENT));
        recent.user(&sign_up("a"), &[]).forget_refusal();
        assert_eq!(refused("Other"), None);
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let recent = Recent::default();
        for n in 0..2 * CAPACITY.get() {
            drop(recent.user(&sign_up(&n.to_string()), &[]));
        }
        assert_eq!(
            recent.users.lock().expect("not poisoned").len(),
            CAPACITY.get()
        );
    }
}
