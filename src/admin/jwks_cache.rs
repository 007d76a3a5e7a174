//! The public keys that tokens are verified with, fetched when they are needed.
//!
//! Keys are fetched only from the issuers of allowed pools. A token selects one of these
//! issuers; it never supplies an address.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::aws::JwksClient;
use crate::rate_limiter::RateLimiter;

/// Public keys by issuer and `kid`.
#[derive(Debug)]
pub struct JwksCache {
    key_sets: JwksClient,
    issuers: BTreeMap<String, IssuerKeys>,
}

#[derive(Debug)]
struct IssuerKeys {
    keys: watch::Sender<CachedKeys>,
    /// Held during a fetch, so that concurrent requests for a key make one call.
    fetch_lock: Mutex<()>,
    fetch_limiter: RateLimiter,
}

#[derive(Debug, Default, Clone)]
struct CachedKeys {
    by_kid: HashMap<String, VerificationKey>,
    fetched_at: Option<Instant>,
}

/// A key without its parameters in `Debug` output.
#[derive(Clone)]
struct VerificationKey(Arc<DecodingKey>);

impl std::fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyLookupError {
    /// The issuer has no such key.
    Unknown,
    /// The keys of the issuer could not be fetched.
    Unavailable,
}

/// Keys are fetched again after this time, so a withdrawn one is accepted no longer.
const MAX_KEY_AGE: Duration = Duration::from_hours(1);
/// While keys cannot be fetched, cached ones are accepted this long.
const MAX_STALE_KEY_AGE: Duration = Duration::from_hours(24);

/// Limits the fetches from one issuer, since anyone can send tokens with an invented `kid`.
/// So a rotated key is found at the first attempt, and a flood does not reach the issuer.
const KEY_FETCHES_PER_SECOND: f64 = 0.1;
const KEY_FETCHES_AT_ONCE: f64 = 3.0;

impl Default for IssuerKeys {
    fn default() -> Self {
        Self {
            keys: watch::Sender::default(),
            fetch_lock: Mutex::default(),
            fetch_limiter: RateLimiter::new(KEY_FETCHES_PER_SECOND, KEY_FETCHES_AT_ONCE),
        }
    }
}

impl JwksCache {
    /// Accepts only keys of these issuers; fetches none yet.
    pub fn new(key_sets: JwksClient, issuers: impl IntoIterator<Item = String>) -> Self {
        Self {
            key_sets,
            issuers: issuers
                .into_iter()
                .map(|issuer| (issuer, IssuerKeys::default()))
                .collect(),
        }
    }

    /// Each issuer has these keys, as if just fetched.
    #[cfg(test)]
    pub(super) fn with_keys(issuers: Vec<String>, jwks: &[u8]) -> Self {
        let cache = Self::new(JwksClient::new().expect("an HTTP client"), issuers);
        for issuer_keys in cache.issuers.values() {
            issuer_keys.keys.send_replace(CachedKeys {
                by_kid: read(jwks).expect("a key set"),
                fetched_at: Some(Instant::now()),
            });
        }
        cache
    }

    /// Fetches the keys of the issuer if the cached ones lack `kid` or are too old.
    pub(super) async fn key(
        &self,
        issuer: &str,
        kid: &str,
    ) -> Result<Arc<DecodingKey>, KeyLookupError> {
        let issuer_keys = self.issuers.get(issuer).ok_or(KeyLookupError::Unknown)?;
        if let Some(key) = issuer_keys.cached(kid, MAX_KEY_AGE) {
            return Ok(key);
        }
        let guard = match issuer_keys.fetch_lock.try_lock() {
            Ok(guard) => guard,
            // Another task fetches. A stale key is good enough meanwhile.
            Err(_) => match issuer_keys.cached(kid, MAX_STALE_KEY_AGE) {
                Some(key) => return Ok(key),
                None => issuer_keys.fetch_lock.lock().await,
            },
        };
        if let Some(key) = issuer_keys.cached(kid, MAX_KEY_AGE) {
            return Ok(key);
        }
        if issuer_keys.fetch_limiter.try_acquire().is_err() {
            return issuer_keys.cached_or_error(kid);
        }
        let fetched = self.key_sets.fetch(issuer).await;
        let keys = fetched
            .map_err(|error| error.to_string())
            .and_then(|text| read(&text));
        let result = match keys {
            Ok(by_kid) => {
                issuer_keys.keys.send_replace(CachedKeys {
                    by_kid,
                    fetched_at: Some(Instant::now()),
                });
                issuer_keys
                    .cached(kid, MAX_KEY_AGE)
                    .ok_or(KeyLookupError::Unknown)
            }
            Err(error) => {
                tracing::warn!(
                    issuer,
                    error,
                    "cannot fetch the signing keys of a user pool"
                );
                issuer_keys
                    .cached(kid, MAX_STALE_KEY_AGE)
                    .ok_or(KeyLookupError::Unavailable)
            }
        };
        drop(guard);
        result
    }
}

impl IssuerKeys {
    fn cached(&self, kid: &str, age: Duration) -> Option<Arc<DecodingKey>> {
        let keys = self.keys.borrow();
        keys.fetched_at.filter(|at| at.elapsed() < age)?;
        keys.by_kid.get(kid).map(|key| Arc::clone(&key.0))
    }

    fn cached_or_error(&self, kid: &str) -> Result<Arc<DecodingKey>, KeyLookupError> {
        let has_fetched = self.keys.borrow().fetched_at.is_some();
        self.cached(kid, MAX_STALE_KEY_AGE).ok_or(if has_fetched {
            KeyLookupError::Unknown
        } else {
            KeyLookupError::Unavailable
        })
    }
}

/// Keys are parsed separately: one of an unknown kind must not hide the others.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// RSA keys for RS256 signatures, by `kid`. Others are skipped.
fn read(text: &[u8]) -> Result<HashMap<String, VerificationKey>, String> {
    let set: KeySet =
        serde_json::from_slice(text).map_err(|_| "the response is not a key set".to_owned())?;
    let keys = set.keys.into_iter().filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        let AlgorithmParameters::RSA(_) = &jwk.algorithm else {
            return None;
        };
        let for_signatures = matches!(
            jwk.common.public_key_use,
            None | Some(PublicKeyUse::Signature)
        );
        let for_rs256 = matches!(jwk.common.key_algorithm, None | Some(KeyAlgorithm::RS256));
        if !for_signatures || !for_rs256 {
            return None;
        }
        let kid = jwk.common.key_id.clone()?;
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some((kid, VerificationKey(Arc::new(key))))
    });
    Ok(keys.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn flood_of_unknown_keys_causes_few_fetches() {
        let limiter = IssuerKeys::default().fetch_limiter;
        let acquired = || (0..100).filter(|_| limiter.try_acquire().is_ok()).count();
        assert_eq!(acquired(), 3);
        tokio::time::advance(Duration::from_secs(25)).await;
        assert_eq!(acquired(), 2);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(acquired(), 3);
    }
}
