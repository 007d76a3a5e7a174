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
use crate::event::{AdminCommand, SignUp};

/// Long enough for Cognito's repeated calls and a visibility timeout, short
/// enough that somebody who undoes an effect and replays the event gets it back.
const DONE_TTL: Duration = Duration::from_mins(1);
const MAX_RECENT_USERS: NonZeroUsize = NonZeroUsize::new(8192).expect("not zero");

#[derive(Debug)]
pub(super) struct RecentUsers {
    hashers: [RandomState; 2],
    users: Mutex<LruCache<u128, Arc<RecentUser>>>,
}

/// Work for one user, or on one order, goes one after the other; the second finds it done.
#[derive(Debug, Default)]
pub(super) struct RecentUser {
    done_at: tokio::sync::Mutex<Option<Instant>>,
    /// The latest refusal, and when it came first.
    last_refusal: Mutex<Option<(Failure, Instant)>>,
}

/// The right to work for one user.
pub(super) struct UserPermit<'a>(tokio::sync::MutexGuard<'a, Option<Instant>>);

impl Default for RecentUsers {
    fn default() -> Self {
        Self {
            hashers: Default::default(),
            users: Mutex::new(LruCache::new(MAX_RECENT_USERS)),
        }
    }
}

impl RecentUsers {
    /// The user with just these groups and with or without a record: anything else is
    /// other work.
    pub(super) fn user(&self, sign_up: &SignUp, groups: &[GroupName]) -> Arc<RecentUser> {
        let has_record = sign_up.scope.includes_profile();
        let user = (&sign_up.pool, &sign_up.username, &sign_up.sub);
        self.get_or_insert((user, groups, has_record))
    }

    /// The order, but for the time.
    pub(super) fn command(&self, order: &AdminCommand) -> Arc<RecentUser> {
        // A client that asks again asks at another time.
        self.get_or_insert(order.replayed().to_body())
    }

    fn get_or_insert(&self, what: impl Hash) -> Arc<RecentUser> {
        let key = self.key(&what);
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(users.get_or_insert(key, Arc::default))
    }

    /// 128 bits under random keys: a collision would leave a user out.
    fn key(&self, what: &impl Hash) -> u128 {
        self.hashers
            .iter()
            .fold(0, |key, state| key << 64 | u128::from(state.hash_one(what)))
    }
}

impl RecentUser {
    pub(super) async fn acquire(&self) -> UserPermit<'_> {
        UserPermit(self.done_at.lock().await)
    }

    /// Since when a service has refused this user; `None` for the first time. The message
    /// may have gone back to the queue since.
    pub(super) fn record_refusal(&self, failure: &Failure) -> Option<Instant> {
        let mut refused = self
            .last_refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
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
        *self
            .last_refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl UserPermit<'_> {
    pub(super) fn is_done(&self) -> bool {
        self.0.is_some_and(|at| at.elapsed() < DONE_TTL)
    }

    pub(super) fn mark_done(mut self) {
        *self.0 = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Class, Service};
    use crate::event::{PoolId, Scope, Sub, UserAttributes, Username};

    fn sign_up(name: &str) -> SignUp {
        SignUp {
            pool: PoolId::new("eu-west-1_x").expect("not empty"),
            username: Username::new(name).expect("not empty"),
            sub: Sub::new("1"),
            client_id: None,
            attributes: UserAttributes::default(),
            scope: Scope::Full,
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
        let recent = RecentUsers::default();
        let user = recent.user(&sign_up("a"), &groups(&["X"]));
        let turn = user.acquire().await;
        assert!(!turn.is_done());
        turn.mark_done();
        assert!(
            recent
                .user(&sign_up("a"), &groups(&["X"]))
                .acquire()
                .await
                .is_done()
        );
        assert!(
            !recent
                .user(&sign_up("a"), &groups(&["X", "Y"]))
                .acquire()
                .await
                .is_done()
        );
        assert!(
            !recent
                .user(&sign_up("b"), &groups(&["X"]))
                .acquire()
                .await
                .is_done()
        );
        let mut without_record = sign_up("a");
        without_record.scope = Scope::Groups(groups(&["X"]));
        let user = recent.user(&without_record, &groups(&["X"]));
        assert!(!user.acquire().await.is_done(), "a record is to be written");
        tokio::time::advance(DONE_TTL).await;
        assert!(
            !recent
                .user(&sign_up("a"), &groups(&["X"]))
                .acquire()
                .await
                .is_done()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_remembered_with_its_first_time_until_it_is_decided() {
        let recent = RecentUsers::default();
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
                .record_refusal(&failure(code))
        };
        let begun = Instant::now();
        assert_eq!(refused("New"), None);
        tokio::time::advance(DONE_TTL).await;
        assert_eq!(refused("New"), Some(begun));
        assert_eq!(refused("Other"), None, "another code is another refusal");
        assert_eq!(refused("Other"), Some(begun + DONE_TTL));
        recent.user(&sign_up("a"), &[]).forget_refusal();
        assert_eq!(refused("Other"), None);
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let recent = RecentUsers::default();
        for n in 0..2 * MAX_RECENT_USERS.get() {
            drop(recent.user(&sign_up(&n.to_string()), &[]));
        }
        assert_eq!(
            recent.users.lock().expect("not poisoned").len(),
            MAX_RECENT_USERS.get()
        );
    }
}
