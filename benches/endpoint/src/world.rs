//! The state behind the calls: queues, users, profiles, quotas.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::answer::uuid;
use crate::clock::Clock;
use crate::counts::Counts;
use crate::latency::Latency;
use crate::queue::{Content, Queue, Redrive};
use crate::quota::{Model, Quota};

/// The settings of a run, from the body of `reset`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) pool: String,
    pub(crate) group: String,
    pub(crate) table: String,
    pub(crate) queue: String,
    pub(crate) dead_letter_queue: String,
    pub(crate) max_receives: u32,
    pub(crate) sqs: Latency,
    pub(crate) cognito: Latency,
    pub(crate) dynamodb: Latency,
    pub(crate) quota: Model,
    /// Calls a second in Cognito's category `UserUpdate`; `None` means no limit.
    pub(crate) user_update: Option<f64>,
    /// Calls a second in Cognito's category `UserRead`; `None` means no limit.
    pub(crate) user_read: Option<f64>,
    pub(crate) seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pool: "eu-west-1_bench".to_owned(),
            group: "EVERYONE".to_owned(),
            table: "UserProfile".to_owned(),
            queue: "usher".to_owned(),
            dead_letter_queue: "usher-dead".to_owned(),
            max_receives: 10,
            sqs: Latency::default(),
            cognito: Latency::default(),
            dynamodb: Latency::default(),
            quota: Model::default(),
            user_update: None,
            user_read: None,
            seed: 1,
        }
    }
}

/// A user who signed up, and the effects so far.
#[derive(Debug)]
pub(crate) struct User {
    sent: Instant,
    member: bool,
    has_profile: bool,
}

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) url: String,
    state: RefCell<State>,
    /// A message may have become visible.
    pub(crate) arrivals: Notify,
    /// A counter that `wait` reads may have changed.
    pub(crate) progress: Notify,
}

pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) queues: BTreeMap<String, Queue>,
    /// By `sub`, which is also the user name.
    pub(crate) users: HashMap<String, User>,
    pub(crate) profiles: HashMap<String, Value>,
    pub(crate) user_update: Option<Quota>,
    pub(crate) user_read: Option<Quota>,
    pub(crate) counts: Counts,
    /// A long poll counts from its beginning, before its response.
    pub(crate) receives_begun: u64,
    /// Callers that have begun to receive.
    pub(crate) receivers: BTreeSet<String>,
    pub(crate) seen: Seen,
    pub(crate) random: fastrand::Rng,
    /// Incremented by each reset, so that calls in progress do not count for the next run.
    pub(crate) run: u64,
    next: u64,
}

/// The results of the calls in a run.
pub(crate) struct Seen {
    pub(crate) complete: u64,
    pub(crate) groups_again: u64,
    pub(crate) profiles_again: u64,
    pub(crate) delivered: u64,
    pub(crate) empty_receives: u64,
    /// From sending a sign-up to both of its effects, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// When the first sign-up of the run was sent.
    pub(crate) filled_first: Option<Instant>,
    pub(crate) first_add: Option<Instant>,
    pub(crate) last_add: Option<Instant>,
    pub(crate) last_delete: Option<Instant>,
    pub(crate) late: Histogram<u64>,
}

impl Default for Seen {
    fn default() -> Self {
        let histogram = || Histogram::new(3).expect("three digits are allowed");
        Self {
            complete: 0,
            groups_again: 0,
            profiles_again: 0,
            delivered: 0,
            empty_receives: 0,
            latency: histogram(),
            filled_first: None,
            first_add: None,
            last_add: None,
            last_delete: None,
            late: histogram(),
        }
    }
}

/// One of the two effects that a sign-up should have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    Member,
    Profile,
}

impl World {
    pub(crate) fn new(clock: Clock, url: String) -> Rc<Self> {
        Rc::new(Self {
            clock,
            url,
            state: RefCell::new(State::new(Settings::default(), 0)),
            arrivals: Notify::new(),
            progress: Notify::new(),
        })
    }

    /// The borrow must end before the next `await`.
    pub(crate) fn state(&self) -> std::cell::RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Drops all state, and starts a new run.
    pub(crate) fn reset(&self, settings: Settings) {
        let run = self.state().run + 1;
        *self.state() = State::new(settings, run);
        self.arrivals.notify_waiters();
    }

