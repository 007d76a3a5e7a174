//! The administrators' API, tested over HTTP against the embedded pool.

mod accept;
pub(crate) mod client;
mod commands;
mod federated;
mod impostor;
mod issuers;
mod limits;
mod mails;
mod pools;
mod queued;
mod reads;
mod requesters;
mod requests;
mod tokens;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use usher::event::{GroupName, PoolId};

use crate::process::Process;
use crate::world::World;
pub(crate) use client::{Answer, Client};

/// A worker that serves the API, and a token of an administrator.
pub(crate) struct Api {
    pub(crate) world: World,
    pub(crate) process: Process,
    pub(crate) client: Client,
    admin: String,
}

impl Api {
    pub(crate) async fn start(overrides: &[(&str, &str)]) -> Self {
        Self::start_with(overrides, None).await
    }

    pub(crate) async fn start_with(overrides: &[(&str, &str)], file: Option<&Path>) -> Self {
        Self::start_in(World::new().await, overrides, file).await
    }

    pub(crate) async fn start_in(
        world: World,
        overrides: &[(&str, &str)],
        file: Option<&Path>,
    ) -> Self {
        let admin = token(&world, &claims(&world, "admin", &["ADMINS"]));
        let mut command = world.usher(&["worker"]);
        for (key, value) in settings(&world)
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .chain(overrides.iter().copied())
        {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        if let Some(file) = file {
            command.arg("--config").arg(file);
        }
        let process = Process::start(command);
        let client = Client::new(process.public_http().await);
        Self {
            world,
            process,
            client,
            admin,
        }
    }

    /// Sends a request with the administrator's token.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask_with(method, path, body, &[]).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let bearer = format!("Bearer {}", self.admin);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        self.client.ask(method, path, body, &all).await
    }

    pub(crate) async fn ask_as(&self, token: &str, method: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let body = (method == "POST").then(|| json!({"username": "somebody"}));
        let headers = [("authorization", bearer.as_str())];
        self.client.ask(method, path, body, &headers).await
    }

    pub(crate) async fn make_group(&self, name: &str) {
        let cognito = self.world.services(&self.world.config(&[])).cognito();
        let pool = PoolId::new(&self.world.pool.id).expect("an id");
        let group = GroupName::new(name).expect("a name");
        let created = cognito.create_group(&pool, &group).await;
        created.expect("a group");
    }

    pub(crate) async fn add(&self, group: &str, username: &str) -> Answer {
        let path = format!("/v1/groups/{group}/members");
        self.ask("POST", &path, Some(json!({"username": username})))
            .await
    }

    /// Repeats the request while the API answers 503, or 409 because the first is in progress.
    pub(crate) async fn add_until_accepted(
        &self,
        group: &str,
        username: &str,
        key: &str,
    ) -> Answer {
        let path = format!("/v1/groups/{group}/members");
        let body = json!({"username": username});
        let headers = [("idempotency-key", key)];
        let mut tries = 30;
        loop {
            let answer = self
                .ask_with("POST", &path, Some(body.clone()), &headers)
                .await;
            tries -= 1;
            if tries == 0 || ![409, 503].contains(&answer.status) {
                return answer;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The audit lines by request id.
    pub(crate) fn audit(&self) -> BTreeMap<String, Vec<Value>> {
        let mut lines: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for line in self.process.log().lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            if line["target"] == "usher::audit" {
                let id = line["request.id"].as_str().unwrap_or_default().to_owned();
                lines.entry(id).or_default().push(line);
            }
        }
        lines
    }
}

/// The settings with which the API uses this world's pool and its issuers.
pub(crate) fn settings(world: &World) -> Vec<(&'static str, String)> {
    vec![
        ("pools.allowed", world.pool.id.clone()),
        ("admin.client_ids", world.pool.client.clone()),
        ("admin.issuer", world.endpoint.issuer_templates().join(",")),
        ("quota.user_update", "1000".to_owned()),
        ("quota.user_resource_read", "1000".to_owned()),
        ("quota.user_creation", "1000".to_owned()),
    ]
}

/// The claims of an access token in the form of Cognito.
pub(crate) fn claims(world: &World, name: &str, groups: &[&str]) -> Value {
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "sub": sub_of(name), "iss": format!("{}/{}", world.url, world.pool.id),
        "client_id": world.pool.client, "token_use": "access",
        "scope": "aws.cognito.signin.user.admin", "auth_time": now,
        "exp": now + 3600, "iat": now, "jti": "j", "username": name,
    });
    if !groups.is_empty() {
        claims["cognito:groups"] = json!(groups);
    }
    claims
}

pub(crate) fn token(world: &World, claims: &Value) -> String {
    world.endpoint.issuer().sign(claims, None)
}

/// A `sub` that is derived from a name.
pub(crate) fn sub_of(name: &str) -> String {
    let next = |all: u64, b: u8| all.wrapping_mul(31).wrapping_add(u64::from(b));
    let hash = name.bytes().fold(0, next);
    format!("00000000-0000-4000-8000-{:012x}", hash % (1 << 48))
}
