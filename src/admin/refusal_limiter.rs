//! A limit on refused tokens, so that signature checks cannot use up the processor.
//!
//! Only refused tokens count, so good ones are never too many. The limit is kept by what
//! the token claims to be its `sub`: behind a load balancer every request comes from the
//! balancer's address, and `X-Forwarded-For` is whatever its sender writes. Whoever had a
//! good token lately has an allowance of their own; all others share one, since anybody
//! can make up as many a `sub` as they like. So a flood keeps out, at worst, those whose
//! first token comes in the middle of it, and they get in by trying again.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use tokio::time::Instant;

use crate::event::Caller;

/// Refused tokens a second of all who are not known. A check takes 20 to 40 µs.
const UNKNOWN_CALLER_REFUSALS_PER_SECOND: u32 = 100;
/// Refused tokens a second of one person who is known; more count as strangers'.
const KNOWN_CALLER_REFUSALS_PER_SECOND: u32 = 10;
/// People who had a good token and are remembered.
const MAX_KNOWN_CALLERS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

#[derive(Debug)]
pub(super) struct RefusalLimiter {
    hasher: RandomState,
    state: Mutex<RefusalState>,
}

#[derive(Debug)]
struct RefusalState {
    known: LruCache<u64, KnownCaller>,
    unknown: RefusalBucket,
}

/// Somebody who had a good token.
#[derive(Debug)]
struct KnownCaller {
    /// The hash of the last good one: it is checked whatever others send in this name.
    good_token_hash: Option<u64>,
    allowance: RefusalBucket,
}

/// So many a second, and no more than a second's worth at once.
#[derive(Debug)]
struct RefusalBucket {
    rate: f64,
    left: f64,
    refilled_at: Instant,
}

