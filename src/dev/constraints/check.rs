//! Checks a value against a shape of a model.

use serde_json::Value;

use super::table::{Model, Pattern, Shape, ShapeKind};

/// One constraint that a value breaks, and its path.
pub(super) struct ConstraintViolation<'a> {
    pub(super) path: Vec<PathSegment<'a>>,
    pub(super) kind: ViolationKind<'a>,
}

/// A step of the path from the whole value to the invalid part.
#[derive(Clone, Copy)]
pub(super) enum PathSegment<'a> {
    Member(&'a str),
    /// The position in a list, from 1.
    Item(usize),
    Key(&'a str),
}

pub(super) enum ViolationKind<'a> {
    /// A member that the structure does not have.
    UnknownMember,
    /// A required member is missing or null.
    MissingMember,
    /// The value, where AWS quotes it, and the constraint in AWS's words.
    Unsatisfied {
        value: Option<&'a Value>,
        constraint: String,
    },
}

/// A value has the wrong JSON type. The text is AWS's, which stops at this error.
pub(super) struct WrongType(pub(super) String);

/// Every violation of this shape in `value`. As in AWS, a null member counts as missing.
pub(super) fn violations<'a>(
    model: &'a Model,
    shape: &'a str,
    value: &'a Value,
) -> Result<Vec<ConstraintViolation<'a>>, WrongType> {
    let mut validator = ShapeValidator {
        model,
        path: Vec::new(),
        violations: Vec::new(),
        wrong_type: None,
    };
    validator.check_value(shape, value);
    match validator.wrong_type {
        Some(text) => Err(WrongType(text)),
        None => Ok(validator.violations),
    }
}

struct ShapeValidator<'a> {
    model: &'a Model,
    path: Vec<PathSegment<'a>>,
    violations: Vec<ConstraintViolation<'a>>,
    wrong_type: Option<String>,
}

impl<'a> ShapeValidator<'a> {
    fn check_value(&mut self, shape: &'a str, value: &'a Value) {
        let shape = &self.model.shapes[shape];
        for constraint in constraints(shape) {
            if !constraint.accepts(value) {
                // Lists and maps are not quoted here: AWS quotes them in Java's notation.
                let is_quoted = !shape.sensitive && (value.is_string() || value.is_number());
                self.add_violation(ViolationKind::Unsatisfied {
                    value: is_quoted.then_some(value),
                    constraint: constraint.message(&shape.kind),
                });
            }
        }
        self.check_contents(shape, value);
    }

    /// Checks the type of a value, and the constraints of its parts.
    fn check_contents(&mut self, shape: &'a Shape, value: &'a Value) {
        match (&shape.kind, value) {
            (ShapeKind::Structure { members, required }, Value::Object(given)) => {
                for name in required {
                    if given.get(name).is_none_or(Value::is_null) {
                        self.with_segment(PathSegment::Member(name), |validator| {
                            validator.add_violation(ViolationKind::MissingMember);
                        });
                    }
                }
                for (name, value) in given {
                    self.with_segment(PathSegment::Member(name), |validator| {
                        match members.get(name) {
                            _ if value.is_null() => {}
                            Some(shape) => validator.check_value(shape, value),
                            None => validator.add_violation(ViolationKind::UnknownMember),
                        }
                    });
                }
            }
            (ShapeKind::List { member }, Value::Array(items)) => {
                let member = &self.model.shapes[member];
                self.check_entries("Member", member, |constraint| {
                    items.iter().all(|item| constraint.accepts(item))
                });
                for (n, item) in items.iter().enumerate() {
                    self.with_segment(PathSegment::Item(n + 1), |validator| {
                        validator.check_contents(member, item);
                    });
                }
            }
            (ShapeKind::Map { key, value }, Value::Object(given)) => {
                let key = &self.model.shapes[key];
                let value = &self.model.shapes[value];
                self.check_entries("Map keys", key, |constraint| {
                    given.keys().all(|key| constraint.accepts_text(key))
                });
                self.check_entries("Map value", value, |constraint| {
                    given.values().all(|item| constraint.accepts(item))
                });
                for (key, item) in given {
                    self.with_segment(PathSegment::Key(key), |validator| {
                        validator.check_contents(value, item);
                    });
                }
            }
            (kind, value) => {
                self.wrong_type = self
                    .wrong_type
                    .take()
                    .or_else(|| type_mismatch(kind, value));
            }
        }
    }

    /// AWS reports the list or the map, not the entry, and names every constraint of
    /// entries.
    fn check_entries(
        &mut self,
        subject: &str,
        entry: &'a Shape,
        holds: impl Fn(Constraint<'a>) -> bool,
    ) {
        if constraints(entry).all(holds) {
            return;
        }
        let texts: Vec<String> = constraints(entry)
            .map(|constraint| constraint.message(&entry.kind))
            .collect();
        let constraint = format!("{subject} must satisfy constraint: [{}]", texts.join(", "));
        let value = None;
        self.add_violation(ViolationKind::Unsatisfied { value, constraint });
    }

    fn with_segment(&mut self, segment: PathSegment<'a>, check: impl FnOnce(&mut Self)) {
        self.path.push(segment);
        check(self);
        self.path.pop();
    }

    fn add_violation(&mut self, kind: ViolationKind<'a>) {
        let path = self.path.clone();
        self.violations.push(ConstraintViolation { path, kind });
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
        ShapeKind::String { pattern, values } => (pattern.as_ref(), &values[..]),
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
    /// A value of another type breaks no constraint; `type_mismatch` reports it.
    fn accepts(self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.accepts_text(text),
            Value::Number(number) => number
                .as_i64()
                .is_none_or(|number| self.accepts_size(number)),
            Value::Array(items) => self.accepts_size(to_i64(items.len())),
            Value::Object(members) => self.accepts_size(to_i64(members.len())),
            Value::Null | Value::Bool(_) => true,
        }
    }

    fn accepts_text(self, text: &str) -> bool {
        match self {
            Self::Matches(pattern) => pattern.matches(text),
            Self::OneOf(values) => values.iter().any(|value| value == text),
            Self::AtMost(_) | Self::AtLeast(_) => self.accepts_size(to_i64(text.chars().count())),
        }
    }

    fn accepts_size(self, size: i64) -> bool {
        match self {
            Self::AtMost(max) => size <= max,
            Self::AtLeast(min) => size >= min,
            Self::Matches(_) | Self::OneOf(_) => true,
        }
    }

    fn message(self, kind: &ShapeKind) -> String {
        let size = if kind.is_number() { "value" } else { "length" };
        match self {
            Self::AtMost(max) => format!("Member must have {size} less than or equal to {max}"),
            Self::AtLeast(min) => {
                format!("Member must have {size} greater than or equal to {min}")
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

fn to_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// AWS's message for a value that is not of this kind.
fn type_mismatch(kind: &ShapeKind, value: &Value) -> Option<String> {
    let (fits, name) = match kind {
        ShapeKind::Structure { .. } | ShapeKind::Map { .. } => (value.is_object(), None),
        ShapeKind::List { .. } => (value.is_array(), None),
        ShapeKind::String { .. } => (value.is_string(), Some("String")),
        ShapeKind::Blob => (value.is_string(), Some("Blob")),
        ShapeKind::Boolean => (value.is_boolean(), Some("Boolean")),
        // A fraction, or a number outside of 64 bits, is of another type.
        ShapeKind::Integer => (value.is_i64(), Some("Integer")),
        ShapeKind::Long => (value.is_i64(), Some("Long")),
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
