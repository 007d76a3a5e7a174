//! A TOML document as flat settings, each with its line.

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};
use toml::{Spanned, Value};

/// A table or a list of tables under one of these keys is one value.
pub(super) const WHOLE_VALUE_KEYS: [&str; 2] = ["groups.rules", "profiles.attributes"];

pub(super) struct Entry {
    /// With dots, such as `queue.url`.
    pub(super) key: String,
    /// An empty table is a value as well, so that its name is checked.
    pub(super) value: Value,
    pub(super) line: usize,
}

/// Why a document cannot be read.
pub(super) struct Unreadable {
    /// `None` if no line is at fault.
    pub(super) line: Option<usize>,
    pub(super) rule: String,
}

/// Each value of a document.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Unreadable> {
    // A deployment that fails half-way leaves an empty file.
    if text.trim().is_empty() {
        return Err(Unreadable {
            line: None,
            rule: "is empty".to_owned(),
        });
    }
    let mut entries = Vec::new();
    DeTable::parse(text)
        .and_then(|table| add_entries(text, "", table.into_inner(), &mut entries))
        .map_err(|error| Unreadable {
            line: Some(error.span().map_or(1, |span| line_at(text, span.start))),
            // Without the snippet of the toml crate, which may hold a value.
            rule: format!("is not TOML: {}", error.message()),
        })?;
    Ok(entries)
}

fn add_entries(
    text: &str,
    prefix: &str,
    table: DeTable<'_>,
    entries: &mut Vec<Entry>,
) -> Result<(), Error> {
    for (name, value) in table {
        let line = line_at(text, name.span().start);
        let name = name.into_inner();
        let key = if prefix.is_empty() {
            name.into_owned()
        } else {
            format!("{prefix}.{name}")
        };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(inner)
                if !inner.is_empty() && !WHOLE_VALUE_KEYS.contains(&key.as_str()) =>
            {
                add_entries(text, &key, inner, entries)?;
            }
            value => {
                let value = Value::deserialize(ValueDeserializer::from(Spanned::new(span, value)))?;
                entries.push(Entry { key, value, line });
            }
        }
    }
    Ok(())
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|byte| *byte == b'\n').count()
}
