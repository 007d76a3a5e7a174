//! The keys that tokens are verified with, fetched when they are needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::aws::JwksClient;

/// Public keys by issuer and `kid`.
#[derive(Debug)]
pub struct JwksCache {
    key_sets: JwksClient,
    issuers: BTreeMap<String, IssuerKeys>,
}

/// The keys of one issuer.
#[derive(Debug, Default)]
struct IssuerKeys {
    keys: RwLock<CachedKeys>,
    /// Held while they are fetched: many who wait for a key make one call.
    fetch_lock: tokio::sync::Mutex<()>,
    fetch_limit: Mutex<FetchLimit>,
}

#[derive(Debug, Default, Clone)]
struct CachedKeys {
    by_kid: HashMap<String, VerificationKey>,
    fetched_at: Option<Instant>,
}

/// Not printed: there is nothing in it to read.
#[derive(Clone)]
struct VerificationKey(Arc<DecodingKey>);

impl std::fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyLookupError {
    /// The issuer does not have it.
    Unknown,
    /// The issuer could not be asked.
    Unavailable,
}

/// A key that was withdrawn is believed no longer than this.
const MAX_KEY_AGE: Duration = Duration::from_hours(1);
/// While the issuer is out of reach, keys are believed on for this long.
const MAX_STALE_KEY_AGE: Duration = Duration::from_hours(24);

/// Anybody can send a token with a made-up `kid`: fetches are limited to three at
/// once and one more every ten seconds, so that a rotated key is found at the first
/// try and a flood is not passed on.
#[derive(Debug)]
struct FetchLimit {
    left: u32,
    refilled_at: Instant,
}

const MAX_KEY_FETCHES: u32 = 3;
const KEY_FETCH_REFILL_INTERVAL: Duration = Duration::from_secs(10);

impl Default for FetchLimit {
    fn default() -> Self {
        Self {
            left: MAX_KEY_FETCHES,
            refilled_at: Instant::now(),
        }
    }
}

impl FetchLimit {
    fn try_acquire(&mut self) -> bool {
        while self.left < MAX_KEY_FETCHES && self.refilled_at.elapsed() >= KEY_FETCH_REFILL_INTERVAL
        {
            self.left += 1;
            self.refilled_at += KEY_FETCH_REFILL_INTERVAL;
        }
        if self.left == MAX_KEY_FETCHES {
            self.refilled_at = Instant::now();
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

impl JwksCache {
    /// For these issuers and no others.
    pub fn new(key_sets: JwksClient, issuers: impl IntoIterator<Item = String>) -> Self {
        Self {
            key_sets,
            issuers: issuers
                .into_iter()
                .map(|issuer| (issuer, IssuerKeys::default()))
                .collect(),
        }
    }

    /// With these keys for each issuer, as if they had just been fetched.
    #[cfg(test)]
    pub(super) fn with_keys(issuers: Vec<String>, jwks: &[u8]) -> Self {
        let keyring = Self::new(JwksClient::new().expect("an HTTP client"), issuers);
        for ring in keyring.issuers.values() {
            *ring.keys.write().expect("no panic") = CachedKeys {
                by_kid: read(jwks).expect("a key set"),
                fetched_at: Some(Instant::now()),
            };
        }
        keyring
    }

    /// The key of this issuer under this `kid`.
    pub(super) async fn key(
        &self,
        issuer: &str,
        kid: &str,
    ) -> Result<Arc<DecodingKey>, KeyLookupError> {
        let ring = self.issuers.get(issuer).ok_or(KeyLookupError::Unknown)?;
        if let Some(key) = ring.cached(kid, MAX_KEY_AGE) {
            return Ok(key);
        }
        let fetching = match ring.fetch_lock.try_lock() {
            Ok(fetching) => fetching,
            // Somebody fetches: no need to wait for that with a key that was good.
            Err(_) => match ring.cached(kid, MAX_STALE_KEY_AGE) {
                Some(key) => return Ok(key),
                None => ring.fetch_lock.lock().await,
            },
        };
        if let Some(key) = ring.cached(kid, MAX_KEY_AGE) {
            return Ok(key);
        }
        if !ring.may_fetch() {
            return ring.cached_or_error(kid);
        }
        let fetched = self.key_sets.fetch(issuer).await;
        let keys = fetched
            .map_err(|error| error.to_string())
            .and_then(|text| read(&text));
        let result = match keys {
            Ok(by_kid) => {
                *ring.keys.write().unwrap_or_else(PoisonError::into_inner) = CachedKeys {
                    by_kid,
                    fetched_at: Some(Instant::now()),
                };
                ring.cached(kid, MAX_KEY_AGE).ok_or(KeyLookupError::Unknown)
            }
            Err(error) => {
                tracing::warn!(issuer, error, "the keys of a user pool cannot be fetched");
                ring.cached(kid, MAX_STALE_KEY_AGE)
                    .ok_or(KeyLookupError::Unavailable)
            }
        };
        drop(fetching);
        result
    }
}

impl IssuerKeys {
    fn cached(&self, kid: &str, age: Duration) -> Option<Arc<DecodingKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.fetched_at.filter(|at| at.elapsed() < age)?;
        keys.by_kid.get(kid).map(|key| Arc::clone(&key.0))
    }

    fn may_fetch(&self) -> bool {
        self.fetch_limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_acquire()
    }

    fn cached_or_error(&self, kid: &str) -> Result<Arc<DecodingKey>, KeyLookupError> {
        let has_fetched = self
            .keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .fetched_at
            .is_some();
        self.cached(kid, MAX_STALE_KEY_AGE).ok_or(if has_fetched {
            KeyLookupError::Unknown
        } else {
            KeyLookupError::Unavailable
        })
    }
}

/// Read key by key: one of a kind that is not known here must not hide the others.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// RSA keys for signatures; others are passed over.
fn read(text: &[u8]) -> Result<HashMap<String, VerificationKey>, String> {
    let set: KeySet =
        serde_json::from_slice(text).map_err(|_| "the answer is no key set".to_owned())?;
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
    async fn a_flood_of_unknown_keys_is_not_passed_on() {
        let mut allowance = FetchLimit::default();
        let taken = (0..100).filter(|_| allowance.try_acquire()).count();
        assert_eq!(taken, 3);
        tokio::time::advance(Duration::from_secs(25)).await;
        let taken = (0..100).filter(|_| allowance.try_acquire()).count();
        assert_eq!(taken, 2);
        tokio::time::advance(Duration::from_hours(1)).await;
        let taken = (0..100).filter(|_| allowance.try_acquire()).count();
        assert_eq!(taken, 3);
    }
}
