//! The IAM policies allow what the sources call, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;
use usher::aws::Operation;

pub(crate) fn text(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("text")
}

/// The Rust files below a folder of the project, as paths from its root.
pub(crate) fn files(folder: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(path).expect("a folder");
    let found = entries.flat_map(|entry| {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().display());
        let file = entry.path();
        if file.is_dir() {
            files(&path)
        } else if file.extension().is_some_and(|kind| kind == "rs") {
            vec![path]
        } else {
            Vec::new()
        }
    });
    found.collect()
}

/// A file without its unit tests.
pub(crate) fn product(file: &str) -> String {
    let source = text(file);
    let parts = source.split_once("#[cfg(test)]\nmod ");
    parts
        .map_or(source.as_str(), |(product, _)| product)
        .to_owned()
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

/// The operations that sources name, as `CognitoOperation::ListUsers`.
fn operations(sources: &str) -> BTreeSet<Operation> {
    let names: BTreeSet<&str> = sources
        .split("Operation::")
        .skip(1)
        .filter_map(|after| after.split(|c: char| !c.is_ascii_alphanumeric()).next())
        .collect();
    Operation::all()
        .filter(|operation| names.contains(operation.name()))
        .collect()
}

/// The permissions for the calls of files in `src/aws`.
fn calls(files: &[&str]) -> BTreeSet<String> {
    let files = files.iter().map(|file| format!("src/aws/{file}"));
    files
        .flat_map(|file| operations(&product(&file)))
        .filter_map(Operation::iam_action)
        .collect()
}

/// The calls of the worker.
pub(crate) fn of_the_worker() -> BTreeSet<String> {
    let mut made = calls(&[
        "sqs/queue.rs",
        "sqs/send.rs",
        "cognito/provisioning.rs",
        "dynamodb/profiles.rs",
        "dynamodb/batch_get.rs",
        "dynamodb/owners.rs",
        "dynamodb/request_table.rs",
        "dynamodb/time_to_live.rs",
    ]);
    made.extend(["ListUsers", "ListUsersInGroup"].map(|call| format!("cognito-idp:{call}")));
    made
}

#[test]
fn a_query_is_allowed_on_an_index_only() {
    for policy in [
        "deploy/worker-policy.json",
        "deploy/operator-policy.json",
        "deploy/forget-policy.json",
    ] {
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

/// The calls of an operator's commands: those of the worker, and more.
fn of_the_tools() -> BTreeSet<String> {
    let mut made = of_the_worker();
    made.extend(calls(&[
        "cognito/accounts.rs",
        "cognito/lists.rs",
        "cognito/searches.rs",
        "sqs/move_tasks.rs",
    ]));
    // `usher reconcile` shows its progress.
    assert!(text("src/cli/reconcile.rs").contains(".estimate_user_count("));
    made.insert("cognito-idp:DescribeUserPool".to_owned());
    made
}

/// The calls of a load test, which creates users and removes everything again.
fn of_the_load_test() -> BTreeSet<String> {
    let mut made = calls(&[
        "sqs/queue.rs",
        "sqs/send.rs",
        "cognito/test_users.rs",
        "cognito/deletion.rs",
        "cognito/pools.rs",
        "dynamodb/test_profiles.rs",
        "dynamodb/deletion.rs",
        "dynamodb/batch_get.rs",
    ]);
    // A user who exists is read, and their groups are. Others are found by their address.
    let test_users = text("src/aws/cognito/test_users.rs");
    assert!(test_users.contains(".get_user(") && test_users.contains(".list_by_prefix("));
    made.extend(
        ["AdminGetUser", "AdminListGroupsForUser", "ListUsers"]
            .map(|call| format!("cognito-idp:{call}")),
    );
    made
}

/// The calls of admin commands, from a shell and through the HTTP API of a worker.
pub(crate) fn of_the_admins() -> BTreeSet<String> {
    let mut made = calls(&[
        "cognito/provisioning.rs",
        "cognito/users.rs",
        "cognito/invitations.rs",
        "cognito/pools.rs",
        "dynamodb/profiles.rs",
        "dynamodb/batch_get.rs",
    ]);
    made.insert("cognito-idp:AdminListGroupsForUser".to_owned());
    // `username_of` finds a federated user by `sub` with `ListUsers`.
    assert!(text("src/aws/cognito/users.rs").contains(".username_of("));
    made.insert("cognito-idp:ListUsers".to_owned());
    made.insert("cognito-idp:ListGroups".to_owned());
    // Only `usher check` makes this call.
    assert!(made.remove("dynamodb:DescribeTable"));
    made
}

#[test]
fn the_admin_policy_and_the_calls_are_the_same() {
    assert_eq!(of_the_admins(), actions("deploy/admin-policy.json"));
}

#[test]
fn the_attach_policy_and_the_calls_are_the_same() {
    let made = calls(&["cognito/pool_settings.rs"]);
    assert_eq!(made, actions("deploy/attach-policy.json"));
}

#[test]
fn the_load_policy_and_the_calls_are_the_same() {
    assert_eq!(of_the_load_test(), actions("deploy/load-policy.json"));
}

#[test]
fn the_forget_policy_and_the_calls_are_the_same() {
    let mut made = calls(&[
        "sqs/queue.rs",
        "cognito/deletion.rs",
        "dynamodb/deletion.rs",
        "dynamodb/owners.rs",
        "dynamodb/batch_get.rs",
    ]);
    // A user is read, and by the `sub` of a federated one the list.
    made.extend(["AdminGetUser", "ListUsers"].map(|call| format!("cognito-idp:{call}")));
    assert_eq!(made, actions("deploy/forget-policy.json"));
    let files = files("src/users/forget");
    let sources: String = files.iter().map(|it| product(it)).collect();
    let allowed = ["delete_user", "find_user"];
    assert_eq!(
        methods_of_cognito(&sources),
        BTreeSet::from(allowed.map(str::to_owned))
    );
}

/// No other part of the product has these rights.
#[test]
fn only_forget_and_the_load_test_delete_users_and_profiles() {
    for file in files("src") {
        let source = product(&file);
        let folders = [
            "src/aws/",
            "src/users/forget/",
            "src/load/",
            "src/cli/load/",
        ];
        let is_allowed = folders.iter().any(|folder| file.starts_with(folder));
        for method in [".delete_user(", ".delete_profile("] {
            assert!(is_allowed || !source.contains(method), "{file}: {method}");
        }
    }
}

/// The methods of the client that sources call.
fn methods_of_cognito(sources: &str) -> BTreeSet<String> {
    let calls: String = sources.split_whitespace().collect();
    calls
        .split("cognito.")
        .skip(1)
        .filter_map(|call| call.split_once('('))
        .map(|(method, _)| method.to_owned())
        .filter(|method| method.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect()
}

#[test]
fn a_load_test_calls_cognito_only_as_its_policy_allows() {
    let folders = ["src/load", "src/cli/load"].into_iter();
    let sources: String = folders.flat_map(files).map(|file| product(&file)).collect();
    let allowed = [
        "create_test_user",
        "delete_user",
        "groups_of",
        "list_by_email_prefix",
        "sign_in_name",
    ];
    assert_eq!(
        methods_of_cognito(&sources),
        BTreeSet::from(allowed.map(str::to_owned))
    );
    for foreign in ["ProfileTable", "MoveTasks", "caller()"] {
        assert!(!sources.contains(foreign), "{foreign}");
    }
}

/// A call is labelled with the operation that its request is for.
#[test]
fn requests_and_operations_agree() {
    for folder in ["src/aws/cognito", "src/aws/sqs", "src/aws/dynamodb"] {
        let sources: String = files(folder).iter().map(|file| product(file)).collect();
        let named = operations(&sources);
        let requests: String = sources.split_whitespace().collect();
        for operation in Operation::all() {
            let mut request = String::new();
            for c in operation.name().chars() {
                if c.is_ascii_uppercase() && !request.is_empty() {
                    request.push('_');
                }
                request.push(c.to_ascii_lowercase());
            }
            let is_made = requests.contains(&format!("client.{request}()"));
            assert_eq!(is_made, named.contains(&operation), "{folder}: {request}");
        }
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

/// `usher users show --fix` reads users like an administrator, and queues them like reconcile.
#[test]
fn the_operator_policy_is_enough_to_show_and_queue_a_user() {
    let calls = [
        ("src/admin/user_lookup.rs", ".find_user(", "AdminGetUser"),
        (
            "src/admin/user_lookup.rs",
            ".groups_of(",
            "AdminListGroupsForUser",
        ),
        ("src/admin/user_lookup.rs", ".search_users(", "ListUsers"),
    ];
    let allowed = actions("deploy/operator-policy.json");
    for (file, method, call) in calls {
        assert!(text(file).contains(method), "{file}: {method}");
        assert!(allowed.contains(&format!("cognito-idp:{call}")), "{call}");
    }
    for call in [
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "sqs:SendMessage",
    ] {
        assert!(allowed.contains(call), "{call}");
    }
}

/// Operators who disable no users can leave this statement out.
#[test]
fn calls_of_the_console_only_have_their_own_statement() {
    let policy: Value = serde_json::from_str(&text("deploy/operator-policy.json")).expect("JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let (apart, others): (Vec<&Value>, Vec<&Value>) = statements
        .iter()
        .partition(|statement| statement["Sid"] == "ConsoleOnlyUserPool");
    let made = calls(&["cognito/accounts.rs"]);
    assert_eq!(actions_of(apart), made);
    assert!(actions_of(others).is_disjoint(&made));
}

/// Operators who replay only through the queue can leave these statements out.
#[test]
fn direct_replay_calls_have_their_own_statements() {
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
        ("UpdateItem", "add_transition", "dynamodb"),
    ];
    let wanted: BTreeSet<String> = made
        .iter()
        .map(|(call, _, service)| format!("{service}:{call}"))
        .collect();
    assert_eq!(actions_of(apart), wanted);
    assert!(actions_of(others).is_disjoint(&wanted));
    // The other commands of an operator make none of these calls. Only the replay with
    // `--direct` uses a `Provisioner`, and a dry run the checks of one.
    let dry_run = "src/dead_letter/dry_run.rs";
    let provisioning = [
        "src/dead_letter/replay_target.rs",
        "src/cli/dead_letters/replay.rs",
        dry_run,
    ];
    for call in text(dry_run).split("self.provisioner").skip(1) {
        let call = call.trim_start();
        let is_check = [".judge_queued(", ".group_exists("];
        assert!(is_check.iter().any(|it| call.starts_with(it)), "{call}");
    }
    let folders = [
        "src/dead_letter",
        "src/cli/dead_letters",
        "src/users",
        "src/reconcile",
    ];
    let mut files: Vec<String> = folders.into_iter().flat_map(files).collect();
    files.push("src/cli/reconcile.rs".to_owned());
    // It executes admin commands, whose calls are compared with their own policy.
    files.retain(|file| file != "src/users/operator.rs");
    for file in files {
        let source = text(&file);
        for (_, method, _) in made {
            assert!(!source.contains(&format!(".{method}(")), "{file}: {method}");
        }
        let provisions = source.to_lowercase().contains("provisioner");
        assert_eq!(provisions, provisioning.contains(&file.as_str()), "{file}");
    }
}

#[test]
fn the_worker_policy_has_only_the_list_calls_it_makes() {
    let mut listed = calls(&["cognito/lists.rs", "cognito/pools.rs"]);
    let run = text("src/reconcile/run.rs") + &text("src/reconcile/memberships.rs");
    for (method, call) in [
        (".list_users(", "ListUsers"),
        (".list_members(", "ListUsersInGroup"),
        (".groups_of(", "AdminListGroupsForUser"),
        (".list_groups(", "ListGroups"),
        (".estimate_user_count(", "DescribeUserPool"),
    ] {
        let name = format!("cognito-idp:{call}");
        let made = run.contains(method);
        assert_eq!(of_the_worker().contains(&name), made, "{call}");
        assert!(listed.remove(&name), "{call}");
    }
    assert!(listed.is_empty(), "{listed:?}");
}

/// The calls of the Lambda.
pub(crate) fn of_the_trigger() -> BTreeSet<String> {
    let mut made = calls(&["dynamodb/request_table.rs", "dynamodb/batch_get.rs"]);
    made.insert("sqs:SendMessage".to_owned());
    made
}

#[test]
fn the_trigger_sends_and_uses_no_table_but_that_of_requests() {
    assert_eq!(actions("deploy/trigger-policy.json"), of_the_trigger());
    let files = files("src/trigger");
    let sources: String = files.iter().map(|it| product(it)).collect();
    for foreign in ["ProfileTable", "Cognito::", "cognito."] {
        assert!(!sources.contains(foreign), "{foreign}");
    }
}

/// A policy for one table gives no right to the other.
#[test]
fn the_tables_of_profiles_and_of_requests_have_their_own_statements() {
    for policy in ["worker", "operator", "trigger"] {
        let policy = text(&format!("deploy/{policy}-policy.json"));
        let policy: Value = serde_json::from_str(&policy).expect("JSON");
        for statement in policy["Statement"].as_array().expect("statements") {
            let resource = statement["Resource"].as_str().unwrap_or_default();
            let is_of_requests = resource.ends_with(":table/REQUEST_TABLE");
            let name = statement["Sid"].as_str().expect("a name");
            assert_eq!(
                name.ends_with("RequestTable"),
                is_of_requests,
                "{statement}"
            );
            let updates = actions_of([statement]).contains("dynamodb:UpdateItem");
            assert!(is_of_requests || !updates, "{statement}");
        }
    }
}
