//! Templates for the attributes of a profile and for mails.

use std::collections::BTreeMap;

use toml::Value;

use super::reader::Reader;

/// Text with fields, such as `{sub}::{username}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Text(String),
    /// Its name, without the braces.
    Field(String),
}

impl Template {
    /// Reads a template; `{{` and `}}` stand for plain braces.
    ///
    /// # Errors
    /// The rule that the text breaks, for a [`Violation`](super::Violation).
    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut text = String::new();
        let misspelt_error = || format!("{source:?}: a field is written {{name}}");
        let mut rest = source.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek() == Some(&c) => {
                    rest.next();
                    text.push(c);
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some(c) if c != '{' => name.push(c),
                            _ => return Err(misspelt_error()),
                        }
                    }
                    if name.is_empty() {
                        return Err(misspelt_error());
                    }
                    if !text.is_empty() {
                        segments.push(Segment::Text(std::mem::take(&mut text)));
                    }
                    segments.push(Segment::Field(name));
                }
                '}' => return Err(format!("{source:?}: a plain brace is written }}}}")),
                c => text.push(c),
            }
        }
        if !text.is_empty() {
            segments.push(Segment::Text(text));
        }
        Ok(Self { segments })
    }
}

pub(super) fn read_attributes(
    read: &mut Reader<'_>,
    table_key: &str,
) -> BTreeMap<String, Template> {
    const ATTRIBUTES_KEY: &str = "profiles.attributes";
    let mut attributes = BTreeMap::new();
    let Some(table) = read.value(ATTRIBUTES_KEY).and_then(Value::as_table) else {
        read.reject(
            ATTRIBUTES_KEY,
            "must be a table of attribute = \"template\"",
        );
        return attributes;
    };
    for (name, value) in table {
        if name == table_key {
            read.reject(
                ATTRIBUTES_KEY,
                format!("{name} is the table's key; its value is always the sub"),
            );
            continue;
        }
        if name.is_empty() {
            read.reject(ATTRIBUTES_KEY, "an attribute has a name");
            continue;
        }
        match value.as_str().map(Template::parse) {
            Some(Ok(template)) => {
                attributes.insert(name.clone(), template);
            }
            Some(Err(error)) => read.reject(ATTRIBUTES_KEY, format!("{name}: {error}")),
            None => read.reject(ATTRIBUTES_KEY, format!("{name} must be a string")),
        }
    }
    attributes
}
