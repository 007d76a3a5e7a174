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
use crate::event::{Caller, Order};

const HEADER: &str = "idempotency-key";
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");
const REMEMBERED: Duration = Duration::from_hours(1);

/// A finished answer.
pub(super) type Answer = (StatusCode, Value);

/// Answers by caller and key.
#[derive(Debug)]
pub(super) struct Memory {
    entries: Mutex<LruCache<(String, String), Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    request: [u8; 32],
    at: Instant,
    /// `None` while it is under way.
    answer: Option<Answer>,
}

/// What is to be done with a request.
pub(super) enum Known {
    /// It is new; its answer is to be remembered, if it is one that holds.
    New(Place),
    /// It has its answer.
    Answered(Answer),
}

/// The right to answer; forgotten when it is dropped without an answer.
pub(super) struct Place {
    /// For audit lines and answers; the same in every process for the same key.
    pub(super) request_id: String,
    held: Option<Held>,
}

struct Held {
    memory: Arc<Memory>,
    whose: (String, String),
    since: Instant,
}

impl Held {
    /// The entry, unless another has taken its place meanwhile.
    fn entry(&self, change: impl FnOnce(&mut LruCache<(String, String), Entry>)) {
        let mut entries = self.memory.entries();
        if entries
            .peek(&self.whose)
            .is_some_and(|entry| entry.at == self.since)
        {
            change(&mut entries);
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            entries: Mutex::new(LruCache::new(MOST)),
        }
    }
}

impl Memory {
    /// Looks a request up; `what` is its method, path and body.
    pub(super) fn look(
        self: &Arc<Self>,
        caller: &Caller,
        headers: &HeaderMap,
        what: &[&[u8]],
    ) -> Result<Known, Problem> {
        let Some(key) = headers.get(HEADER) else {
            return Ok(Known::New(Place {
                request_id: Order::new_request_id(),
                held: None,
            }));
        };
        let key = key
            .to_str()
            .ok()
            .filter(|key| (1..=255).contains(&key.len()))
            .ok_or_else(|| Problem::bad("an Idempotency-Key has 1 to 255 visible characters"))?;
        let whose = (format!("{}/{}", caller.pool, caller.sub), key.to_owned());
        let request = fingerprint(what);
        let mut entries = self.entries();
        match entries.get(&whose) {
            Some(entry) if entry.at.elapsed() < REMEMBERED => match &entry.answer {
                _ if entry.request != request => Err(Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "idempotency_key_reused",
                    "this Idempotency-Key came with another request",
                )),
                Some(answer) => Ok(Known::Answered(answer.clone())),
                None => Err(Problem::new(
                    StatusCode::CONFLICT,
                    "under_way",
                    "the request with this Idempotency-Key is under way",
                )
                .again_in(1)),
            },
            _ => {
                let entry_since = Instant::now();
                let entry = Entry {
                    request,
                    at: entry_since,
                    answer: None,
                };
                entries.put(whose.clone(), entry);
                drop(entries);
                Ok(Known::New(Place {
                    request_id: request_id(&whose, &request),
                    held: Some(Held {
                        memory: Arc::clone(self),
                        whose,
                        since: entry_since,
                    }),
                }))
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<(String, String), Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Remembers the answer, unless it asks to try again.
    pub(super) fn answered(mut self, answer: &Answer) {
        let holds = !answer.0.is_server_error() && answer.0 != StatusCode::TOO_MANY_REQUESTS;
        if !holds {
            return;
        }
        if let Some(held) = self.held.take() {
            held.entry(|entries| {
                if let Some(entry) = entries.get_mut(&held.whose) {
                    entry.answer = Some(answer.clone());
                }
            });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.entry(|entries| {
                entries.pop(&held.whose);
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
            client: "c".to_owned(),
            groups: [].into(),
        }
    }

    fn look(memory: &Arc<Memory>, sub: &str, what: &str) -> Result<Known, Problem> {
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(HEADER),
            axum::http::HeaderValue::from_static("k"),
        )]);
        memory.look(&caller(sub), &headers, &[what.as_bytes()])
    }

    fn place(known: Result<Known, Problem>) -> Place {
        match known {
            Ok(Known::New(place)) => place,
            _ => panic!("known already"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_again_to_the_same_caller_for_the_same_request() {
        let memory = Arc::new(Memory::default());
        let first = place(look(&memory, "a", "x"));
        let id = first.request_id.clone();
        assert!(look(&memory, "a", "x").is_err(), "it is under way");
        first.answered(&(StatusCode::OK, json!({"n": 1})));
        assert!(matches!(
            look(&memory, "a", "x"),
            Ok(Known::Answered((StatusCode::OK, _)))
        ));
        assert!(look(&memory, "a", "y").is_err(), "another request");
        assert_ne!(place(look(&memory, "b", "x")).request_id, id);
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(place(look(&memory, "a", "x")).request_id, id);
    }

    #[test]
    fn what_could_not_be_answered_may_be_tried_again() {
        let memory = Arc::new(Memory::default());
        drop(place(look(&memory, "a", "x")));
        let second = place(look(&memory, "a", "x"));
        second.answered(&(StatusCode::SERVICE_UNAVAILABLE, json!({})));
        place(look(&memory, "a", "x"));
    }
}
