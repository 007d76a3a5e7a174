//! Whether a value is what a shape describes.

use serde_json::Value;

use super::table::{Kind, Model, Pattern, Shape};

/// One thing that is wrong with a value.
pub(super) struct Breach<'a> {
    pub(super) at: Vec<Step<'a>>,
    pub(super) what: What<'a>,
}

/// A step of the way from the whole to what is wrong.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Member(&'a str),
    /// The place in a list.
    Item(usize),
    Key(&'a str),
}

pub(super) enum What<'a> {
    /// A member that the structure does not have.
    Unknown,
    /// A required member is not there.
    Missing,
    /// The value, where AWS quotes it, and the constraint in AWS's words.
    Broken {
        value: Option<&'a Value>,
        constraint: String,
    },
}

/// A value somewhere is of another type of JSON. The text is AWS's, which reads no further.
pub(super) struct WrongType(pub(super) String);

/// Every breach of this shape in `value`. As in AWS, a member that is null is not there.
pub(super) fn breaches<'a>(
    model: &'a Model,
    shape: &'a str,
    value: &'a Value,
) -> Result<Vec<Breach<'a>>, WrongType> {
    let mut walk = Walk {
        model,
        at: Vec::new(),
        found: Vec::new(),
        wrong_type: None,
    };
    walk.value(shape, value);
    match walk.wrong_type {
        Some(text) => Err(WrongType(text)),
        None => Ok(walk.found),
    }
}

struct Walk<'a> {
    model: &'a Model,
    at: Vec<Step<'a>>,
    found: Vec<Breach<'a>>,
    wrong_type: Option<String>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, shape: &'a str, value: &'a Value) {
        let shape = &self.model.shapes[shape];
        for constraint in constraints(shape) {
            if !constraint.holds(value) {
                // Lists and maps are not quoted here: AWS does it in the notation of Java.
                let is_quoted = !shape.sensitive && (value.is_string() || value.is_number());
                self.note(What::Broken {
                    value: is_quoted.then_some(value),
                    constraint: constraint.text(&shape.kind),
                });
            }
        }
        self.inside(shape, value);
    }

    /// The type, and the parts of a value whose own constraints are checked.
    fn inside(&mut self, shape: &'a Shape, value: &'a Value) {
        match (&shape.kind, value) {
            (Kind::Structure { members, required }, Value::Object(given)) => {
                for name in required {
                    if given.get(name).is_none_or(Value::is_null) {
                        self.step(Step::Member(name), |walk| walk.note(What::Missing));
                    }
                }
                for (name, value) in given {
                    self.step(Step::Member(name), |walk| match members.get(name) {
                        _ if value.is_null() => {}
                        Some(shape) => walk.value(shape, value),
                        None => walk.note(What::Unknown),
                    });
                }
            }
            (Kind::List { member }, Value::Array(items)) => {
                let member = &self.model.shapes[member];
                self.each("Member", member, |one| {
                    items.iter().all(|item| one.holds(item))
                });
                for (n, item) in items.iter().enumerate() {
                    self.step(Step::Item(n + 1), |walk| walk.inside(member, item));
                }
            }
            (Kind::Map { key, value }, Value::Object(given)) => {
                let key = &self.model.shapes[key];
                let value = &self.model.shapes[value];
                self.each("Map keys", key, |one| {
                    given.keys().all(|key| one.holds_text(key))
                });
                self.each("Map value", value, |one| {
                    given.values().all(|item| one.holds(item))
                });
                for (key, item) in given {
                    self.step(Step::Key(key), |walk| walk.inside(value, item));
                }
            }
            (kind, value) => {
                self.wrong_type = self.wrong_type.take().or_else(|| mismatch(kind, value));
            }
        }
    }

    /// AWS finds fault with the list or the map, not with its entry, and names every
    /// constraint of entries.
    fn each(&mut self, what: &str, entry: &'a Shape, holds: impl Fn(Constraint<'a>) -> bool) {
        if constraints(entry).all(holds) {
            return;
        }
        let texts: Vec<String> = constraints(entry)
            .map(|constraint| constraint.text(&entry.kind))
            .collect();
        let constraint = format!("{what} must satisfy constraint: [{}]", texts.join(", "));
        let value = None;
        self.note(What::Broken { value, constraint });
    }

    fn step(&mut self, step: Step<'a>, then: impl FnOnce(&mut Self)) {
        self.at.push(step);
        then(self);
        self.at.pop();
    }

    fn note(&mut self, what: What<'a>) {
        let at = self.at.clone();
        self.found.push(Breach { at, what });
    }
}

