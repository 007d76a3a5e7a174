//! A request that is repeated with the same `Idempotency-Key` gets the same response.
//!
//! Responses are in this process's memory; other processes do not know them. Every operation
//! except the sending of a mail may be repeated without harm.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use lru::LruCache;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::problem::Problem;
use crate::event::{AdminCommand, Caller};

const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
const MAX_STORED_RESPONSES: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");
const RESPONSE_TTL: Duration = Duration::from_hours(1);

pub(super) type JsonResponse = (StatusCode, Value);

/// Responses by caller and key.
#[derive(Debug)]
pub(super) struct IdempotencyStore {
    entries: Mutex<LruCache<(String, String), StoredResponse>>,
}

#[derive(Debug, Clone)]
struct StoredResponse {
    request_hash: [u8; 32],
    started_at: Instant,
    /// `None` while the request is in progress.
    response: Option<JsonResponse>,
}

pub(super) enum IdempotencyLookup {
    /// The request is new; its response is to be stored if it is final.
    New(PendingResponse),
    /// The stored response of an earlier such request.
    Replayed(JsonResponse),
}

/// The right to store a response. Dropping it without one frees the key.
pub(super) struct PendingResponse {
    /// For audit lines and responses; the same in every process for the same key and request.
    pub(super) request_id: String,
    reservation: Option<Reservation>,
}

struct Reservation {
    store: Arc<IdempotencyStore>,
    key: (String, String),
    started_at: Instant,
}

impl Reservation {
    /// Changes the entry, unless another has replaced it meanwhile.
    fn update_if_current(
        &self,
        change: impl FnOnce(&mut LruCache<(String, String), StoredResponse>),
    ) {
        let mut entries = self.store.entries();
        if entries
            .peek(&self.key)
            .is_some_and(|entry| entry.started_at == self.started_at)
        {
            change(&mut entries);
        }
    }
}

impl Default for IdempotencyStore {
    fn default() -> Self {
        Self {
            entries: Mutex::new(LruCache::new(MAX_STORED_RESPONSES)),
        }
    }
}

impl IdempotencyStore {
    /// Looks a request up; `parts` are its method, path and body.
    pub(super) fn look_up(
        self: &Arc<Self>,
        caller: &Caller,
        headers: &HeaderMap,
        parts: &[&[u8]],
    ) -> Result<IdempotencyLookup, Problem> {
        let Some(key) = headers.get(IDEMPOTENCY_KEY_HEADER) else {
            return Ok(IdempotencyLookup::New(PendingResponse {
                request_id: AdminCommand::new_request_id(),
                reservation: None,
            }));
        };
        let key = key
            .to_str()
            .ok()
            .filter(|key| (1..=255).contains(&key.len()))
            .ok_or_else(|| {
                Problem::bad_request("an Idempotency-Key has 1 to 255 visible characters")
            })?;
        let entry_key = (format!("{}/{}", caller.pool, caller.sub), key.to_owned());
        let request = fingerprint(parts);
        let mut entries = self.entries();
        match entries.get(&entry_key) {
            Some(entry) if entry.started_at.elapsed() < RESPONSE_TTL => match &entry.response {
                _ if entry.request_hash != request => Err(Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "idempotency_key_reused",
                    "this Idempotency-Key came with another request",
                )),
                Some(answer) => Ok(IdempotencyLookup::Replayed(answer.clone())),
                None => Err(Problem::new(
                    StatusCode::CONFLICT,
                    "under_way",
                    "the request with this Idempotency-Key is in progress",
                )
                .retry_after_secs(1)),
            },
            _ => {
                let started_at = Instant::now();
                let entry = StoredResponse {
                    request_hash: request,
                    started_at,
                    response: None,
                };
                entries.put(entry_key.clone(), entry);
                drop(entries);
                Ok(IdempotencyLookup::New(PendingResponse {
                    request_id: request_id(&entry_key, &request),
                    reservation: Some(Reservation {
                        store: Arc::clone(self),
                        key: entry_key,
                        started_at,
                    }),
                }))
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<(String, String), StoredResponse>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingResponse {
    /// Stores the response, unless it asks the client to try again.
    pub(super) fn complete(mut self, answer: &JsonResponse) {
        let is_final = !answer.0.is_server_error() && answer.0 != StatusCode::TOO_MANY_REQUESTS;
        if !is_final {
            return;
        }
        if let Some(reservation) = self.reservation.take() {
            reservation.update_if_current(|entries| {
                if let Some(entry) = entries.get_mut(&reservation.key) {
                    entry.response = Some(answer.clone());
                }
            });
        }
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            reservation.update_if_current(|entries| {
                entries.pop(&reservation.key);
            });
        }
    }
}

fn fingerprint(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

fn request_id(entry_key: &(String, String), request: &[u8]) -> String {
    let digest = fingerprint(&[entry_key.0.as_bytes(), entry_key.1.as_bytes(), request]);
    digest[..16].iter().fold(String::new(), |mut id, byte| {
        use std::fmt::Write;
        let _ = write!(id, "{byte:02x}");
        id
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::PoolId;
    use serde_json::json;

    fn caller(sub: &str) -> Caller {
        Caller {
            pool: PoolId::new("eu-west-1_x").expect("not empty"),
            sub: sub.to_owned(),
            username: "ada".to_owned(),
            client_id: "c".to_owned(),
            groups: [].into(),
        }
    }

    fn look_up(
        store: &Arc<IdempotencyStore>,
        sub: &str,
        request: &str,
    ) -> Result<IdempotencyLookup, Problem> {
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(IDEMPOTENCY_KEY_HEADER),
            axum::http::HeaderValue::from_static("k"),
        )]);
        store.look_up(&caller(sub), &headers, &[request.as_bytes()])
    }

    fn pending(known: Result<IdempotencyLookup, Problem>) -> PendingResponse {
        match known {
            Ok(IdempotencyLookup::New(pending)) => pending,
            _ => panic!("known already"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_request_gets_the_stored_response() {
        let store = Arc::new(IdempotencyStore::default());
        let first = pending(look_up(&store, "a", "x"));
        let id = first.request_id.clone();
        assert!(look_up(&store, "a", "x").is_err(), "in progress");
        first.complete(&(StatusCode::OK, json!({"n": 1})));
        assert!(matches!(
            look_up(&store, "a", "x"),
            Ok(IdempotencyLookup::Replayed((StatusCode::OK, _)))
        ));
        assert!(look_up(&store, "a", "y").is_err(), "another request");
        assert_ne!(pending(look_up(&store, "b", "x")).request_id, id);
        tokio::time::advance(RESPONSE_TTL).await;
        assert_eq!(pending(look_up(&store, "a", "x")).request_id, id);
    }

    #[test]
    fn a_failed_request_may_be_tried_again() {
        let store = Arc::new(IdempotencyStore::default());
        drop(pending(look_up(&store, "a", "x")));
        let second = pending(look_up(&store, "a", "x"));
        second.complete(&(StatusCode::SERVICE_UNAVAILABLE, json!({})));
        pending(look_up(&store, "a", "x"));
    }
}
