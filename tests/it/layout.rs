//! The rules of the source tree: dependencies, sizes, places.

mod circles;
mod tokens;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokens::tokens;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`: its relative path and its text.
fn sources(folder: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, base: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, base, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(base)
                    .expect("below")
                    .display()
                    .to_string();
                found.insert(name, std::fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let base = root().join(folder);
    let mut found = BTreeMap::new();
    walk(&base, &base, &mut found);
    assert!(!found.is_empty());
    found
}

/// The file without its unit tests: without modules that are `#[cfg(test)]`, in the file or not.
fn product(text: &str) -> String {
    let mut parts = text.split("#[cfg(test)]\nmod ");
    let mut product = parts.next().unwrap_or_default().to_owned();
    for module in parts {
        let is_declared = module
            .lines()
            .next()
            .is_some_and(|line| line.ends_with(';'));
        // A module in the file ends with the first brace that begins a line.
        let end = if is_declared { "\n" } else { "\n}\n" };
        let rest = module.split_once(end).map(|(_, rest)| rest);
        product += rest.unwrap_or_default();
    }
    product
}

#[test]
fn only_test_modules_are_left_out_of_the_checks() {
    let text = "mod a;\n#[cfg(test)]\nmod tests;\nmod b;\n#[cfg(test)]\nmod inner {\n    fn f() {}\n}\nfn g() {}\n";
    assert_eq!(product(text), "mod a;\nmod b;\nfn g() {}\n");
}

/// The modules that a module may import. `config` may import the pure event types and
/// the limits of the quota.
const MAY_IMPORT: [(&str, &[&str]); 28] = [
    ("config", &["event", "quota"]),
    ("quota", &[]),
    ("cache", &[]),
    ("rate_limiter", &["cache"]),
    ("retry", &[]),
    ("shutdown", &[]),
    ("telemetry", &[]),
    ("text", &[]),
    ("event", &[]),
    ("reason", &["event"]),
    (
        "aws",
        &["config", "event", "quota", "reason", "retry", "telemetry"],
    ),
    ("message", &["aws", "event", "reason", "retry"]),
    (
        "provision",
        &["aws", "cache", "config", "event", "reason", "retry"],
    ),
    (
        "app",
        &[
            "admin",
            "aws",
            "config",
            "dead_letter",
            "provision",
            "quota",
            "reconcile",
            "trigger",
        ],
    ),
    (
        "dead_letter",
        &[
            "aws",
            "config",
            "event",
            "message",
            "provision",
            "quota",
            "reason",
            "retry",
        ],
    ),
    (
        "reconcile",
        &[
            "aws", "config", "event", "message", "reason", "retry", "text",
        ],
    ),
    (
        "worker",
        &[
            "app",
            "aws",
            "cache",
            "config",
            "dead_letter",
            "event",
            "message",
            "provision",
            "reason",
            "reconcile",
            "retry",
            "telemetry",
        ],
    ),
    (
        "load",
        &[
            "aws",
            "config",
            "dead_letter",
            "event",
            "http",
            "message",
            "provision",
            "retry",
            "telemetry",
        ],
    ),
    ("attach", &["aws"]),
    (
        "admin",
        &[
            "aws",
            "cache",
            "config",
            "event",
            "message",
            "provision",
            "quota",
            "rate_limiter",
            "reason",
            "retry",
        ],
    ),
    (
        "trigger",
        &[
            "aws",
            "cache",
            "config",
            "event",
            "message",
            "provision",
            "telemetry",
        ],
    ),
    (
        "http",
        &[
            "admin",
            "aws",
            "cache",
            "config",
            "event",
            "provision",
            "rate_limiter",
            "telemetry",
        ],
    ),
    (
        "dev",
        &[
            "app",
            "aws",
            "config",
            "event",
            "message",
            "provision",
            "trigger",
        ],
    ),
    (
        "users",
        &[
            "admin",
            "app",
            "aws",
            "config",
            "dead_letter",
            "event",
            "provision",
            "reason",
            "reconcile",
            "retry",
        ],
    ),
    (
        "status",
        &[
            "app",
            "attach",
            "aws",
            "config",
            "dead_letter",
            "event",
            "http",
            "reason",
            "retry",
            "telemetry",
        ],
    ),
    (
        "check",
        &[
            "app", "attach", "aws", "config", "event", "reason", "status", "text",
        ],
    ),
    (
        "console",
        &[
            "admin",
            "app",
            "aws",
            "check",
            "config",
            "dead_letter",
            "event",
            "http",
            "provision",
            "rate_limiter",
            "reason",
            "reconcile",
            "retry",
            "status",
            "telemetry",
            "text",
            "users",
        ],
    ),
    (
        "cli",
        &[
            "admin",
            "app",
            "attach",
            "aws",
            "check",
            "config",
            "console",
            "dead_letter",
            "dev",
            "event",
            "http",
            "load",
            "message",
            "provision",
            "reason",
            "reconcile",
            "retry",
            "shutdown",
            "status",
            "telemetry",
            "text",
            "users",
            "worker",
        ],
    ),
];

