//! A user pool of any size, with its profile table. It answers the calls of reconcile and
//! the worker instead of the embedded endpoint, which copies its state at each write.

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

/// Passes every call to the endpoint until it is filled.
#[derive(Clone, Default)]
pub(crate) struct LargePool(Arc<Mutex<Option<PoolContents>>>);

#[derive(Default)]
pub(crate) struct PoolContents {
    pub(crate) confirmed: usize,
    /// Numbered after the confirmed users.
    pub(crate) unconfirmed: usize,
    /// Numbered after the unconfirmed users.
    pub(crate) federated: usize,
    /// Imported, with a new password to choose. Numbered after the federated users.
    pub(crate) imported: usize,
    /// Confirmed and disabled. Numbered after the imported users.
    pub(crate) disabled: usize,
    /// Members of EVERYONE, listed by name and so in another sequence than the users.
    pub(crate) members: BTreeSet<String>,
    /// The number of puts of each profile, by `sub`.
    pub(crate) profiles: BTreeMap<String, u32>,
}

pub(crate) fn name(n: usize) -> String {
    format!("user-{n}")
}

pub(crate) fn sub(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

const PAGE: usize = 60;
/// The creation time of the first user, 2026-08-01; each next user is a second younger.
const CREATED: usize = 1_785_542_400;

impl LargePool {
    pub(crate) fn fill(&self, contents: PoolContents) {
        *self.0.lock().expect("not poisoned") = Some(contents);
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&PoolContents) -> T) -> T {
        let contents: MutexGuard<'_, Option<PoolContents>> = self.0.lock().expect("not poisoned");
        read(contents.as_ref().expect("filled"))
    }

    fn answer(&self, operation: &str, input: &Value) -> Option<(StatusCode, Value)> {
        let mut contents = self.0.lock().expect("not poisoned");
        let contents = contents.as_mut()?;
        let ok = |value| Some((StatusCode::OK, value));
        match operation {
            "ListUsers" => ok(contents.users(number(&input["PaginationToken"]))),
            "ListUsersInGroup" => ok(contents.members(&input["NextToken"])),
            "DescribeUserPool" => ok(json!({"UserPool": {
                "EstimatedNumberOfUsers": contents.total(),
            }})),
            "AdminAddUserToGroup" => {
                let name = input["Username"].as_str().expect("a name");
                contents.members.insert(name.to_owned());
                ok(json!({}))
            }
            "BatchGetItem" => ok(contents.present(&input["RequestItems"][TABLE]["Keys"])),
            "PutItem" => {
                let sub = input["Item"]["id"]["S"].as_str().expect("a key");
                if contents.profiles.contains_key(sub) {
                    let refused = json!({"__type": "ConditionalCheckFailedException"});
                    return Some((StatusCode::BAD_REQUEST, refused));
                }
                *contents.profiles.entry(sub.to_owned()).or_default() += 1;
                ok(json!({}))
            }
            _ => None,
        }
    }
}

impl PoolContents {
    /// Every user has the group and a profile.
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

/// The layer over the routes of the embedded endpoint.
pub(crate) async fn layer(
    State(large_pool): State<LargePool>,
    request: Request,
    next: Next,
) -> Response {
    let target = request.headers().get("x-amz-target");
    let operation = target
        .and_then(|target| target.to_str().ok()?.rsplit('.').next().map(str::to_owned))
        .unwrap_or_default();
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let input = serde_json::from_slice(&bytes).unwrap_or_default();
    match large_pool.answer(&operation, &input) {
        Some((status, answer)) => (status, answer.to_string()).into_response(),
        None => {
            next.run(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
    }
}
