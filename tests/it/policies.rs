//! The IAM policies allow what the sources call, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

pub(crate) fn text(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("text")
}

/// The Rust files in a folder of the project, by their paths from there.
fn files(folder: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(path).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let sources = paths.filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    let names = sources.filter_map(|path| Some(path.file_name()?.to_owned()));
    names
        .map(|name| format!("{folder}/{}", name.display()))
        .collect()
}

pub(crate) fn actions(policy: &str) -> BTreeSet<String> {
    let policy: Value = serde_json::from_str(&text(policy)).expect("JSON");
    actions_of(policy["Statement"].as_array().expect("statements"))
}

fn actions_of<'a>(statements: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    let mut actions = BTreeSet::new();
    for statement in statements {
        let named = &statement["Action"];
        let listed = named
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![named.clone()]);
        actions.extend(
            listed
                .iter()
                .map(|action| action.as_str().expect("text").to_owned()),
        );
    }
    actions
}

/// The operations that a file names to `call`: words in quotes that are written
/// like an operation.
pub(crate) fn operations(file: &str) -> BTreeSet<String> {
    let source = text(file);
    let product = source.split("#[cfg(test)]").next().expect("text");
    product
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter(|word| word.chars().all(|c| c.is_ascii_alphabetic()) && word.len() > 6)
        .filter(|word| word.contains(|c: char| c.is_ascii_lowercase()))
        .filter(|word| !word.ends_with("Exception") && !["String", "All"].contains(word))
        .filter(|word| !word.starts_with("Receipt") && !word.starts_with("Invalid"))
        .filter(|word| *word != "MessageNotInflight")
        .map(str::to_owned)
        .collect()
}

/// The permissions for them. A batch needs that of the single call.
fn calls(file: &str, service: &str) -> BTreeSet<String> {
    operations(file)
        .iter()
        .map(|word| format!("{service}:{}", word.trim_end_matches("Batch")))
        .collect()
}

/// What the worker calls, and the tools as well.
pub(crate) fn of_the_worker() -> BTreeSet<String> {
    let mut made = calls("src/aws/queue.rs", "sqs");
    made.extend(calls("src/aws/send.rs", "sqs"));
    made.extend(calls("src/aws/directory.rs", "cognito-idp"));
    made.extend(calls("src/aws/profiles.rs", "dynamodb"));
    made.extend(calls("src/aws/batch_get.rs", "dynamodb"));
    made.extend(of_records_elsewhere());
    made.extend(["ListUsers", "ListUsersInGroup"].map(|call| format!("cognito-idp:{call}")));
    made
}

/// What records under other ids are found with. The names are short.
fn of_records_elsewhere() -> BTreeSet<String> {
    let source = text("src/aws/owners.rs");
    let named = source.split("target(\"").skip(1);
    let made: BTreeSet<String> = named
        .filter_map(|rest| rest.split('"').next())
        .map(|call| format!("dynamodb:{call}"))
        .collect();
    assert_eq!(made.len(), 2, "{made:?}");
    made
}

/// A query is allowed on an index and not on the table.
#[test]
fn a_query_is_allowed_on_an_index_only() {
    for policy in ["deploy/worker-policy.json", "deploy/operator-policy.json"] {
        let policy: Value = serde_json::from_str(&text(policy)).expect("JSON");
        let statements = policy["Statement"].as_array().expect("statements");
        let mut found = 0;
        for statement in statements {
            let queries = actions_of([statement]).contains("dynamodb:Query");
            let resource = statement["Resource"].as_str().unwrap_or_default();
            assert_eq!(queries, resource.contains("/index/"), "{statement}");
            found += usize::from(queries);
        }
        assert_eq!(found, 1);
    }
}

/// What a person's tools call: all that the worker does, and more.
fn of_the_tools() -> BTreeSet<String> {
    let mut made = of_the_worker();
    made.extend(calls("src/aws/listing.rs", "cognito-idp"));
    made.extend(calls("src/aws/moves.rs", "sqs"));
    made
}

/// What a load test calls: it makes users and takes everything away again.
fn of_the_load_test() -> BTreeSet<String> {
    let mut made = calls("src/aws/queue.rs", "sqs");
    made.extend(calls("src/aws/send.rs", "sqs"));
    made.extend(calls("src/aws/users.rs", "cognito-idp"));
    made.extend(calls("src/aws/records.rs", "dynamodb"));
    made.extend(calls("src/aws/batch_get.rs", "dynamodb"));
    made.insert("cognito-idp:AdminListGroupsForUser".to_owned());
    made
}

/// What people are invited and regrouped with: from a shell, and through the HTTP API
/// of a worker.
pub(crate) fn of_the_admins() -> BTreeSet<String> {
    let mut made = calls("src/aws/directory.rs", "cognito-idp");
    made.extend(calls("src/aws/people.rs", "cognito-idp"));
    made.extend(calls("src/aws/resend.rs", "cognito-idp"));
    made.extend(calls("src/aws/mailing.rs", "cognito-idp"));
    made.extend(calls("src/aws/profiles.rs", "dynamodb"));
    made.extend(calls("src/aws/batch_get.rs", "dynamodb"));
    made.insert("cognito-idp:AdminListGroupsForUser".to_owned());
    // A federated user is named by `sub`.
    assert!(text("src/aws/people.rs").contains(".named_by("));
    made.insert("cognito-idp:ListUsers".to_owned());
    // For `usher check` alone.
    assert!(made.remove("dynamodb:DescribeTable"));
    made
}

