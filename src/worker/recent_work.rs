//! Remembers recently provisioned users, recent admin commands and refused sign-ups, in
//! bounded memory.
//!
//! Cognito calls a slow trigger again, and SQS delivers at least once. So the same
//! sign-up often arrives two or three times. Every effect may be repeated, but each
//! repetition would use the rate budget.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::Failure;
use crate::cache::Cache;
use crate::config::GroupName;
use crate::event::{AdminCommand, SignUp};

/// Long enough for Cognito's repeated calls and a visibility timeout. Short enough that
/// a replay soon restores an effect that was undone.
const DONE_TTL: Duration = Duration::from_mins(1);
const MAX_RECENT_WORK: usize = 8192;

#[derive(Debug)]
pub(super) struct RecentWork {
    hashers: [RandomState; 2],
    entries: Cache<u128, Arc<WorkEntry>>,
}

/// Runs the work for one user or admin command one at a time; a second attempt finds it done.
#[derive(Debug, Default)]
pub(super) struct WorkEntry {
    done_at: tokio::sync::Mutex<Option<Instant>>,
    /// The latest refusal, and when it first occurred. Boxed, because most entries have none.
    last_refusal: Mutex<Option<Box<(Failure, Instant)>>>,
}

/// Guard: only its holder works for the user or on the admin command.
pub(super) struct WorkGuard<'a>(tokio::sync::MutexGuard<'a, Option<Instant>>);

impl Default for RecentWork {
    fn default() -> Self {
        Self {
            hashers: Default::default(),
            entries: Cache::new(MAX_RECENT_WORK),
        }
    }
}

impl RecentWork {
    /// The entry of a user with exactly these groups, and with or without a profile. Any
    /// difference makes it separate work.
    pub(super) fn user(&self, sign_up: &SignUp, groups: &[GroupName]) -> Arc<WorkEntry> {
        let has_profile = sign_up.scope.includes_profile();
        let user = (&sign_up.pool, &sign_up.username, &sign_up.sub);
        self.get_or_insert((user, groups, has_profile))
    }

    /// The entry of an admin command, without the time of its request.
    pub(super) fn command(&self, command: &AdminCommand) -> Arc<WorkEntry> {
        // `replayed` drops the request time, which differs when a client repeats a command.
        self.get_or_insert(command.replayed().to_body())
    }

    fn get_or_insert(&self, item: impl Hash) -> Arc<WorkEntry> {
        self.entries.get_or_insert(&self.key(&item), Arc::default)
    }

    /// 128 bits under random keys: a collision would skip a user.
    fn key(&self, item: &impl Hash) -> u128 {
        self.hashers
            .iter()
            .fold(0, |key, state| key << 64 | u128::from(state.hash_one(item)))
    }
}

impl WorkEntry {
    pub(super) async fn acquire(&self) -> WorkGuard<'_> {
        WorkGuard(self.done_at.lock().await)
    }

    /// When a service refused this user first; `None` if this is the first time. The
    /// message may have been released since then.
    pub(super) fn record_refusal(&self, failure: &Failure) -> Option<Instant> {
        let mut last_refusal = self
            .last_refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match last_refusal.as_deref() {
            Some((known, since)) if known == failure => Some(*since),
            _ => {
                *last_refusal = Some(Box::new((failure.clone(), Instant::now())));
                None
            }
        }
    }

    /// Called when the sign-up is rejected or succeeds: the next refusal counts as the first.
    pub(super) fn forget_refusal(&self) {
        *self
            .last_refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl WorkGuard<'_> {
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
    use crate::aws::{Class, CognitoOperation};
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
    async fn done_user_is_remembered_briefly_and_with_its_groups() {
        let recent = RecentWork::default();
        let user = recent.user(&sign_up("a"), &groups(&["X"]));
        let guard = user.acquire().await;
        assert!(!guard.is_done());
        guard.mark_done();
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
        let mut without_profile = sign_up("a");
        without_profile.scope = Scope::Groups(groups(&["X"]));
        let user = recent.user(&without_profile, &groups(&["X"]));
        assert!(!user.acquire().await.is_done(), "the profile is missing");
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
    async fn refusal_has_its_first_time_until_it_is_judged() {
        let recent = RecentWork::default();
        let failure = |code: &str| Failure {
            operation: CognitoOperation::AdminAddUserToGroup.into(),
            resource: "eu-west-1_x".into(),
            code: code.to_owned(),
            reason: code.to_lowercase().into(),
            class: Class::Permanent,
            explanation: None,
        };
        let refused = |code| {
            recent
                .user(&sign_up("a"), &[])
                .record_refusal(&failure(code))
        };
        let first = Instant::now();
        assert_eq!(refused("New"), None);
        tokio::time::advance(DONE_TTL).await;
        assert_eq!(refused("New"), Some(first));
        assert_eq!(refused("Other"), None, "another code is another refusal");
        assert_eq!(refused("Other"), Some(first + DONE_TTL));
        recent.user(&sign_up("a"), &[]).forget_refusal();
        assert_eq!(refused("Other"), None);
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let recent = RecentWork::default();
        for n in 0..2 * MAX_RECENT_WORK {
            drop(recent.user(&sign_up(&n.to_string()), &[]));
        }
        assert_eq!(recent.entries.len(), MAX_RECENT_WORK);
    }
}
