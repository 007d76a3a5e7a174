//! `usher console` and `/console` of a worker: who is served, and what pages and actions do.

mod access;
mod actions;
mod administrators;
mod deployment;
mod hosted;
mod hostile;
mod invitations;
mod large;
mod people;
mod reconcile;
mod sessions;
mod sign_in;

use std::fs::File;

use serde_json::Value;
use usher::aws::Outgoing;

use crate::api::client::{Answer, Client};
use crate::process::Process;
use crate::world::{World, eventually};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A browser that has opened the link.
struct Console {
    world: World,
    process: Process,
    address: String,
    client: Client,
    link_token: String,
    cookie: String,
    token: String,
}

impl Console {
    async fn open(world: World) -> Self {
        Self::open_with(world, &[]).await
    }

    async fn open_with(world: World, overrides: &[&str]) -> Self {
        let mut console = Self::start(world, overrides).await;
        console.sign_in().await;
        console
    }

    /// Nobody has opened the link.
    async fn start(world: World, overrides: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let output = folder.path().join("out");
        let mut arguments = vec!["console", "--port", "0"];
        arguments.extend(overrides.iter().flat_map(|it| ["--set", it]));
        let mut command = world.usher(&arguments);
        command.stdout(File::create(&output).expect("a file"));
        let process = Process::with_output(command);
        let printed = || std::fs::read_to_string(&output).unwrap_or_default();
        eventually("a link", || async { printed().ends_with('\n') }).await;
        let link = printed();
        let (address, link_token) = link
            .trim()
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once("/?token="))
            .expect("a link");
        let client = Client::new(address.to_owned());
        Self {
            world,
            process,
            address: address.to_owned(),
            link_token: link_token.to_owned(),
            client,
            cookie: String::new(),
            token: String::new(),
        }
    }

    async fn sign_in(&mut self) {
        let path = format!("/?token={}", self.link_token);
        let answer = self.client.raw("GET", &path, b"", &[]).await;
        let cookie = answer.header("set-cookie").expect("a cookie");
        let (cookie, flags) = cookie.split_once("; ").expect("flags");
        assert_eq!(flags, "Path=/console; HttpOnly; SameSite=Strict");
        cookie.clone_into(&mut self.cookie);
        let page = self.get("/console/dead-letters").await;
        assert_eq!(page.status, 200);
        let token = page.text.split("name=\"token\" value=\"").nth(1);
        let token = token.and_then(|rest| rest.split('"').next());
        token.expect("a form").clone_into(&mut self.token);
    }

    async fn get(&self, path: &str) -> Answer {
        let cookie = [("cookie", self.cookie.as_str())];
        self.client.raw("GET", path, b"", &cookie).await
    }

    /// Sends a form as a browser does.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("origin", "null"),
            ("sec-fetch-site", "same-origin"),
            FORM,
        ];
        let token = [("token", self.token.as_str())];
        let body = encoded(&[&token[..], fields].concat());
        self.client
            .raw("POST", path, body.as_bytes(), &headers)
            .await
    }

    /// The text of the page of a job that has ended.
    async fn end_of(&self, started: &Answer) -> String {
        assert_eq!(started.status, 303, "{}", started.text);
        let path = started.header("location").expect("a page").to_owned();
        let page = || async {
            let page = self.get(&path).await;
            (!page.text.contains("data-moves")).then_some(page.text)
        };
        eventually("an end", || async { page().await.is_some() }).await;
        page().await.expect("just seen")
    }

    /// Reads the dead-letter queue, and returns the fields that each action needs.
    async fn read(&self, count: usize) -> Vec<(&'static str, String)> {
        let started = self.post("/console/dead-letters/read", &[]).await;
        self.end_of(&started).await;
        let number = started
            .header("location")
            .and_then(|it| it.rsplit('/').next());
        let number = number.expect("a number").to_owned();
        vec![("snapshot", number), ("count", count.to_string())]
    }

    /// A dry run, which each replay needs.
    async fn predict(&self, fields: &[(&'static str, String)]) -> String {
        let started = self.act("dry-run", fields).await;
        self.end_of(&started).await
    }

    async fn act(&self, action: &str, fields: &[(&'static str, String)]) -> Answer {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, it)| (*name, it.as_str()))
            .collect();
        self.post(&format!("/console/dead-letters/{action}"), &fields)
            .await
    }

    fn audit(&self) -> Vec<Value> {
        let log = self.process.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .filter(|line: &Value| line["target"] == "usher::audit")
            .collect()
    }

    /// Dead letters that are visible; none may be hidden.
    async fn visible(&self) -> u64 {
        let attributes = self.world.dead_letters.attributes().await;
        let depth = attributes.expect("attributes").depth;
        assert_eq!(depth.hidden, 0, "hidden dead letters");
        depth.visible
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    serializer.extend_pairs(fields).finish()
}

fn with(
    fields: &[(&'static str, String)],
    more: &[(&'static str, &str)],
) -> Vec<(&'static str, String)> {
    let more = more.iter().map(|(name, text)| (*name, (*text).to_owned()));
    fields.iter().cloned().chain(more).collect()
}

impl World {
    async fn put_dead_letter(&self, body: &str, reason: &str, error: &str) {
        let attributes = [
            ("usher.reason", reason),
            ("usher.class", "permanent"),
            ("usher.error", error),
            ("crm.customer", "eve@mail.example"),
            ("usher.dead_lettered_at", "2026-08-01T09:05:00.000Z"),
        ];
        let dead_letter = Outgoing {
            body: body.to_owned(),
            attributes: attributes
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Outgoing::default()
        };
        self.dead_letters.send(dead_letter).await.expect("sent");
    }
}