    /// Waits for the latency of a call, drawn from its distribution.
    pub(crate) async fn delay(&self, latency_of: impl FnOnce(&Settings) -> Latency) {
        let time = {
            let mut state = self.state();
            let latency = latency_of(&state.settings);
            latency.draw(&mut state.random)
        };
        if time.is_zero() {
            return;
        }
        let until = Instant::now() + time;
        self.clock.sleep(time).await;
        let late = Instant::now().saturating_duration_since(until);
        record(&mut self.state().seen.late, late);
    }

    /// Sends sign-ups as the trigger forwards them, all at once.
    pub(crate) fn fill(&self, count: u64) {
        let mut state = self.state();
        for _ in 0..count {
            state.sign_up();
        }
        // No call could receive one before all were sent.
        state.seen.filled_first.get_or_insert_with(Instant::now);
        drop(state);
        self.arrivals.notify_waiters();
    }
}

impl State {
    fn new(settings: Settings, run: u64) -> Self {
        let now = Instant::now();
        let quota = |rate: Option<f64>| rate.map(|rate| Quota::new(settings.quota, rate, now));
        let source = Queue::with_redrive(Redrive {
            to: settings.dead_letter_queue.clone(),
            max_receives: settings.max_receives,
        });
        Self {
            queues: BTreeMap::from([
                (settings.queue.clone(), source),
                (settings.dead_letter_queue.clone(), Queue::numbered(1)),
            ]),
            users: HashMap::new(),
            profiles: HashMap::new(),
            user_update: quota(settings.user_update),
            user_read: quota(settings.user_read),
            counts: Counts::default(),
            receives_begun: 0,
            receivers: BTreeSet::new(),
            seen: Seen::default(),
            random: fastrand::Rng::with_seed(settings.seed),
            settings,
            run,
            next: 0,
        }
    }

    /// Adds a user, and sends the event of their sign-up.
    pub(crate) fn sign_up(&mut self) {
        let number = self.next;
        self.next += 1;
        let sub = uuid(self.random.u128(..));
        let event = json!({
            "version": "1",
            "triggerSource": "PostConfirmation_ConfirmSignUp",
            "region": "eu-west-1",
            "userPoolId": self.settings.pool,
            "userName": sub,
            "callerContext": {
                "awsSdkVersion": "aws-sdk-unknown-unknown",
                "clientId": "1example23456789",
            },
            "request": {
                "userAttributes": {
                    "sub": sub,
                    "email_verified": "true",
                    "cognito:user_status": "CONFIRMED",
                    "email": format!("user-{number}@example.com"),
                },
            },
            "response": {},
        });
        let text = |value: &str| json!({"DataType": "String", "StringValue": value});
        let body: Rc<str> = event.to_string().into();
        let content = Content {
            digest: digest(body.as_bytes()).into(),
            body,
            attributes: BTreeMap::from([
                ("usher.kind".to_owned(), text("PostConfirmation")),
                (
                    "usher.forwarded_at".to_owned(),
                    text("2026-01-01T00:00:00.000Z"),
                ),
            ]),
            group: Some(self.settings.pool.clone()),
            sent: clock(),
        };
        let now = Instant::now();
        let queue = self.settings.queue.clone();
        if let Some(queue) = self.queues.get_mut(&queue) {
            queue.send(content, Duration::ZERO, now);
        }
        let user = User {
            sent: now,
            member: false,
            has_profile: false,
        };
        self.users.insert(sub, user);
    }

    /// Records an effect; returns whether it is new, or `None` for an unknown user.
    pub(crate) fn effect(&mut self, sub: &str, effect: Effect) -> Option<bool> {
        let user = self.users.get_mut(sub)?;
        let flag = match effect {
            Effect::Member => &mut user.member,
            Effect::Profile => &mut user.has_profile,
        };
        let new = !std::mem::replace(flag, true);
        if new && user.member && user.has_profile {
            let taken = user.sent.elapsed();
            self.seen.complete += 1;
            record(&mut self.seen.latency, taken);
        }
        Some(new)
    }
}

/// Milliseconds since 1970.
pub(crate) fn clock() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis())
}

/// The histogram grows for large values. With `saturating_record`, it would stay at its
/// initial range of a few microseconds.
fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let _ = histogram.record(micros);
}

/// MD5 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let digest = Md5::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_stores_times_of_any_length() {
        let mut histogram = Seen::default().latency;
        for millis in [1, 800, 90_000] {
            record(&mut histogram, Duration::from_millis(millis));
        }
        assert_eq!(histogram.value_at_quantile(0.5) / 10_000, 80);
        assert_eq!(histogram.max() / 1_000_000, 90);
    }
}
