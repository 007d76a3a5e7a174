//! A JSON object whose members are parsed separately.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The members of a JSON object, each as its JSON text. One member that cannot be read (a
/// lone surrogate, a number out of range) must not hide the others: the sign-up would be
/// lost silently.
#[derive(Default)]
pub(super) struct RawObject<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> RawObject<'a> {
    /// Has no members if the value is not an object; Cognito sends only objects.
    pub(super) fn parse(value: &'a RawValue) -> Self {
        Self(serde_json::from_str(value.get()).unwrap_or_default())
    }

    pub(super) fn object(&self, name: &str) -> RawObject<'a> {
        self.0
            .get(name)
            .map(|value| RawObject::parse(value))
            .unwrap_or_default()
    }

    /// The object's text with this value under `name`. The text of every other member is
    /// unchanged.
    pub(super) fn with(&self, name: &str, value: &RawValue) -> Option<Box<RawValue>> {
        let mut members = self.0.clone();
        members.insert(name.to_owned(), value);
        serde_json::value::to_raw_value(&members).ok()
    }

    /// The object's text without this member, or `None` if it is absent. The text of every
    /// other member is unchanged.
    pub(super) fn without(&self, name: &str) -> Option<Box<RawValue>> {
        let mut members = self.0.clone();
        members.remove(name)?;
        serde_json::value::to_raw_value(&members).ok()
    }

    /// Strings as they are, other values as JSON; `null` and unreadable ones are skipped.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().filter_map(|(name, value)| {
            let text = match serde_json::from_str(value.get()).ok()? {
                serde_json::Value::String(text) => text,
                serde_json::Value::Null => return None,
                other => other.to_string(),
            };
            Some((name.as_str(), text))
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    /// A member that is a string and not empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text: String = serde_json::from_str(self.0.get(name)?.get()).ok()?;
        (!text.is_empty()).then_some(text)
    }
}