#[derive(Clone, Copy)]
enum Constraint<'a> {
    AtMost(i64),
    AtLeast(i64),
    Matches(&'a Pattern),
    OneOf(&'a [String]),
}

/// In the order in which AWS names them.
fn constraints(shape: &Shape) -> impl Iterator<Item = Constraint<'_>> {
    let (pattern, values) = match &shape.kind {
        Kind::String { pattern, values } => (pattern.as_ref(), &values[..]),
        _ => (None, &[][..]),
    };
    [
        shape.max.map(Constraint::AtMost),
        shape.min.map(Constraint::AtLeast),
        pattern.map(Constraint::Matches),
        (!values.is_empty()).then_some(Constraint::OneOf(values)),
    ]
    .into_iter()
    .flatten()
}

impl Constraint<'_> {
    /// A value of another type breaks no constraint; it is of the wrong type.
    fn holds(self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.holds_text(text),
            Value::Number(number) => number.as_i64().is_none_or(|number| self.admits(number)),
            Value::Array(items) => self.admits(length(items.len())),
            Value::Object(members) => self.admits(length(members.len())),
            Value::Null | Value::Bool(_) => true,
        }
    }

    fn holds_text(self, text: &str) -> bool {
        match self {
            Self::Matches(pattern) => pattern.matches(text),
            Self::OneOf(values) => values.iter().any(|value| value == text),
            Self::AtMost(_) | Self::AtLeast(_) => self.admits(length(text.chars().count())),
        }
    }

    fn admits(self, size: i64) -> bool {
        match self {
            Self::AtMost(most) => size <= most,
            Self::AtLeast(least) => size >= least,
            Self::Matches(_) | Self::OneOf(_) => true,
        }
    }

    fn text(self, kind: &Kind) -> String {
        let size = if kind.is_number() { "value" } else { "length" };
        match self {
            Self::AtMost(most) => format!("Member must have {size} less than or equal to {most}"),
            Self::AtLeast(least) => {
                format!("Member must have {size} greater than or equal to {least}")
            }
            Self::Matches(pattern) => format!(
                "Member must satisfy regular expression pattern: {}",
                pattern.text
            ),
            Self::OneOf(values) => {
                format!(
                    "Member must satisfy enum value set: [{}]",
                    values.join(", ")
                )
            }
        }
    }
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What AWS says of a value that is not of this kind.
fn mismatch(kind: &Kind, value: &Value) -> Option<String> {
    let (fits, name) = match kind {
        Kind::Structure { .. } | Kind::Map { .. } => (value.is_object(), None),
        Kind::List { .. } => (value.is_array(), None),
        Kind::String { .. } => (value.is_string(), Some("String")),
        Kind::Blob => (value.is_string(), Some("Blob")),
        Kind::Boolean => (value.is_boolean(), Some("Boolean")),
        // A fraction, or a number outside of 64 bits, is of another type.
        Kind::Integer => (value.is_i64(), Some("Integer")),
        Kind::Long => (value.is_i64(), Some("Long")),
    };
    if fits {
        return None;
    }
    let found = match value {
        Value::Object(_) => {
            return Some("Start of structure or map found where not expected".into());
        }
        Value::Array(_) => return Some("Start of list found where not expected".into()),
        Value::String(_) => "STRING_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Null => "NULL_VALUE",
    };
    Some(match name {
        Some(name) => format!("{found} cannot be converted to {name}"),
        None => "Unexpected field type".to_owned(),
    })
}
