//! The rules of the source tree: dependencies, sizes, places.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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

/// The file without its unit tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// The modules that a module may import. `config` may import the pure event types and
/// the limits of the quota.
const MAY_IMPORT: [(&str, &[&str]); 21] = [
    ("config", &["event", "quota"]),
    ("quota", &[]),
    ("retry", &[]),
    ("shutdown", &[]),
    ("telemetry", &[]),
    ("event", &[]),
    ("reason", &[]),
    (
        "aws",
        &["config", "event", "quota", "reason", "retry", "telemetry"],
    ),
    ("message", &["aws", "event", "reason", "retry"]),
    ("provision", &["aws", "config", "event", "reason", "retry"]),
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
    ("reconcile", &["aws", "config", "event", "reason", "retry"]),
    (
        "worker",
        &[
            "app",
            "aws",
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
            "config",
            "event",
            "provision",
            "quota",
            "reason",
            "retry",
        ],
    ),
    (
        "trigger",
        &["aws", "config", "event", "provision", "telemetry"],
    ),
    (
        "http",
        &["admin", "aws", "config", "event", "provision", "telemetry"],
    ),
    (
        "dev",
        &["aws", "config", "event", "message", "provision", "trigger"],
    ),
    (
        "cli",
        &[
            "admin",
            "app",
            "attach",
            "aws",
            "config",
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
            "telemetry",
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
        assert!(
            !product(&text).contains("super::super::"),
            "{file} goes round the rule"
        );
        for named in product(&text).split("crate::").skip(1) {
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
            ("std::env::", &["config/"]),
            ("tokio::signal", &["shutdown.rs"]),
            ("use backoff", &["retry.rs"]),
            ("jsonwebtoken", &["admin/", "dev/"]),
            ("winterbaume", &["dev/"]),
            ("aws_smithy_", &["aws/"]),
            ("process::exit", &[]),
            ("tracing_subscriber", &["telemetry/"]),
            ("opentelemetry::", &["telemetry/"]),
            ("opentelemetry_", &["telemetry/"]),
            ("MultiProgress", &["telemetry/"]),
            ("lambda_runtime", &["bin/", "telemetry/", "trigger/"]),
        ] {
            let at_home = homes.iter().any(|home| file.starts_with(home));
            assert!(at_home || !text.contains(thing), "{file} touches {thing}");
        }
    }
}

#[test]
fn files_are_small() {
    let mut sizes: Vec<(usize, String)> = sources("src")
        .into_iter()
        .map(|(file, text)| (text.lines().count(), file))
        .collect();
    sizes.sort();
    let (median, _) = sizes[sizes.len() / 2];
    let (largest, file) = sizes.last().expect("files");
    assert!(median < 200, "median {median}");
    assert!(*largest <= 500, "{file} has {largest} lines");
}

#[test]
fn binaries_only_parse_wire_and_wait() {
    for file in ["src/main.rs", "src/bin/trigger.rs"] {
        let text = std::fs::read_to_string(root().join(file)).expect("text");
        assert!(text.lines().count() < 60, "{file}");
    }
}
