//! A limit on refused tokens, so that signature checks cannot use up the processor.
//!
//! Only refused tokens count, so good ones are never limited. The limit is by the `sub` that
//! the token claims. Behind a load balancer every request comes from the balancer's address,
//! and the sender chooses `X-Forwarded-For`. A user with a recent good token has an allowance
//! of their own. All others share one, since anyone can invent any number of `sub`s. So a
//! flood can only refuse users whose first token arrives during it, and a retry admits them.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::event::Caller;
use crate::rate_limiter::RateLimiter;

/// Refused tokens a second of all unknown callers together. A check takes 20 to 40 µs.
const UNKNOWN_CALLER_REFUSALS_PER_SECOND: u32 = 100;
/// Refused tokens a second of one known caller; more count as those of unknown callers.
const KNOWN_CALLER_REFUSALS_PER_SECOND: u32 = 10;
/// Users with a good token who are remembered, the most recent ones.
const MAX_KNOWN_CALLERS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

#[derive(Debug)]
pub(super) struct RefusalLimiter {
    hasher: RandomState,
    known: Mutex<LruCache<u64, KnownCaller>>,
    unknown: RateLimiter,
}

#[derive(Debug)]
struct KnownCaller {
    /// The hash of the last good token, which is checked whatever others send under this `sub`.
    good_token_hash: Option<u64>,
    allowance: RateLimiter,
}

impl RefusalLimiter {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            known: Mutex::new(LruCache::new(MAX_KNOWN_CALLERS)),
            unknown: RateLimiter::per_second(UNKNOWN_CALLER_REFUSALS_PER_SECOND.into()),
        }
    }

    /// Whether the signature of this token is checked. `claimed` is not verified yet.
    pub(super) fn may_check(&self, claimed: &Caller, token: &str) -> bool {
        let (key, token) = (self.caller_key(claimed), self.hasher.hash_one(token));
        // `peek`: only a good token makes a caller recent.
        self.known().peek(&key).is_some_and(|known| {
            known.good_token_hash == Some(token) || known.allowance.has_token()
        }) || self.unknown.has_token()
    }

    /// To be called after a failed check of the signature.
    pub(super) fn record_refused(&self, claimed: &Caller, token: &str) {
        let (key, token) = (self.caller_key(claimed), self.hasher.hash_one(token));
        if let Some(known) = self.known().peek_mut(&key) {
            if known.good_token_hash == Some(token) {
                // It was good under a key that is withdrawn now.
                known.good_token_hash = None;
            }
            if known.allowance.try_acquire().is_ok() {
                return;
            }
        }
        // Other checks may have used the allowance up meanwhile.
        let _ = self.unknown.try_acquire();
    }

    /// To be called after a successful check of the signature.
    pub(super) fn record_accepted(&self, caller: &Caller, token: &str) {
        let (key, token) = (self.caller_key(caller), self.hasher.hash_one(token));
        let mut known = self.known();
        let known = known.get_or_insert_mut(key, || KnownCaller {
            good_token_hash: None,
            allowance: RateLimiter::per_second(KNOWN_CALLER_REFUSALS_PER_SECOND.into()),
        });
        known.good_token_hash = Some(token);
    }

    fn caller_key(&self, caller: &Caller) -> u64 {
        self.hasher.hash_one((caller.pool.as_str(), &caller.sub))
    }

    fn known(&self) -> MutexGuard<'_, LruCache<u64, KnownCaller>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Sends forged tokens with these `sub`s, and counts those that were checked.
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

    fn unknown_callers() -> impl Iterator<Item = String> {
        (0..1_000).map(|n| format!("stranger-{n}"))
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_callers_share_one_allowance() {
        let limiter = RefusalLimiter::new();
        assert_eq!(
            checked(&limiter, unknown_callers()),
            UNKNOWN_CALLER_REFUSALS_PER_SECOND
        );
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(
            checked(&limiter, unknown_callers()),
            UNKNOWN_CALLER_REFUSALS_PER_SECOND / 10
        );
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(
            checked(&limiter, unknown_callers()),
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
            checked(&limiter, unknown_callers()),
            UNKNOWN_CALLER_REFUSALS_PER_SECOND
        );
    }

    #[tokio::test(start_paused = true)]
    async fn known_caller_passes_a_flood_of_unknown_callers() {
        let limiter = RefusalLimiter::new();
        limiter.record_accepted(&caller("admin"), "first");
        assert_eq!(
            checked(&limiter, unknown_callers()),
            UNKNOWN_CALLER_REFUSALS_PER_SECOND
        );
        assert!(limiter.may_check(&caller("admin"), "first"));
        assert!(limiter.may_check(&caller("admin"), "renewed"));
        assert!(!limiter.may_check(&caller("newcomer"), "good"));
        tokio::time::advance(Duration::from_millis(10)).await;
        assert!(limiter.may_check(&caller("newcomer"), "good"));
    }

    #[tokio::test(start_paused = true)]
    async fn flood_under_one_sub_spares_its_last_good_token() {
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
        // No longer good, it is limited like any other.
        limiter.record_refused(&admin, "good");
        assert!(!limiter.may_check(&admin, "good"));
    }

    #[tokio::test(start_paused = true)]
    async fn forged_tokens_do_not_evict_known_callers() {
        let limiter = RefusalLimiter::new();
        limiter.record_accepted(&caller("admin"), "first");
        let count = MAX_KNOWN_CALLERS.get();
        for n in 1..count {
            limiter.record_accepted(&caller(&format!("user-{n}")), "good");
        }
        // Forged tokens do not make the caller whom they name more recent.
        checked(&limiter, std::iter::repeat_n("user-1".to_owned(), 5));
        limiter.record_accepted(&caller("admin"), "second");
        limiter.record_accepted(&caller("one more"), "good");
        checked(&limiter, unknown_callers());
        assert!(limiter.may_check(&caller("admin"), "renewed"));
        assert!(
            !limiter.may_check(&caller("user-1"), "renewed"),
            "forgotten"
        );
    }
}
