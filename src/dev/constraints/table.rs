//! The tables: AWS's own models of the requests of each operation.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use regex::{Captures, Regex};
use serde::Deserialize;

/// Written by `tests/model/run --write`, and compared with AWS's models by `.ci/run model`.
const REQUEST_MODELS: &str = include_str!("table.json");
/// Values that no model of AWS describes but Cognito checks: responses of triggers, the name
/// of a sign-in, and the password that a user chooses. It uses the shapes of Cognito's model.
///
/// It replaces `PasswordType`, which allows no space in a password. Cognito refuses a space
/// only at either end, and counts one inside as a symbol.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/managing-users-passwords.html>
const UNMODELLED_SHAPES: &str = include_str!("unmodelled.json");

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables: Tables = serde_json::from_str(REQUEST_MODELS).expect("a table of requests");
    let more: HashMap<String, Shape> = serde_json::from_str(UNMODELLED_SHAPES).expect("shapes");
    tables.services.cognito.shapes.extend(more);
    tables
});

#[derive(Deserialize)]
struct Tables {
    services: ServiceModels,
}

#[derive(Deserialize)]
struct ServiceModels {
    #[serde(rename = "cognito-idp")]
    cognito: Model,
    dynamodb: Model,
    sqs: Model,
}

/// The requests that one service takes.
#[derive(Deserialize)]
pub(super) struct Model {
    /// The shape of each operation's request.
    pub(super) operations: HashMap<String, String>,
    /// Every shape that these requests contain.
    pub(super) shapes: HashMap<String, Shape>,
}

#[derive(Deserialize)]
pub(super) struct Shape {
    #[serde(flatten)]
    pub(super) kind: ShapeKind,
    /// Bounds a number, a text's characters, or the entries of a list or a map.
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    /// AWS does not quote the value in errors.
    #[serde(default)]
    pub(super) sensitive: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum ShapeKind {
    /// Members by name, each with its shape.
    Structure {
        members: HashMap<String, String>,
        #[serde(default)]
        required: Vec<String>,
    },
    List {
        member: String,
    },
    Map {
        key: String,
        value: String,
    },
    String {
        pattern: Option<Pattern>,
        #[serde(default, rename = "enum")]
        values: Vec<String>,
    },
    Blob,
    Boolean,
    Integer,
    Long,
}

impl ShapeKind {
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Integer | Self::Long)
    }
}

/// A pattern that must match the whole text. It is compiled at first use.
#[derive(Deserialize)]
#[serde(from = "String")]
pub(super) struct Pattern {
    pub(super) text: String,
    compiled: OnceLock<Regex>,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        let compiled = OnceLock::new();
        Self { text, compiled }
    }
}

impl Pattern {
    pub(super) fn matches(&self, text: &str) -> bool {
        self.compiled
            .get_or_init(|| Regex::new(&to_rust_regex(&self.text)).expect("a pattern of AWS"))
            .is_match(text)
    }
}

/// A class, an escape, or a `.` outside of both, which stands for any character.
static DOT_OR_CLASS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[(?:\\.|[^\\\]])*\]|\\.|\.").expect("a pattern"));

/// Java's classes are ASCII, those of `regex` are Unicode. Java's `.` matches none of five
/// line terminators.
fn to_rust_regex(pattern: &str) -> String {
    let any = if pattern.starts_with("(?s)") {
        "."
    } else {
        r"[^\n\r\x{85}\x{2028}\x{2029}]"
    };
    let pattern = DOT_OR_CLASS
        .replace_all(pattern, |found: &Captures<'_>| match &found[0] {
            "." => any.to_owned(),
            other => other.to_owned(),
        })
        .replace(r"\w", "[0-9A-Za-z_]")
        .replace(r"\s", r"[\t\n\x0B\f\r ]")
        .replace(r"\S", r"[^\t\n\x0B\f\r ]");
    format!(r"\A(?:{pattern})\z")
}

pub(super) fn cognito() -> &'static Model {
    &TABLES.services.cognito
}

pub(super) fn dynamodb() -> &'static Model {
    &TABLES.services.dynamodb
}

pub(super) fn sqs() -> &'static Model {
    &TABLES.services.sqs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_named_shapes_exist_and_all_patterns_compile() {
        for model in [cognito(), dynamodb(), sqs()] {
            let mut named: Vec<&String> = model.operations.values().collect();
            for shape in model.shapes.values() {
                match &shape.kind {
                    ShapeKind::Structure { members, required } => {
                        named.extend(members.values());
                        assert!(required.iter().all(|name| members.contains_key(name)));
                    }
                    ShapeKind::List { member } => named.push(member),
                    ShapeKind::Map { key, value } => named.extend([key, value]),
                    ShapeKind::String {
                        pattern: Some(pattern),
                        ..
                    } => {
                        pattern.matches("");
                    }
                    _ => {}
                }
            }
            for name in named {
                assert!(model.shapes.contains_key(name), "{name}");
            }
        }
    }

    #[test]
    fn pattern_matches_the_whole_text_with_ascii_classes() {
        let matches = |pattern: &str, text| Pattern::from(pattern.to_owned()).matches(text);
        assert!(matches("[0-9]+", "12"));
        assert!(!matches("[0-9]+", "12\n"));
        assert!(!matches("a|b", "ab"));
        assert!(matches(r"[\w-]+_[0-9a-zA-Z]+", "us-east-1_A"));
        assert!(!matches(r"[\w-]+_[0-9a-zA-Z]+", "üs-east-1_A"));
        assert!(matches(r"[\s]", "\u{b}"));
        assert!(!matches(r"[\s]", "\u{a0}"));
        assert!(matches(r"[\S]+", "\u{a0}"));
        assert!(!matches(r"[\S]+", "a b"));
        assert!(matches(r"[\p{L}\p{M}]+", "éx"));
    }

    #[test]
    fn a_dot_matches_no_line_terminator() {
        let matches = |pattern: &str, text: &str| Pattern::from(pattern.to_owned()).matches(text);
        for end in ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"] {
            let text = format!("a{end}b");
            assert!(!matches("a.b", &text), "{end:?}");
            assert!(matches("(?s)a.b", &text), "{end:?}");
        }
        assert!(matches("a.b", "a b"));
        assert!(!matches(r"a\.b", "a b"));
        assert!(!matches(r"a[\].]b", "a b"));
        assert!(matches(r"a[\].]b", "a.b"));
    }
}