#[test]
fn the_admin_policy_and_the_calls_are_the_same() {
    assert_eq!(of_the_admins(), actions("deploy/admin-policy.json"));
}

#[test]
fn the_attach_policy_and_the_calls_are_the_same() {
    let mut made = calls("src/aws/pool_settings.rs", "cognito-idp");
    // Members of answers.
    assert!(made.remove("cognito-idp:UserPool"));
    assert!(made.remove("cognito-idp:MfaConfiguration"));
    made.remove("cognito-idp:Message");
    made.remove("cognito-idp:UserPoolId");
    assert_eq!(made, actions("deploy/attach-policy.json"));
}

#[test]
fn the_load_policy_and_the_calls_are_the_same() {
    assert_eq!(of_the_load_test(), actions("deploy/load-policy.json"));
}

#[test]
fn a_load_test_lists_groups_and_takes_nothing_else_from_the_other_tools() {
    fn all(folder: &std::path::Path) -> String {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let texts = entries.map(|entry| {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                all(&path)
            } else {
                std::fs::read_to_string(path).expect("text")
            }
        });
        texts.collect()
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = all(&root.join("src/load")) + &all(&root.join("src/cli/load"));
    let made = |object: &str, method: &str| sources.contains(&format!("{object}.{method}("));
    assert!(made("listing", "groups_of"));
    for method in ["users", "members", "estimate"] {
        assert!(!made("listing", method), "{method}");
    }
    for foreign in ["Directory", "Profiles::", "Moves", "caller()"] {
        assert!(!sources.contains(foreign), "{foreign}");
    }
}

#[test]
fn the_worker_policy_and_the_calls_are_the_same() {
    assert_eq!(of_the_worker(), actions("deploy/worker-policy.json"));
}

#[test]
fn the_operator_policy_and_the_calls_are_the_same() {
    assert_eq!(of_the_tools(), actions("deploy/operator-policy.json"));
}

/// Whoever replays through the queue can leave these statements out.
#[test]
fn what_only_replay_direct_calls_is_in_statements_of_its_own() {
    let policy: Value = serde_json::from_str(&text("deploy/operator-policy.json")).expect("JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let (apart, others): (Vec<&Value>, Vec<&Value>) = statements.iter().partition(|statement| {
        let name = statement["Sid"].as_str().expect("a name");
        name.starts_with("ReplayDirectOnly")
    });
    let made = [
        ("AdminAddUserToGroup", "add_to_group", "cognito-idp"),
        ("CreateGroup", "create_group", "cognito-idp"),
        ("PutItem", "put_if_absent", "dynamodb"),
    ];
    let wanted: BTreeSet<String> = made
        .iter()
        .map(|(call, _, service)| format!("{service}:{call}"))
        .collect();
    assert_eq!(actions_of(apart), wanted);
    assert!(actions_of(others).is_disjoint(&wanted));
    // The other commands of an operator make none of these calls by themselves. What
    // provisions is made in one of them, for --direct.
    let provisioning = ["src/dead_letter/way.rs", "src/cli/dead_letters/replay.rs"];
    let folders = ["src/dead_letter", "src/cli/dead_letters", "src/reconcile"];
    let mut files: Vec<String> = folders.into_iter().flat_map(files).collect();
    files.push("src/cli/reconcile.rs".to_owned());
    for file in files {
        let source = text(&file);
        for (_, method, _) in made {
            assert!(!source.contains(&format!(".{method}(")), "{file}: {method}");
        }
        let provisions = source.contains("Provisioner");
        assert_eq!(provisions, provisioning.contains(&file.as_str()), "{file}");
    }
}

#[test]
fn the_worker_lists_users_and_asks_for_nothing_else_that_is_listed() {
    let mut listed = calls("src/aws/listing.rs", "cognito-idp");
    let run = text("src/reconcile/run.rs") + &text("src/reconcile/members.rs");
    for (method, call) in [
        (".users(", "ListUsers"),
        (".members(", "ListUsersInGroup"),
        (".groups_of(", "AdminListGroupsForUser"),
        (".estimate(", "DescribeUserPool"),
    ] {
        let name = format!("cognito-idp:{call}");
        let made = run.contains(method);
        assert_eq!(of_the_worker().contains(&name), made, "{call}");
        assert!(listed.remove(&name), "{call}");
    }
    assert!(listed.is_empty(), "{listed:?}");
}

#[test]
fn the_trigger_sends_and_does_nothing_else() {
    let sends = BTreeSet::from(["sqs:SendMessage".to_owned()]);
    assert_eq!(actions("deploy/trigger-policy.json"), sends);
}
