//! A user pool of any size, with its profile table: answers the calls that
//! reconcile and the worker make, in place of the embedded endpoint, which copies
//! its whole state at each write.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::world::TABLE;

/// Answers nothing until it is filled.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Arc<Mutex<Option<People>>>);

#[derive(Default)]
pub(crate) struct People {
    pub(crate) confirmed: usize,
    /// Numbered after the confirmed.
    pub(crate) unconfirmed: usize,
    /// Numbered after the unconfirmed.
    pub(crate) federated: usize,
    /// Imported, with a new password to choose. Numbered after the federated.
    pub(crate) imported: usize,
    /// Confirmed and disabled. Numbered after the imported.
    pub(crate) disabled: usize,
    /// Members of EVERYONE. The list goes by name, and so in another order than
    /// that of the users.
    pub(crate) members: BTreeSet<String>,
    /// Subs with a profile, and how often it was put.
    pub(crate) profiles: BTreeMap<String, u32>,
}

pub(crate) fn name(n: usize) -> String {
    format!("user-{n}")
}

pub(crate) fn sub(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

const PAGE: usize = 60;
/// 2026-08-01, and one second later for each user.
const CREATED: usize = 1_785_542_400;

impl Crowd {
    pub(crate) fn fill(&self, people: People) {
        *self.0.lock().expect("not poisoned") = Some(people);
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&People) -> T) -> T {
        let people: MutexGuard<'_, Option<People>> = self.0.lock().expect("not poisoned");
        look(people.as_ref().expect("filled"))
    }

    fn answer(&self, operation: &str, input: &Value) -> Option<(StatusCode, Value)> {
        let mut people = self.0.lock().expect("not poisoned");
        let people = people.as_mut()?;
        let ok = |value| Some((StatusCode::OK, value));
        match operation {
            "ListUsers" => ok(people.users(number(&input["PaginationToken"]))),
            "ListUsersInGroup" => ok(people.members(&input["NextToken"])),
            "DescribeUserPool" => ok(json!({"UserPool": {
                "EstimatedNumberOfUsers": people.total(),
            }})),
            "AdminAddUserToGroup" => {
                let name = input["Username"].as_str().expect("a name");
                people.members.insert(name.to_owned());
                ok(json!({}))
            }
            "BatchGetItem" => ok(people.present(&input["RequestItems"][TABLE]["Keys"])),
            "PutItem" => {
                let sub = input["Item"]["id"]["S"].as_str().expect("a key");
                if people.profiles.contains_key(sub) {
                    let refused = json!({"__type": "ConditionalCheckFailedException"});
                    return Some((StatusCode::BAD_REQUEST, refused));
                }
                *people.profiles.entry(sub.to_owned()).or_default() += 1;
                ok(json!({}))
            }
            _ => None,
        }
    }
}

impl People {
    /// Everybody has everything.
    pub(crate) fn whole(confirmed: usize) -> Self {
        Self {
            confirmed,
            members: (0..confirmed).map(name).collect(),
            profiles: (0..confirmed).map(|n| (sub(n), 1)).collect(),
            ..Self::default()
        }
    }

    fn total(&self) -> usize {
        self.confirmed + self.unconfirmed + self.federated + self.imported + self.disabled
    }

    fn users(&self, from: usize) -> Value {
        let to = (from + PAGE).min(self.total());
        let enabled = self.total() - self.disabled;
        let users: Vec<Value> = (from..to)
            .map(|n| {
                let status = match n {
                    n if n < self.confirmed => "CONFIRMED",
                    n if n < self.confirmed + self.unconfirmed => "UNCONFIRMED",
                    n if n < enabled - self.imported => "EXTERNAL_PROVIDER",
                    n if n < enabled => "RESET_REQUIRED",
                    _ => "CONFIRMED",
                };
                json!({
                    "Username": name(n), "UserStatus": status, "Enabled": n < enabled,
                    "UserCreateDate": CREATED + n,
                    "Attributes": [
                        {"Name": "sub", "Value": sub(n)},
                        {"Name": "email", "Value": format!("{}@mail.example", name(n))},
                        {"Name": "email_verified", "Value": "true"},
                    ],
                })
            })
            .collect();
        let mut page = json!({ "Users": users });
        if to < self.total() {
            page["PaginationToken"] = json!(to.to_string());
        }
        page
    }

    fn members(&self, after: &Value) -> Value {
        let after = after
            .as_str()
            .map_or(Unbounded, |name| Excluded(name.to_owned()));
        let rest = self.members.range((after, Unbounded));
        let names: Vec<&String> = rest.take(PAGE).collect();
        let mut page =
            json!({"Users": names.iter().map(|n| json!({"Username": n})).collect::<Vec<_>>()});
        if names.len() == PAGE {
            page["NextToken"] = json!(names[PAGE - 1]);
        }
        page
    }

    fn present(&self, keys: &Value) -> Value {
        let keys = keys.as_array().expect("keys").iter();
        let found: Vec<&Value> = keys
            .filter(|key| {
                self.profiles
                    .contains_key(key["id"]["S"].as_str().expect("a key"))
            })
            .collect();
        json!({"Responses": {TABLE: found}, "UnprocessedKeys": {}})
    }
}

fn number(token: &Value) -> usize {
    token
        .as_str()
        .map_or(0, |token| token.parse().expect("our token"))
}

/// The layer.
pub(crate) async fn layer(State(crowd): State<Crowd>, request: Request, next: Next) -> Response {
    let target = request.headers().get("x-amz-target");
    let operation = target
        .and_then(|target| target.to_str().ok()?.rsplit('.').next().map(str::to_owned))
        .unwrap_or_default();
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let input = serde_json::from_slice(&bytes).unwrap_or_default();
    match crowd.answer(&operation, &input) {
        Some((status, answer)) => (status, answer.to_string()).into_response(),
        None => {
            next.run(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
    }
}
