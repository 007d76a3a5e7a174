//! The pages of `docs/reference` that are written from the program. The test fails when a
//! page is not current and says how to replace it.

mod help;
mod watching;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use clap::{Command, CommandFactory};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::Cli;
use crate::config::DEFAULTS;
use crate::event::Malformed;
use crate::reason::REASONS;
use crate::telemetry::metrics::describe;

const NOTE: &str =
    "<!-- Generated from the program. CONTRIBUTING.md says how to write it again. -->";

#[test]
fn reference_pages_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let written = root.join("target/reference");
    std::fs::create_dir_all(&written).expect("target can be written");
    let pages = [
        ("commands.md", commands()),
        ("configuration.md", configuration()),
        ("metrics.md", metrics()),
        ("reasons.md", reasons()),
    ];
    let mut outdated = Vec::new();
    for (name, page) in pages {
        std::fs::write(written.join(name), &page).expect("a page can be written");
        let current = std::fs::read_to_string(root.join("docs/reference").join(name));
        if current.ok().as_deref() != Some(&*page) {
            outdated.push(name);
        }
    }
    assert!(
        outdated.is_empty(),
        "{outdated:?} differ from the program: cp target/reference/*.md docs/reference/"
    );
}

/// The long help of each command, as a terminal of 100 columns shows it.
fn commands() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = format!(
        "# Commands\n\n{NOTE}\n\nResults go to standard output, logs to standard error. Every \
         command takes the options of `usher` itself.\n"
    );
    section(&mut page, &root, "usher");
    page
}

fn section(page: &mut String, command: &Command, name: &str) {
    let shown = if name == "usher" {
        command.clone()
    } else {
        // The first section has the options that every command takes.
        command.clone().mut_args(|arg| {
            let is_global = arg.is_global_set();
            arg.hide(is_global)
        })
    };
    let help = shown.term_width(100).render_long_help().to_string();
    let _ = write!(page, "\n## {name}\n\n```text\n");
    for line in help.trim_end().lines() {
        let _ = writeln!(page, "{}", line.trim_end());
    }
    page.push_str("```\n");
    for inner in command.get_subcommands() {
        if inner.get_name() != "help" {
            section(page, inner, &format!("{name} {}", inner.get_name()));
        }
    }
}

/// An index of all keys, and below it the sections of the file with its comments.
fn configuration() -> String {
    let (head, sections) = sections_of(DEFAULTS);
    let mut page = format!("# Configuration\n\n{NOTE}\n\n");
    let head = head.trim_start_matches("#:schema ./usher.schema.json\n\n");
    for paragraph in head.split("\n#\n") {
        let lines: Vec<&str> = paragraph
            .lines()
            .map(|line| line.trim_start_matches('#').trim())
            .collect();
        let _ = writeln!(page, "{}\n", escaped(&lines.join("\n")));
    }
    page.push_str("| key | default | environment variable |\n|---|---|---|\n");
    let defaults: toml::Table = DEFAULTS.parse().expect("the defaults are TOML");
    for (section, values) in &defaults {
        for (key, value) in values.as_table().expect("every key is in a section") {
            let anchor = format!("#{section}");
            let default = match value {
                toml::Value::Table(_) => "see there".to_owned(),
                toml::Value::String(text) if text.contains('\n') => "see there".to_owned(),
                value => format!("`{value}`"),
            };
            let variable = if value.is_table() || (section == "groups" && key == "rules") {
                "only in a file".to_owned()
            } else {
                format!("`USHER_{}__{}`", section.to_uppercase(), key.to_uppercase())
            };
            let _ = writeln!(
                page,
                "| [`{section}.{key}`]({anchor}) | {default} | {variable} |"
            );
        }
    }
    for (name, text) in sections {
        let _ = write!(page, "\n## {name}\n\n```toml\n{}\n```\n", text.trim_end());
    }
    page
}

/// The comment at the top, and the text of each top-level section.
fn sections_of(file: &str) -> (String, Vec<(String, String)>) {
    let mut head = String::new();
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in file.lines() {
        let name = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'));
        if let Some(name) = name.filter(|name| !name.contains('.')) {
            sections.push((name.to_owned(), String::new()));
        }
        let text = sections.last_mut().map_or(&mut head, |(_, text)| text);
        text.push_str(line);
        text.push('\n');
    }
    (head.trim_end().to_owned(), sections)
}

#[derive(Default)]
struct Descriptions(Mutex<BTreeMap<String, (&'static str, String)>>);

impl Descriptions {
    fn add(&self, name: &KeyName, kind: &'static str, description: &SharedString) {
        self.0
            .lock()
            .expect("no test panics here")
            .insert(name.as_str().to_owned(), (kind, description.to_string()));
    }
}

impl Recorder for Descriptions {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.add(&name, "counter", &description);
    }
    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.add(&name, "gauge", &description);
    }
    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.add(&name, "histogram", &description);
    }
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn metrics() -> String {
    let recorder = Arc::new(Descriptions::default());
    metrics::with_local_recorder(&*recorder, describe);
    let described = recorder.0.lock().expect("no test panics here");
    for name in metrics_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        assert!(described.contains_key(&name), "{name} has no description");
    }
    let mut page = format!(
        "# Metrics\n\n{NOTE}\n\n`/metrics` of `http.listen` serves these metrics for Prometheus. \
         [Monitor it](../guide/monitoring.md) has those for CloudWatch.\n\n\
         | metric | type | meaning |\n|---|---|---|\n"
    );
    for (name, (kind, description)) in described.iter() {
        let _ = writeln!(page, "| `{name}` | {kind} | {description} |");
    }
    page
}

/// The names of all metrics that the source in this folder counts.
fn metrics_in(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the source can be read") {
        let path = entry.expect("the source can be read").path();
        if path.is_dir() {
            names.extend(metrics_in(&path));
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("the source can be read");
        for call in ["counter!(", "gauge!(", "histogram!("] {
            for after in source.split(&format!("metrics::{call}")).skip(1) {
                let name = after.trim_start().strip_prefix('"');
                let name = name.and_then(|name| name.split_once('"'));
                names.extend(name.map(|(name, _)| name.to_owned()));
            }
        }
    }
    names
}

fn reasons() -> String {
    let mut page = format!(
        "# Reasons\n\n{NOTE}\n\nA reason says why a message is retried or became a dead letter, or \
         why a command failed. A reason that is not listed is an error code of AWS, in lower case \
         with underscores.\n\n| reason | meaning |\n|---|---|\n"
    );
    let mut rows: BTreeMap<&str, String> = REASONS
        .iter()
        .map(|(reason, meaning)| (*reason, (*meaning).to_owned()))
        .collect();
    for malformed in Malformed::ALL {
        rows.insert(malformed.code(), malformed.to_string());
    }
    for (reason, meaning) in rows {
        let _ = writeln!(page, "| `{reason}` | {} |", escaped(&meaning));
    }
    page
}

/// Text in which Markdown sees no HTML and no table.
fn escaped(text: &str) -> String {
    text.replace('<', "&lt;").replace('|', "\\|")
}
