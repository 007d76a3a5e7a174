//! A worker that serves the console for a pool, and browsers that use it.

use serde_json::Value;

use super::{FORM, encoded};
use crate::api::client::{Answer, Client};
use crate::api::settings;
use crate::process::Process;
use crate::world::World;

pub(super) const PASSWORD: &str = "A-l0ng-password";
pub(super) const ACCESS: &str = "__Host-usher_console";
pub(super) const REFRESH: &str = "__Host-usher_console_refresh";

pub(super) struct Hosted {
    pub(super) world: World,
    pub(super) process: Process,
    pub(super) client: Client,
}

/// The cookies of a browser, and the token in its forms.
#[derive(Clone, Default)]
pub(super) struct Browser {
    pub(super) cookies: String,
    pub(super) token: String,
}

impl Hosted {
    pub(super) async fn open() -> Self {
        Self::open_in(World::new().await, &[]).await
    }

    pub(super) async fn open_in(world: World, overrides: &[&str]) -> Self {
        let mut command = world.usher(&["worker"]);
        let secret = world.pool.secret.clone().unwrap_or_default();
        let mut all = vec![
            format!("console.client_id={}", world.pool.client),
            format!("console.client_secret={secret}"),
        ];
        let shared = settings(&world).into_iter();
        let shared = shared.filter(|(key, _)| *key != "admin.client_ids");
        all.extend(shared.map(|(key, value)| format!("{key}={value}")));
        all.extend(overrides.iter().map(|it| (*it).to_owned()));
        command.args(all.iter().flat_map(|it| ["--set", it]));
        let process = Process::start(command);
        let client = Client::new(process.public_http().await);
        Self {
            world,
            process,
            client,
        }
    }

    /// A user with a password, in these groups: their `sub`.
    pub(super) async fn user(&self, name: &str, groups: &[&str]) -> String {
        let user = self.world.create_user(name).await;
        let (sandbox, pool) = (&self.world.sandbox, &self.world.pool.id);
        let set = sandbox.set_password(pool, name, PASSWORD).await;
        set.expect("a password");
        for group in groups {
            let added = sandbox.add_to_group(pool, name, group).await;
            added.expect("a member");
        }
        user.sub
    }

    pub(super) async fn get(&self, path: &str, browser: &Browser) -> Answer {
        let cookies = [("cookie", browser.cookies.as_str())];
        self.client.raw("GET", path, b"", &cookies).await
    }

    /// Sends a form as a browser does.
    pub(super) async fn post(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        browser: &Browser,
    ) -> Answer {
        let headers = [
            ("cookie", browser.cookies.as_str()),
            ("origin", "null"),
            ("sec-fetch-site", "same-origin"),
            FORM,
        ];
        let token = [("token", browser.token.as_str())];
        let body = encoded(&[&token[..], fields].concat());
        self.client
            .raw("POST", path, body.as_bytes(), &headers)
            .await
    }

    /// One step of a sign-in, once the limit of the process lets it through.
    pub(super) async fn step(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        for _ in 0..50 {
            let answer = self.post(path, fields, &Browser::default()).await;
            if !answer.text.contains("The console is busy") {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        panic!("busy for ten seconds");
    }

    pub(super) async fn begin(&self, name: &str, password: &str) -> Answer {
        let fields = [("username", name), ("password", password)];
        self.step("/console/sign-in", &fields).await
    }

    /// Answers the challenge of a page.
    pub(super) async fn answer(&self, page: &Answer, answer: &str, repeated: &str) -> Answer {
        let hidden = hidden_fields(&page.text);
        let mut fields = vec![("answer", answer), ("repeated", repeated)];
        fields.extend(hidden.iter().map(|(name, it)| (name.as_str(), it.as_str())));
        self.step("/console/sign-in/answer", &fields).await
    }

    /// A browser that is signed in by this answer.
    pub(super) async fn browser(&self, answer: &Answer) -> Browser {
        assert_eq!(answer.status, 303, "{}", answer.text);
        let mut browser = Browser {
            cookies: cookies(answer).join("; "),
            token: String::new(),
        };
        let page = self.get("/console", &browser).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let fields = hidden_fields(&page.text);
        let token = fields.into_iter().find(|(name, _)| name == "token");
        browser.token = token.expect("a form").1;
        browser
    }

    pub(super) async fn sign_in(&self, name: &str) -> Browser {
        let answer = self.begin(name, PASSWORD).await;
        self.browser(&answer).await
    }

    pub(super) fn audit(&self, action: &str) -> Vec<Value> {
        let log = self.process.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .filter(|line: &Value| line["target"] == "usher::audit" && line["action"] == action)
            .collect()
    }
}

fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let fields = page.split("<input ").skip(1);
    let fields = fields.filter_map(|rest| rest.split('>').next());
    let hidden = fields.filter(|field| field.contains("hidden"));
    let attribute = |field: &str, name: &str| {
        let value = field.split(&format!("{name}=\"")).nth(1).expect(name);
        value.split('"').next().expect("an end").to_owned()
    };
    hidden
        .map(|field| (attribute(field, " name"), attribute(field, " value")))
        .collect()
}

/// Each cookie that is set, as `name=value`.
pub(super) fn cookies(answer: &Answer) -> Vec<String> {
    let set = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    let pairs = set.filter_map(|(_, value)| value.split(';').next());
    pairs.map(str::to_owned).collect()
}

/// All that a browser sees, except the time.
pub(super) fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, &str) {
    let headers = answer.headers.iter().filter(|(name, _)| name != "date");
    (answer.status, headers.cloned().collect(), &answer.text)
}
