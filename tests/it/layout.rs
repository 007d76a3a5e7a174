//! The rules of the source tree: dependencies, sizes, places.

use std::collections::{BTreeMap, BTreeSet};
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
            ("std::env::", &["config/"]),
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
            ("lambda_runtime", &["bin/", "telemetry/", "trigger/"]),
        ] {
            let at_home = homes.iter().any(|home| file.starts_with(home));
            assert!(at_home || !text.contains(thing), "{file} touches {thing}");
        }
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    for (file, text) in sources("src") {
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

/// Words and punctuation of a source, without comments and literals.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, what: &str| {
        let mut rest = chars[at..].iter();
        what.chars().all(|c| rest.next() == Some(&c))
    };
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
        if starts(at, "//") {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if chars[at] == 'r' && chars.get(at + 1 + hashes) == Some(&'"') {
            let end = format!("\"{}", "#".repeat(hashes));
            at += 2 + hashes;
            while !starts(at, &end) {
                at += 1;
            }
            at += end.len();
        } else if chars[at] == '"' || (chars[at] == '\'' && is_char_literal(&chars[at..])) {
            let quote = chars[at];
            at += 1;
            while chars[at] != quote {
                at += 1 + usize::from(chars[at] == '\\');
            }
            at += 1;
        } else if is_word(&chars[at]) {
            let word: String = chars[at..]
                .iter()
                .copied()
                .take_while(|c| is_word(c))
                .collect();
            at += word.chars().count();
            found.push(word);
        } else if starts(at, "::") {
            found.push("::".to_owned());
            at += 2;
        } else {
            if !chars[at].is_whitespace() {
                found.push(chars[at].to_string());
            }
            at += 1;
        }
    }
    found
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

/// Whether the quote does not begin a lifetime.
fn is_char_literal(text: &[char]) -> bool {
    text.get(1) == Some(&'\\') || text.get(2) == Some(&'\'')
}

type ModulePath = Vec<String>;

/// What one file defines and names.
#[derive(Default)]
struct Names {
    module: ModulePath,
    defined: BTreeSet<String>,
    /// Each imported name or child module with its path, and whether it is only exported.
    imported: BTreeMap<String, (ModulePath, bool)>,
    /// Paths outside of imports.
    used: BTreeSet<ModulePath>,
}

impl Names {
    fn read(file: &str, text: &str) -> Self {
        let mut module: ModulePath = file
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        module.retain(|part| part != "mod" && part != "lib");
        let mut names = Self {
            module,
            ..Self::default()
        };
        let tokens = tokens(&product(text));
        let mut depth = 0;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let next = tokens.get(at + 1).cloned().unwrap_or_default();
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "use" => {
                    let is_exported = at > 0 && ["pub", ")"].contains(&tokens[at - 1].as_str());
                    at = names.read_use(&tokens, at + 1, &[], is_exported);
                    continue;
                }
                "mod" => {
                    let path = [names.module.clone(), vec![next.clone()]].concat();
                    names.imported.insert(next, (path, true));
                }
                "struct" | "enum" | "trait" | "type" | "const" | "static" | "fn" if depth == 0 => {
                    names.defined.insert(next);
                }
                word if word.starts_with(|c: char| c.is_alphabetic()) => {
                    let mut path = vec![word.to_owned()];
                    while tokens.get(at + 1).is_some_and(|next| next == "::")
                        && tokens
                            .get(at + 2)
                            .is_some_and(|next| next != "<" && next != "{")
                    {
                        path.push(tokens[at + 2].clone());
                        at += 2;
                    }
                    names.used.insert(path);
                }
                _ => {}
            }
            at += 1;
        }
        names
    }

    /// Reads an import tree from `at`, and returns where it ends.
    fn read_use(
        &mut self,
        tokens: &[String],
        mut at: usize,
        prefix: &[String],
        is_exported: bool,
    ) -> usize {
        let mut path = prefix.to_vec();
        let mut is_module = false;
        loop {
            match tokens[at].as_str() {
                "::" => at += 1,
                "{" => {
                    while tokens[at] != "}" {
                        at = self.read_use(tokens, at + 1, &path, is_exported);
                    }
                    return at + 1;
                }
                "as" | "," | "}" | ";" => break,
                "self" if !path.is_empty() => {
                    is_module = true;
                    at += 1;
                }
                word => {
                    path.push(word.to_owned());
                    at += 1;
                }
            }
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if tokens[at] == "as" {
            name.clone_from(&tokens[at + 1]);
            at += 2;
        }
        if path.len() > prefix.len() || is_module {
            self.imported.insert(name, (path, is_exported));
        }
        at
    }

    /// The path from the root of the crate; `None` for another crate's.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let outer = path.iter().take_while(|part| *part == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([&self.module[..], &path[1..]].concat()),
            "super" => {
                let parent = self.module.len().checked_sub(outer)?;
                Some([&self.module[..parent], &path[outer..]].concat())
            }
            name => {
                let (imported, _) = self.imported.get(name)?;
                let child = [&self.module[..], &[name.to_owned()]].concat();
                let imported = if *imported == child {
                    child
                } else if imported.first()? == name {
                    return None;
                } else {
                    self.absolute(imported)?
                };
                Some([&imported[..], &path[1..]].concat())
            }
        }
    }
}

/// The file that defines what a path from the root names; `None` for a module.
fn definition(files: &BTreeMap<String, Names>, path: &[String], depth: u32) -> Option<String> {
    let of = |module: &[String]| files.iter().find(|(_, names)| names.module == module);
    let (length, (file, names)) = (0..=path.len())
        .rev()
        .find_map(|length| Some((length, of(&path[..length])?)))?;
    let name = path.get(length)?;
    if names.defined.contains(name) {
        return Some(file.clone());
    }
    if depth == 0 || !names.imported.contains_key(name) {
        return None;
    }
    let path = names.absolute(&path[length..])?;
    definition(files, &path, depth - 1)
}

#[test]
fn no_two_files_name_each_other() {
    let files: BTreeMap<String, Names> = sources("src")
        .into_iter()
        .filter(|(file, _)| !file.contains("tests") && !file.starts_with("bin/"))
        .map(|(file, text)| (file.clone(), Names::read(&file, &text)))
        .collect();
    let mut arrows = BTreeSet::new();
    for (file, names) in &files {
        let imports = names.imported.iter().filter(|(_, (_, exported))| !exported);
        let imports = imports.map(|(name, _)| vec![name.clone()]);
        for path in names.used.iter().cloned().chain(imports) {
            let path = names.absolute(&path);
            let target = path.and_then(|path| definition(&files, &path, 4));
            arrows.extend(target.map(|target| (file.clone(), target)));
        }
    }
    assert!(arrows.len() > 500, "{} arrows", arrows.len());
    let circles: Vec<String> = arrows
        .iter()
        .filter(|(from, to)| from < to && arrows.contains(&(to.clone(), from.clone())))
        .map(|(from, to)| format!("{from} <-> {to}"))
        .collect();
    assert!(circles.is_empty(), "{circles:?}");
}