impl RefusalLimiter {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            state: Mutex::new(RefusalState {
                known: LruCache::new(MAX_KNOWN_CALLERS),
                unknown: RefusalBucket::new(UNKNOWN_CALLER_REFUSALS_PER_SECOND),
            }),
        }
    }

    /// Whether the signature of this token is checked. `claimed` is not believed yet.
    pub(super) fn may_check(&self, claimed: &Caller, token: &str) -> bool {
        let (person, token) = (self.caller_key(claimed), self.hasher.hash_one(token));
        let mut state = self.state();
        // Only a good token makes somebody recent.
        let known = state.known.peek_mut(&person);
        known
            .is_some_and(|known| known.good_token_hash == Some(token) || known.allowance.has_room())
            || state.unknown.has_room()
    }

    /// The signature was checked, and the token is refused.
    pub(super) fn record_refused(&self, claimed: &Caller, token: &str) {
        let (person, token) = (self.caller_key(claimed), self.hasher.hash_one(token));
        let mut state = self.state();
        if let Some(known) = state.known.peek_mut(&person) {
            if known.good_token_hash == Some(token) {
                // It was good under a key that is gone.
                known.good_token_hash = None;
            }
            if known.allowance.has_room() {
                known.allowance.take();
                return;
            }
        }
        state.unknown.take();
    }

    /// The token is good.
    pub(super) fn record_accepted(&self, caller: &Caller, token: &str) {
        let (person, token) = (self.caller_key(caller), self.hasher.hash_one(token));
        let mut state = self.state();
        let known = state.known.get_or_insert_mut(person, || KnownCaller {
            good_token_hash: None,
            allowance: RefusalBucket::new(KNOWN_CALLER_REFUSALS_PER_SECOND),
        });
        known.good_token_hash = Some(token);
    }

    fn caller_key(&self, caller: &Caller) -> u64 {
        self.hasher.hash_one((caller.pool.as_str(), &caller.sub))
    }

    fn state(&self) -> MutexGuard<'_, RefusalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RefusalBucket {
    fn new(rate: u32) -> Self {
        let rate = f64::from(rate);
        Self {
            rate,
            left: rate,
            refilled_at: Instant::now(),
        }
    }

    fn has_room(&mut self) -> bool {
        let now = Instant::now();
        let passed = now
            .saturating_duration_since(self.refilled_at)
            .as_secs_f64();
        self.left = (self.left + passed * self.rate).min(self.rate);
        self.refilled_at = now;
        self.left >= 1.0
    }

    fn take(&mut self) {
        self.left -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::PoolId;

    fn caller(sub: &str) -> Caller {
        Caller {
            pool: PoolId::new("eu-west-1_x").expect("an id"),
            sub: sub.to_owned(),
            username: "somebody".to_owned(),
            client_id: "app".to_owned(),
            groups: <_>::default(),
        }
    }

    /// Forged tokens in these names; how many of them were checked.
    fn checked(limiter: &RefusalLimiter, subs: impl Iterator<Item = String>) -> u32 {
        let mut checked = 0;
        for (n, sub) in subs.enumerate() {
            let (claimed, token) = (caller(&sub), format!("forged-{n}"));
            if limiter.may_check(&claimed, &token) {
                limiter.record_refused(&claimed, &token);
                checked += 1;
            }
        }
        checked
    }

    fn strangers() -> impl Iterator<Item = String> {
        (0..1_000).map(|n| format!("stranger-{n}"))
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_share_one_allowance() {
        let limiter = RefusalLimiter::new();
        assert_eq!(
            checked(&limiter, strangers()),
            UNKNOWN_CALLER_REFUSALS_PER_SECOND
        );
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(
            checked(&limiter, strangers()),
            UNKNOWN_CALLER_REFUSALS_PER_SECOND / 10
        );
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(
            checked(&limiter, strangers()),
            UNKNOWN_CALLER_REFUSALS_PER_SECOND
        );
    }

    #[tokio::test(start_paused = true)]
    async fn good_tokens_do_not_count() {
        let limiter = RefusalLimiter::new();
        for n in 0..1_000 {
            let (admin, token) = (caller("admin"), format!("good-{n}"));
            assert!(limiter.may_check(&admin, &token), "{n}");
            limiter.record_accepted(&admin, &token);
        }
        assert_eq!(
            checked(&limiter, strangers()),
            UNKNOWN_CALLER_REFUSALS_PER_SECOND
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_person_gets_through_a_flood_of_strangers() {
        let limiter = RefusalLimiter::new();
        limiter.record_accepted(&caller("admin"), "first");
        assert_eq!(
            checked(&limiter, strangers()),
            UNKNOWN_CALLER_REFUSALS_PER_SECOND
        );
        assert!(limiter.may_check(&caller("admin"), "first"));
        assert!(limiter.may_check(&caller("admin"), "renewed"));
        assert!(!limiter.may_check(&caller("newcomer"), "good"));
        tokio::time::advance(Duration::from_millis(10)).await;
        assert!(limiter.may_check(&caller("newcomer"), "good"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_in_one_name_spares_the_last_good_token() {
        let limiter = RefusalLimiter::new();
        let admin = caller("admin");
        limiter.record_accepted(&admin, "good");
        let flood = || std::iter::repeat_n("admin".to_owned(), 1_000);
        assert_eq!(
            checked(&limiter, flood()),
            KNOWN_CALLER_REFUSALS_PER_SECOND + UNKNOWN_CALLER_REFUSALS_PER_SECOND
        );
        assert!(limiter.may_check(&admin, "good"));
        assert!(!limiter.may_check(&admin, "renewed"));
        // Good no longer, it is like any other.
        limiter.record_refused(&admin, "good");
        assert!(!limiter.may_check(&admin, "good"));
    }

    #[tokio::test(start_paused = true)]
    async fn forged_tokens_of_others_do_not_make_a_person_forgotten() {
        let limiter = RefusalLimiter::new();
        limiter.record_accepted(&caller("admin"), "first");
        let most = MAX_KNOWN_CALLERS.get();
        for n in 1..most {
            limiter.record_accepted(&caller(&format!("user-{n}")), "good");
        }
        // Forged tokens in another name do not make that one the more recent.
        checked(&limiter, std::iter::repeat_n("user-1".to_owned(), 5));
        limiter.record_accepted(&caller("admin"), "second");
        limiter.record_accepted(&caller("one more"), "good");
        checked(&limiter, strangers());
        assert!(limiter.may_check(&caller("admin"), "renewed"));
        assert!(
            !limiter.may_check(&caller("user-1"), "renewed"),
            "forgotten"
        );
    }
}
