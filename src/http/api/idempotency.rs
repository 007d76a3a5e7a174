//! The same request, sent again with the same `Idempotency-Key`, gets the same answer.
//!
//! In this process's memory: what another process answered is not known here. Every
//! action but the sending of a mail may be repeated without harm.

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

/// A finished answer.
pub(super) type JsonResponse = (StatusCode, Value);

/// Answers by caller and key.
#[derive(Debug)]
pub(super) struct IdempotencyStore {
    entries: Mutex<LruCache<(String, String), StoredResponse>>,
}

#[derive(Debug, Clone)]
struct StoredResponse {
    request_hash: [u8; 32],
    started_at: Instant,
    /// `None` while it is under way.
    response: Option<JsonResponse>,
}

/// What is to be done with a request.
pub(super) enum IdempotencyLookup {
    /// It is new; its answer is to be remembered, if it is one that holds.
    New(PendingResponse),
    /// It has its answer.
    Replayed(JsonResponse),
}

/// The right to answer; forgotten when it is dropped without an answer.
pub(super) struct PendingResponse {
    /// For audit lines and answers; the same in every process for the same key.
    pub(super) request_id: String,
    reservation: Option<Reservation>,
}

struct Reservation {
    store: Arc<IdempotencyStore>,
    key: (String, String),
    started_at: Instant,
}

impl Reservation {
    /// The entry, unless another has taken its place meanwhile.
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
    /// Looks a request up; `what` is its method, path and body.
    pub(super) fn look_up(
        self: &Arc<Self>,
        caller: &Caller,
        headers: &HeaderMap,
        what: &[&[u8]],
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
        let whose = (format!("{}/{}", caller.pool, caller.sub), key.to_owned());
        let request = fingerprint(what);
        let mut entries = self.entries();
        match entries.get(&whose) {
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
                    "the request with this Idempotency-Key is under way",
                )
                .retry_after_secs(1)),
            },
            _ => {
                let entry_since = Instant::now();
                let entry = StoredResponse {
                    request_hash: request,
                    started_at: entry_since,
                    response: None,
                };
                entries.put(whose.clone(), entry);
                drop(entries);
                Ok(IdempotencyLookup::New(PendingResponse {
                    request_id: request_id(&whose, &request),
                    reservation: Some(Reservation {
                        store: Arc::clone(self),
                        key: whose,
                        started_at: entry_since,
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
    /// Remembers the answer, unless it asks to try again.
    pub(super) fn complete(mut self, answer: &JsonResponse) {
        let holds = !answer.0.is_server_error() && answer.0 != StatusCode::TOO_MANY_REQUESTS;
        if !holds {
            return;
        }
        if let Some(held) = self.reservation.take() {
            held.update_if_current(|entries| {
                if let Some(entry) = entries.get_mut(&held.key) {
                    entry.response = Some(answer.clone());
                }
            });
        }
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        if let Some(held) = self.reservation.take() {
            held.update_if_current(|entries| {
                entries.pop(&held.key);
            });
        }
    }
}

fn fingerprint(what: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in what {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

fn request_id(whose: &(String, String), request: &[u8]) -> String {
    let digest = fingerprint(&[whose.0.as_bytes(), whose.1.as_bytes(), request]);
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

    fn look(
        memory: &Arc<IdempotencyStore>,
        sub: &str,
        what: &str,
    ) -> Result<IdempotencyLookup, Problem> {
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(IDEMPOTENCY_KEY_HEADER),
            axum::http::HeaderValue::from_static("k"),
        )]);
        memory.look_up(&caller(sub), &headers, &[what.as_bytes()])
    }

    fn place(known: Result<IdempotencyLookup, Problem>) -> PendingResponse {
        match known {
            Ok(IdempotencyLookup::New(place)) => place,
            _ => panic!("known already"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_again_to_the_same_caller_for_the_same_request() {
        let memory = Arc::new(IdempotencyStore::default());
        let first = place(look(&memory, "a", "x"));
        let id = first.request_id.clone();
        assert!(look(&memory, "a", "x").is_err(), "it is under way");
        first.complete(&(StatusCode::OK, json!({"n": 1})));
        assert!(matches!(
            look(&memory, "a", "x"),
            Ok(IdempotencyLookup::Replayed((StatusCode::OK, _)))
        ));
        assert!(look(&memory, "a", "y").is_err(), "another request");
        assert_ne!(place(look(&memory, "b", "x")).request_id, id);
        tokio::time::advance(RESPONSE_TTL).await;
        assert_eq!(place(look(&memory, "a", "x")).request_id, id);
    }

    #[test]
    fn what_could_not_be_answered_may_be_tried_again() {
        let memory = Arc::new(IdempotencyStore::default());
        drop(place(look(&memory, "a", "x")));
        let second = place(look(&memory, "a", "x"));
        second.complete(&(StatusCode::SERVICE_UNAVAILABLE, json!({})));
        place(look(&memory, "a", "x"));
    }
}
