//! The Lambda with an unreadable configuration: it forwards sign-ups, and makes no decision.

use std::path::Path;

use serde_json::{Value, json};
use usher::aws::Received;

use crate::trigger::{Lambda, SIGN_UP, mutation};
use crate::world::World;

/// The variables of a configuration, and the content of the file in `USHER_CONFIG`.
struct Settings {
    name: &'static str,
    variables: &'static [(&'static str, &'static str)],
    file: Option<&'static str>,
}

const UNREADABLE: [Settings; 9] = [
    Settings {
        name: "the file is missing",
        variables: &[("USHER_CONFIG", "/nonexistent/usher.toml")],
        file: None,
    },
    Settings {
        name: "the file is not TOML",
        variables: &[],
        file: Some("[admin]\ngroups = ["),
    },
    Settings {
        name: "the text is not TOML",
        variables: &[("USHER_CONFIG_TOML", "[admin]\ngroups = [")],
        file: None,
    },
    Settings {
        name: "unknown section",
        variables: &[],
        file: Some("[admn]\ngroups = [\"OWNERS\"]"),
    },
    Settings {
        name: "unknown section, empty",
        variables: &[],
        file: Some("[admn]"),
    },
    Settings {
        name: "unknown key",
        variables: &[],
        file: Some("[admin]\ngroup = [\"OWNERS\"]"),
    },
    Settings {
        name: "unknown variable",
        variables: &[("USHER_ADMN__GROUPS", "OWNERS")],
        file: None,
    },
    Settings {
        name: "bad value in the file",
        variables: &[],
        file: Some("[pools]\nallowed = 5"),
    },
    Settings {
        name: "bad value in a variable",
        variables: &[("USHER_INVITATIONS__TEXT", "no link")],
        file: None,
    },
];

/// Settings of the worker in the same file, which the Lambda does not need.
const READABLE: Settings = Settings {
    name: "all of it can be read",
    variables: &[
        ("USHER_WORKER__DRAIN", "40s"),
        ("USHER_INVITATIONS__CLIENT_SECRET", "s3cret"),
        ("USHERETTE", "somebody else's"),
    ],
    file: Some(
        "[invitations]\nclient_id = \"c\"\n[http]\nlisten = \"0.0.0.0:8080\"\n\
         [quota]\nprocesses = 3\n[load]\n[profiles.attributes]\nowner = \"{sub}\"",
    ),
};

async fn lambda(world: &World, settings: &Settings, folder: &Path) -> Lambda {
    let mut variables = vec![
        ("USHER_QUEUE__URL", world.queue.url()),
        ("AWS_ENDPOINT_URL", &world.url),
        // Enables the invitation mail, unless the configuration has an error.
        (
            "USHER_INVITATIONS__ACCEPT_URL",
            "https://app.example/accept",
        ),
    ];
    variables.extend(settings.variables);
    let file = folder.join("usher.toml");
    if let Some(text) = settings.file {
        std::fs::write(&file, text).expect("written");
        variables.push(("USHER_CONFIG", file.to_str().expect("text")));
    }
    Lambda::start(&variables).await
}

fn admin_mutation() -> String {
    let arguments = json!({"userId": "ada", "groupName": "STAFF"});
    mutation("addUserToGroup", &arguments, "ADMINS")
}

fn sign_in() -> String {
    json!({
        "version": "1", "triggerSource": "TokenGeneration_Authentication",
        "userPoolId": "us-east-1_Example1", "userName": "ada",
        "request": {"userAttributes": {}}, "response": {},
    })
    .to_string()
}

fn invitation() -> String {
    json!({
        "version": "1", "triggerSource": "CustomMessage_AdminCreateUser",
        "userPoolId": "us-east-1_Example1", "userName": "ada",
        "request": {
            "userAttributes": {}, "codeParameter": "{####}", "usernameParameter": "{username}",
        },
        "response": {},
    })
    .to_string()
}

/// Takes all messages off the queue.
async fn queued(world: &World) -> Vec<Received> {
    let messages = world.queue.receive(10).await.expect("received");
    let receipts: Vec<&str> = messages
        .iter()
        .map(|it| it.receipt_handle.as_str())
        .collect();
    if !receipts.is_empty() {
        let undone = world.queue.delete(&receipts).await.expect("deleted");
        assert!(undone.is_empty(), "{undone:?}");
    }
    messages
}

fn errors(lambda: &Lambda) -> Vec<Value> {
    let log = lambda.process.log();
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["level"] == "ERROR")
        .collect()
}

#[tokio::test]
async fn an_unreadable_configuration_still_forwards_sign_ups() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    for settings in &UNREADABLE {
        let name = settings.name;
        let mut lambda = lambda(&world, settings, folder.path()).await;

        assert_eq!(lambda.invoke(SIGN_UP).await, SIGN_UP, "{name}");
        let messages = queued(&world).await;
        assert_eq!(messages.len(), 1, "{name}: the sign-up is forwarded");
        assert_eq!(errors(&lambda).len(), 1, "{name}: a line at the start");

        let (ok, answer) = lambda.call(&admin_mutation()).await;
        assert!(!ok && answer.contains("Unavailable"), "{name}: {answer}");
        assert_eq!(errors(&lambda).len(), 2, "{name}: a line for the mutation");

        assert_eq!(lambda.invoke(&sign_in()).await, sign_in(), "{name}");
        assert_eq!(errors(&lambda).len(), 3, "{name}: a line for the token");

        assert_eq!(lambda.invoke(&invitation()).await, invitation(), "{name}");
        assert_eq!(errors(&lambda).len(), 4, "{name}: a line for the mail");

        let messages = queued(&world).await;
        assert!(messages.is_empty(), "{name}: nothing else is queued");
        for line in errors(&lambda) {
            let cause = line["error"].as_str().expect("a cause");
            assert!(cause.contains("configuration is invalid"), "{name}: {line}");
        }
    }
}

#[tokio::test]
async fn keys_of_the_worker_disable_nothing_in_the_lambda() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut lambda = lambda(&world, &READABLE, folder.path()).await;
    assert_eq!(lambda.invoke(SIGN_UP).await, SIGN_UP);
    let answer = lambda.invoke(&admin_mutation()).await;
    assert!(answer.contains("QUEUED"), "{answer}");
    let answer = lambda.invoke(&sign_in()).await;
    assert!(answer.contains("EVERYONE"), "{answer}");
    let answer = lambda.invoke(&invitation()).await;
    assert!(answer.contains("https://app.example/accept#"), "{answer}");
    assert_eq!(queued(&world).await.len(), 2);
    assert!(errors(&lambda).is_empty(), "{}", lambda.process.log());
}
