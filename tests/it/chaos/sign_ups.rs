//! The sign-ups of a run, and the other messages on the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{TABLE, World};

/// A rule that gives some users a second group.
pub(crate) const RULES: &str = r#"
    [[groups.rules]]
    groups = ["PRO"]
    attribute = "custom:plan"
    equals = "pro"
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Gets one group and a profile.
    Plain,
    /// Gets two groups and a profile.
    Pro,
    /// The event lacks the `sub`; the pool has it.
    NoSub,
    /// Already has a profile, and has edited it.
    Edited,
    /// Does not exist in the pool.
    Gone,
    /// Chose a new password and has a profile: nothing to do.
    Forgot,
    /// Was imported and chose a new password: provisioned like a sign-up.
    Reset,
}

pub(crate) struct Member {
    pub(crate) kind: Kind,
    /// The user name in the event.
    pub(crate) name: String,
    pub(crate) sub: String,
    pub(crate) body: String,
    /// The number of times that the event is sent.
    times: usize,
}

pub(crate) struct SignUps {
    pub(crate) members: Vec<Member>,
    /// Profiles that existed before the run, by `sub`.
    pub(crate) edited: BTreeMap<String, BTreeMap<String, String>>,
    /// Malformed bodies, each with the reason of its dead letter.
    pub(crate) poison: BTreeMap<String, &'static str>,
}

impl SignUps {
    pub(crate) async fn sign_up(world: &World, random: &mut fastrand::Rng) -> Self {
        let mut sign_ups = Self {
            members: Vec::new(),
            edited: BTreeMap::new(),
            poison: (0..random.usize(..40)).map(poison).collect(),
        };
        for n in 0..random.usize(100..300) {
            let kind = match random.u8(..20) {
                0..2 => Kind::Pro,
                2 => Kind::NoSub,
                3..5 => Kind::Edited,
                5 => Kind::Gone,
                6 => Kind::Forgot,
                7 => Kind::Reset,
                _ => Kind::Plain,
            };
            sign_ups.add(world, n, kind, random).await;
        }
        sign_ups
    }

    async fn add(&mut self, world: &World, n: usize, kind: Kind, random: &mut fastrand::Rng) {
        let user = world.create_user(&format!("person-{n}")).await;
        let mut event = user.event;
        let mut name = user.name;
        match kind {
            Kind::Plain | Kind::Reset => {}
            Kind::Pro => event["request"]["userAttributes"]["custom:plan"] = json!("pro"),
            Kind::NoSub => {
                let attributes = event["request"]["userAttributes"].as_object_mut();
                attributes.expect("attributes").remove("sub");
            }
            Kind::Edited | Kind::Forgot => {
                let profile = BTreeMap::from([
                    ("id".to_owned(), user.sub.clone()),
                    ("nickname".to_owned(), format!("{n} the kept")),
                ]);
                let written = world.sandbox.put_profile(TABLE, profile.clone()).await;
                written.expect("written");
                self.edited.insert(user.sub.clone(), profile);
            }
            Kind::Gone => {
                name = format!("nobody-{n}");
                event["userName"] = json!(name);
            }
        }
        if matches!(kind, Kind::Forgot | Kind::Reset) {
            event["triggerSource"] = json!("PostConfirmation_ConfirmForgotPassword");
        }
        self.members.push(Member {
            kind,
            name,
            sub: user.sub,
            body: event.to_string(),
            times: if random.u8(..5) == 0 {
                random.usize(2..4)
            } else {
                1
            },
        });
    }

    /// Sends all messages in random sequence: half of them at once, the rest over time.
    pub(crate) async fn arrive(&self, world: &World, within: Duration, random: &mut fastrand::Rng) {
        let signed_up = self
            .members
            .iter()
            .flat_map(|member| std::iter::repeat_n(&member.body, member.times));
        let mut bodies: Vec<&String> = signed_up.chain(self.poison.keys()).collect();
        random.shuffle(&mut bodies);
        let later = bodies.split_off(bodies.len() / 2);
        for body in bodies {
            world.send(body.as_str()).await;
        }
        let mut pace = tokio::time::interval(within / 20);
        for some in later.chunks(later.len().div_ceil(16).max(1)) {
            pace.tick().await;
            for body in some {
                world.send(body.as_str()).await;
            }
        }
    }
}

/// The `n`th body that never succeeds, with its reason.
fn poison(n: usize) -> (String, &'static str) {
    let (body, reason) = match n % 8 {
        0 => (format!("hello {n}"), "not_json"),
        1 => (
            format!("{{\"n\": {n}, \"triggerSource\": \"PostConf"),
            "not_json",
        ),
        2 => (" ".repeat(n), "empty_body"),
        3 => (json!([n]).to_string(), "not_an_object"),
        4 => (
            of(n, &json!({"triggerSource": "UserMigration_Authentication"})),
            "other_trigger",
        ),
        5 => (
            of(
                n,
                &json!({"Type": "Notification", "TopicArn": "arn:x", "Message": "{}"}),
            ),
            "sns_envelope",
        ),
        6 => (
            of(
                n,
                &json!({"usher": 9, "command": "Dance", "requestId": "r"}),
            ),
            "unsupported_command",
        ),
        _ => (
            of(
                n,
                &json!({
                    "triggerSource": "PostConfirmation_ConfirmSignUp", "userPoolId": "p_1",
                }),
            ),
            "no_user_name",
        ),
    };
    (body, reason)
}

fn of(n: usize, body: &Value) -> String {
    let mut body = body.clone();
    body["n"] = json!(n);
    body.to_string()
}
