//! The keys that tokens are verified with, fetched when they are needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::aws::KeySets;

/// Public keys by issuer and `kid`.
#[derive(Debug)]
pub struct Keyring {
    sets: KeySets,
    rings: BTreeMap<String, Ring>,
}

/// The keys of one issuer.
#[derive(Debug, Default)]
struct Ring {
    keys: RwLock<Keys>,
    /// Held while they are fetched: many who wait for a key make one call.
    fetching: tokio::sync::Mutex<()>,
    allowance: Mutex<Allowance>,
}

#[derive(Debug, Default, Clone)]
struct Keys {
    by_kid: HashMap<String, Key>,
    fetched: Option<Instant>,
}

/// Not printed: there is nothing in it to read.
#[derive(Clone)]
struct Key(Arc<DecodingKey>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer does not have it.
    Unknown,
    /// The issuer could not be asked.
    Unavailable,
}

/// A key that was withdrawn is believed no longer than this.
const FRESH: Duration = Duration::from_hours(1);
/// While the issuer is out of reach, keys are believed on for this long.
const STALE: Duration = Duration::from_hours(24);

/// Anybody can send a token with a made-up `kid`: fetches are limited to three at
/// once and one more every ten seconds, so that a rotated key is found at the first
/// try and a flood is not passed on.
#[derive(Debug)]
struct Allowance {
    left: u32,
    since: Instant,
}

const MOST: u32 = 3;
const REFILL: Duration = Duration::from_secs(10);

impl Default for Allowance {
    fn default() -> Self {
        Self {
            left: MOST,
            since: Instant::now(),
        }
    }
}

impl Allowance {
    fn take(&mut self) -> bool {
        while self.left < MOST && self.since.elapsed() >= REFILL {
            self.left += 1;
            self.since += REFILL;
        }
        if self.left == MOST {
            self.since = Instant::now();
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

impl Keyring {
    /// For these issuers and no others.
    pub fn new(sets: KeySets, issuers: impl IntoIterator<Item = String>) -> Self {
        Self {
            sets,
            rings: issuers
                .into_iter()
                .map(|issuer| (issuer, Ring::default()))
                .collect(),
        }
    }

    /// With these keys for each issuer, as if they had just been fetched.
    #[cfg(test)]
    pub(super) fn holding(issuers: Vec<String>, jwks: &[u8]) -> Self {
        let keyring = Self::new(KeySets::new().expect("an HTTP client"), issuers);
        for ring in keyring.rings.values() {
            *ring.keys.write().expect("no panic") = Keys {
                by_kid: read(jwks).expect("a key set"),
                fetched: Some(Instant::now()),
            };
        }
        keyring
    }

    /// The key of this issuer under this `kid`.
    pub(super) async fn key(&self, issuer: &str, kid: &str) -> Result<Arc<DecodingKey>, NoKey> {
        let ring = self.rings.get(issuer).ok_or(NoKey::Unknown)?;
        if let Some(key) = ring.known(kid, FRESH) {
            return Ok(key);
        }
        let fetching = match ring.fetching.try_lock() {
            Ok(fetching) => fetching,
            // Somebody fetches: no need to wait for that with a key that was good.
            Err(_) => match ring.known(kid, STALE) {
                Some(key) => return Ok(key),
                None => ring.fetching.lock().await,
            },
        };
        if let Some(key) = ring.known(kid, FRESH) {
            return Ok(key);
        }
        if !ring.may_fetch() {
            return ring.without_fetching(kid);
        }
        let fetched = self.sets.fetch(issuer).await;
        let keys = fetched
            .map_err(|error| error.to_string())
            .and_then(|text| read(&text));
        let result = match keys {
            Ok(by_kid) => {
                *ring.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys {
                    by_kid,
                    fetched: Some(Instant::now()),
                };
                ring.known(kid, FRESH).ok_or(NoKey::Unknown)
            }
            Err(error) => {
                tracing::warn!(issuer, error, "the keys of a user pool cannot be fetched");
                ring.known(kid, STALE).ok_or(NoKey::Unavailable)
            }
        };
        drop(fetching);
        result
    }
}

impl Ring {
    fn known(&self, kid: &str, age: Duration) -> Option<Arc<DecodingKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.fetched.filter(|at| at.elapsed() < age)?;
        keys.by_kid.get(kid).map(|key| Arc::clone(&key.0))
    }

    fn may_fetch(&self) -> bool {
        self.allowance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn without_fetching(&self, kid: &str) -> Result<Arc<DecodingKey>, NoKey> {
        let has_fetched = self
            .keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .fetched
            .is_some();
        self.known(kid, STALE).ok_or(if has_fetched {
            NoKey::Unknown
        } else {
            NoKey::Unavailable
        })
    }
}

/// Read key by key: one of a kind that is not known here must not hide the others.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// RSA keys for signatures; others are passed over.
fn read(text: &[u8]) -> Result<HashMap<String, Key>, String> {
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
        Some((kid, Key(Arc::new(key))))
    });
    Ok(keys.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_unknown_keys_is_not_passed_on() {
        let mut allowance = Allowance::default();
        let taken = (0..100).filter(|_| allowance.take()).count();
        assert_eq!(taken, 3);
        tokio::time::advance(Duration::from_secs(25)).await;
        let taken = (0..100).filter(|_| allowance.take()).count();
        assert_eq!(taken, 2);
        tokio::time::advance(Duration::from_hours(1)).await;
        let taken = (0..100).filter(|_| allowance.take()).count();
        assert_eq!(taken, 3);
    }
}