#[test]
fn modules_depend_in_one_direction() {
    let allowed = BTreeMap::from(MAY_IMPORT);
    for (file, text) in sources("src") {
        let module = file.split(['/', '.']).next().expect("a name");
        let Some(allowed) = allowed.get(module) else {
            assert!(
                matches!(module, "lib" | "main" | "bin"),
                "{file} has no rule"
            );
            continue;
        };
        let text = product(&text);
        assert!(
            !text.contains("super::super::"),
            "{file} goes round the rule"
        );
        for named in text.split("crate::").skip(1) {
            let named: String = named
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            assert!(
                named == module || allowed.contains(&named.as_str()),
                "{file} names crate::{named}",
            );
        }
    }
}

#[test]
fn each_dependency_is_used_in_one_place() {
    for (file, text) in sources("src") {
        let text = product(&text);
        for (thing, homes) in [
            ("aws_sdk_", &["aws/"][..]),
            ("std::env::", &["config/", "main.rs"]),
            ("tokio::signal", &["shutdown.rs"]),
            ("use backoff", &["retry.rs"]),
            ("use lru", &["cache.rs"]),
            ("utoipa", &["http/api/"]),
            ("jsonwebtoken", &["admin/", "dev/"]),
            ("winterbaume", &["dev/"]),
            ("aws_smithy_", &["aws/"]),
            ("process::exit", &[]),
            ("tracing_subscriber", &["telemetry/"]),
            ("opentelemetry::", &["telemetry/"]),
            ("opentelemetry_", &["telemetry/"]),
            ("indicatif", &["check/", "cli/", "load/report/", "status/"]),
            ("clap::", &["cli/", "main.rs"]),
            ("clap_", &["cli/shell.rs"]),
            ("lambda_runtime", &["bin/", "telemetry/", "trigger/"]),
        ] {
            let at_home = homes.iter().any(|home| file.starts_with(home));
            assert!(at_home || !text.contains(thing), "{file} touches {thing}");
        }
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    for (file, text) in ["src", "tests"].into_iter().flat_map(sources) {
        let lines = text.lines().count();
        assert!(lines <= 500, "{file} has {lines} lines");
    }
}

/// `1 users` is avoided with `plural`.
#[test]
fn no_text_has_a_count_before_a_fixed_plural() {
    for (file, text) in sources("src") {
        let text = product(&text);
        for noun in [
            "user",
            "row",
            "profile",
            "group",
            "message",
            "letter",
            "dead letter",
            "second",
            "sign-up",
            "mail",
            "time",
            "line",
            "failure",
            "worker",
            "attempt",
        ] {
            let plural = format!("}} {noun}s");
            let found = text.lines().find(|line| line.contains(&plural));
            assert_eq!(found, None, "{file}");
        }
    }
}

#[test]
fn binaries_only_parse_wire_and_wait() {
    for file in ["src/main.rs", "src/bin/trigger.rs"] {
        let text = std::fs::read_to_string(root().join(file)).expect("text");
        assert!(text.lines().count() < 60, "{file}");
    }
}

#[test]
fn clients_are_made_in_one_place() {
    for (file, text) in sources("src") {
        let text = tokens(&product(&text));
        for constructor in [
            "Aws::from_environment",
            "Cognito::new",
            "MoveTasks::new",
            "PoolSettings::new",
            "ProfileTable::new",
            "Queue::new",
            "Queue::send_only",
            "SignIn::new",
            "TestProfiles::new",
        ] {
            let (client, function) = constructor.split_once("::").expect("a path");
            let is_called = text.windows(3).any(|it| it == [client, "::", function]);
            let at_home = file == "app.rs" || file.starts_with("aws/");
            assert!(at_home || !is_called, "{file} calls {constructor}");
        }
    }
}
