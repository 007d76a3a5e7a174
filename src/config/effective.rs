//! The effective settings as people read them: with their sources, and without secrets.

use serde::Serialize;
use toml::Value;

use super::layers::Layers;
use super::reader::redact;

/// A key with its effective value.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EffectiveSetting {
    pub(crate) key: String,
    /// Where the value comes from, in words.
    pub(crate) source: String,
    /// As a file would hold it.
    pub(crate) value: Value,
    /// Whether nothing changes the default.
    #[serde(skip)]
    pub(crate) is_default: bool,
}

impl Layers {
    /// Each key, sorted.
    pub(crate) fn effective(&self) -> Vec<EffectiveSetting> {
        let defaults = Self::defaults();
        let settings = self.settings().zip(defaults.settings());
        let effective = settings.map(|((key, setting), (_, default))| EffectiveSetting {
            key: key.to_owned(),
            source: setting.source.to_string(),
            value: redact(key, &with_type_of(&default.value, &setting.value)),
            is_default: setting.source.is_default(),
        });
        effective.collect()
    }
}

/// The value of a variable or flag, which is text, as a file would hold it.
fn with_type_of(default: &Value, value: &Value) -> Value {
    let Value::String(text) = value else {
        return value.clone();
    };
    let typed = match default {
        Value::Array(_) => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Some(Value::Array(
                items.map(|item| Value::String(item.to_owned())).collect(),
            ))
        }
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Float(_) => text.parse().ok().map(Value::Float),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        _ => None,
    };
    typed.unwrap_or_else(|| value.clone())
}
