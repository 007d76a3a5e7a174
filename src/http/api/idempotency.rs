//! A request that is repeated with the same `Idempotency-Key` gets the same response.
//!
//! Responses are in this process's memory; other processes do not know them. Every operation
//! except the sending of a mail may be repeated without harm.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::problem::Problem;
use super::response::JsonResponse;
use crate::cache::Cache;
use crate::event::{AdminCommand, Caller};

const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
const MAX_STORED_RESPONSES: usize = 10_000;
const RESPONSE_TTL: Duration = Duration::from_hours(1);

/// Responses by caller and key.
#[derive(Debug)]
pub(super) struct IdempotencyStore {
    entries: Cache<(String, String), Arc<StoredResponse>>,
}

#[derive(Debug)]
struct StoredResponse {
    request_hash: [u8; 32],
    started_at: Instant,
    /// Empty while the request is in progress; `None` if it ended without a final response.
    response: OnceLock<Option<JsonResponse>>,
}

impl StoredResponse {
    fn is_replaceable(&self) -> bool {
        self.started_at.elapsed() >= RESPONSE_TTL || self.response.get() == Some(&None)
    }
}

pub(super) enum IdempotencyLookup {
    /// The request is new; its response must be stored if it is final.
    New(PendingResponse),
    /// The stored response of an earlier such request.
    Replayed(JsonResponse),
}

/// The right to store a response. Dropping it without one frees the key.
pub(super) struct PendingResponse {
    /// For audit lines and responses; the same in every process for the same key and request.
    pub(super) request_id: String,
    entry: Arc<StoredResponse>,
}

impl Default for IdempotencyStore {
    fn default() -> Self {
        Self {
            entries: Cache::new(MAX_STORED_RESPONSES),
        }
    }
}

impl IdempotencyStore {
    /// Looks a request up; `parts` are its method, path and body.
    pub(super) fn look_up(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        parts: &[&[u8]],
    ) -> Result<IdempotencyLookup, Problem> {
        let new = Arc::new(StoredResponse {
            request_hash: fingerprint(parts),
            started_at: Instant::now(),
            response: OnceLock::new(),
        });
        let Some(key) = headers.get(IDEMPOTENCY_KEY_HEADER) else {
            return Ok(IdempotencyLookup::New(PendingResponse {
                request_id: AdminCommand::new_request_id(),
                entry: new,
            }));
        };
        let key = key
            .to_str()
            .ok()
            .filter(|key| (1..=255).contains(&key.len()))
            .ok_or_else(|| {
                Problem::bad_request("an Idempotency-Key has 1 to 255 visible characters")
            })?;
        let key = (format!("{}/{}", caller.pool, caller.sub), key.to_owned());
        let entry =
            self.entries
                .get_or_replace(&key, |known| known.is_replaceable(), || Arc::clone(&new));
        if Arc::ptr_eq(&entry, &new) {
            return Ok(IdempotencyLookup::New(PendingResponse {
                request_id: request_id(&key, &entry.request_hash),
                entry,
            }));
        }
        if entry.request_hash != new.request_hash {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this Idempotency-Key came with another request",
            ));
        }
        match entry.response.get() {
            Some(Some(response)) => Ok(IdempotencyLookup::Replayed(response.clone())),
            _ => Err(Problem::new(
                StatusCode::CONFLICT,
                "under_way",
                "the request with this Idempotency-Key is in progress",
            )
            .retry_after_secs(1)),
        }
    }
}

impl PendingResponse {
    /// Stores the response, unless it asks the client to try again.
    pub(super) fn complete(self, response: &JsonResponse) {
        let is_final = !response.0.is_server_error() && response.0 != StatusCode::TOO_MANY_REQUESTS;
        let _ = self.entry.response.set(is_final.then(|| response.clone()));
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        // Changes nothing after `complete`.
        let _ = self.entry.response.set(None);
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
        store: &IdempotencyStore,
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
        let store = IdempotencyStore::default();
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
        let store = IdempotencyStore::default();
        drop(pending(look_up(&store, "a", "x")));
        let second = pending(look_up(&store, "a", "x"));
        second.complete(&(StatusCode::SERVICE_UNAVAILABLE, json!({})));
        pending(look_up(&store, "a", "x"));
    }
}
