//! A limit on refused tokens, so that signature checks cannot use up the processor.
//!
//! Only refused tokens count, so good ones are never limited. The limit is by the `sub` that
//! the token claims. Behind a load balancer every request comes from the balancer's address,
//! and the sender chooses `X-Forwarded-For`. A user with a recent good token has an allowance
//! of their own. All others share one, since anyone can invent any number of `sub`s. So a
//! flood can only refuse users whose first token arrives during it, and a retry admits them.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::cache::Cache;
use crate::event::Caller;
use crate::rate_limiter::{KeyedRateLimiter, RateLimiter};

/// Refused tokens a second of all unknown callers together. A check takes 20 to 40 µs.
const UNKNOWN_CALLER_REFUSALS_PER_SECOND: u32 = 100;
/// Refused tokens a second of one known caller; more count as those of unknown callers.
const KNOWN_CALLER_REFUSALS_PER_SECOND: u32 = 10;
/// Users with a good token who are remembered, the most recent ones.
const MAX_KNOWN_CALLERS: usize = 10_000;
/// Good tokens that are remembered, the most recent ones.
const MAX_GOOD_TOKENS: usize = MAX_KNOWN_CALLERS;

#[derive(Debug)]
pub(super) struct RefusalLimiter {
    hasher: RandomState,
    known_callers: Cache<u64, ()>,
    /// These are checked, whatever others send under the same `sub`.
    good_tokens: Cache<u64, ()>,
    known_limiter: KeyedRateLimiter,
    unknown_limiter: RateLimiter,
}

impl RefusalLimiter {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            known_callers: Cache::new(MAX_KNOWN_CALLERS),
            good_tokens: Cache::new(MAX_GOOD_TOKENS),
            known_limiter: KeyedRateLimiter::new(
                KNOWN_CALLER_REFUSALS_PER_SECOND,
                Duration::from_secs(1),
            ),
            unknown_limiter: RateLimiter::per_second(UNKNOWN_CALLER_REFUSALS_PER_SECOND.into()),
        }
    }

    /// Whether the signature of this token is checked. `claimed` is not verified yet.
    pub(super) fn may_check(&self, claimed: &Caller, token: &str) -> bool {
        self.good_tokens.contains(&self.token_key(claimed, token))
            || self.is_known(claimed) && self.known_limiter.has_token(&claimed.sub)
            || self.unknown_limiter.has_token()
    }

    /// To be called after a failed check of the signature.
    pub(super) fn record_refused(&self, claimed: &Caller, token: &str) {
        // If it was good, its key is withdrawn now.
        self.good_tokens.remove(&self.token_key(claimed, token));
        if !self.is_known(claimed) || !self.known_limiter.try_acquire(&claimed.sub) {
            // Other checks may have used the allowance up meanwhile.
            let _ = self.unknown_limiter.try_acquire();
        }
    }

    /// To be called after a successful check of the signature.
    pub(super) fn record_accepted(&self, caller: &Caller, token: &str) {
        self.known_callers.insert(self.caller_key(caller), ());
        self.good_tokens.insert(self.token_key(caller, token), ());
    }

    /// Does not make the caller more recent: only a good token does.
    fn is_known(&self, claimed: &Caller) -> bool {
        self.known_callers.contains(&self.caller_key(claimed))
    }

    fn caller_key(&self, caller: &Caller) -> u64 {
        self.hasher.hash_one((caller.pool.as_str(), &caller.sub))
    }

    fn token_key(&self, caller: &Caller, token: &str) -> u64 {
        self.hasher.hash_one((self.caller_key(caller), token))
    }
}

#[cfg(test)]
mod tests {
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
        for n in 1..MAX_KNOWN_CALLERS {
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
