//! The layers of a configuration: defaults, file, environment, flags. Each value has a source.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use toml::{Table, Value};

use super::violation::{ConfigSource, Violation};

/// The text of `config/usher.toml`.
pub(crate) const DEFAULTS: &str = include_str!("../../config/usher.toml");

#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// A string if it comes from the environment or a flag.
    pub value: Value,
    /// The highest layer that sets the key.
    pub source: ConfigSource,
}

/// All keys with their effective values. A later layer overrides an earlier one.
#[derive(Debug)]
pub struct Layers {
    settings: BTreeMap<String, Setting>,
    violations: Vec<Violation>,
}

/// A table or a list of tables under one of these keys is one value.
const WHOLE_VALUE_KEYS: [&str; 2] = ["groups.rules", "profiles.attributes"];
/// Similarity (0 to 1) from which a key is offered instead of an unknown one.
const MIN_SIMILARITY: f64 = 0.85;
const ENV_PREFIX: &str = "USHER_";
/// The only variable with the prefix that names no key: it names the file.
const CONFIG_FILE_VARIABLE: &str = "USHER_CONFIG";

impl Layers {
    /// The embedded defaults only, without other layers.
    ///
    /// # Panics
    /// Never in a build whose tests pass: the embedded file is valid TOML.
    #[must_use]
    pub fn defaults() -> Self {
        #[expect(clippy::expect_used, reason = "embedded, and held by a test")]
        let table = DEFAULTS
            .parse::<Table>()
            .expect("config/usher.toml is TOML");
        let mut layers = Self {
            settings: BTreeMap::new(),
            violations: Vec::new(),
        };
        for (key, value) in flatten(table) {
            layers.settings.insert(
                key,
                Setting {
                    value,
                    source: ConfigSource::Default,
                },
            );
        }
        layers
    }

    /// Adds a file as a layer. A file that cannot be read or parsed is a violation.
    #[must_use]
    pub fn file(mut self, path: &Path) -> Self {
        let source = ConfigSource::File(path.to_owned());
        let table = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|text| {
                // A deployment that fails half-way leaves an empty file.
                if text.trim().is_empty() {
                    return Err("is empty".to_owned());
                }
                text.parse::<Table>().map_err(|error| {
                    // Without the snippet of the toml crate, which may hold a value.
                    let line = error.span().map_or(1, |span| {
                        1 + text[..span.start.min(text.len())].matches('\n').count()
                    });
                    format!("is not TOML, line {line}: {}", error.message())
                })
            });
        match table {
            Ok(table) => {
                for (key, value) in flatten(table) {
                    self.set(&key, value, &source);
                }
            }
            Err(rule) => self.violations.push(Violation {
                key: "--config or USHER_CONFIG".to_owned(),
                value: None,
                rule,
                source,
            }),
        }
        self
    }

    /// Adds environment variables as a layer. Those without the prefix `USHER_` are ignored;
    /// one with it that names no key is a violation.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in variables {
            if let Some(key) = key_of(&name) {
                self.set(&key, Value::String(value), &ConfigSource::Environment(name));
            }
        }
        self
    }

    /// Adds the environment of this process. A variable of usher that is not Unicode is a
    /// violation: if it were ignored, the default would apply.
    #[must_use]
    pub fn process_environment(self) -> Self {
        self.os_environment(std::env::vars_os())
    }

    pub(super) fn os_environment(
        mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut unicode = Vec::new();
        for (name, value) in variables {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => unicode.push((name, value)),
                (Ok(name), Err(_)) => self.reject_non_unicode(name),
                (Err(name), _) => self.reject_non_unicode(name.to_string_lossy().into_owned()),
            }
        }
        self.environment(unicode)
    }

    fn reject_non_unicode(&mut self, variable: String) {
        if let Some(key) = key_of(&variable) {
            self.violations.push(Violation {
                key,
                value: None,
                rule: "must be Unicode".to_owned(),
                source: ConfigSource::Environment(variable),
            });
        }
    }

    /// Adds flags of the form `KEY=VALUE` as a layer.
    #[must_use]
    pub fn flags(mut self, flags: &[String]) -> Self {
        for flag in flags {
            match flag.split_once('=') {
                Some((key, value)) => {
                    self.set(
                        key.trim(),
                        Value::String(value.to_owned()),
                        &ConfigSource::Flag,
                    );
                }
                None => self.violations.push(Violation {
                    key: flag.clone(),
                    value: None,
                    rule: "must be written KEY=VALUE".to_owned(),
                    source: ConfigSource::Flag,
                }),
            }
        }
        self
    }

    /// Each key with its effective value, sorted by key.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings
            .iter()
            .map(|(key, setting)| (key.as_str(), setting))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    pub(super) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    fn set(&mut self, key: &str, value: Value, source: &ConfigSource) {
        if self.is_section(key) && value.as_table().is_some_and(Table::is_empty) {
            return;
        }
        let rule = if !self.settings.contains_key(key) {
            Some(self.describe_unknown_key(key))
        } else if WHOLE_VALUE_KEYS.contains(&key) && !matches!(source, ConfigSource::File(_)) {
            Some("can be set only in a file".to_owned())
        } else {
            None
        };
        match rule {
            None => {
                self.settings.insert(
                    key.to_owned(),
                    Setting {
                        value,
                        source: source.clone(),
                    },
                );
            }
            Some(rule) => self.violations.push(Violation {
                key: key.to_owned(),
                value: None,
                rule,
                source: source.clone(),
            }),
        }
    }

    /// Whether there are keys below this one.
    fn is_section(&self, key: &str) -> bool {
        let is_below = |known: &str| {
            known
                .strip_prefix(key)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        self.settings.keys().any(|known| is_below(known))
    }

    fn describe_unknown_key(&self, key: &str) -> String {
        let similar = self
            .settings
            .keys()
            .map(|known| (strsim::jaro_winkler(known, key), known))
            .max_by(|(one, _), (other, _)| one.total_cmp(other));
        if let Some((similarity, known)) = similar
            && similarity >= MIN_SIMILARITY
        {
            return format!("no such key; did you mean {known}?");
        }
        let section = key.split('.').next().unwrap_or_default();
        let known: Vec<&str> = self
            .settings
            .keys()
            .map(String::as_str)
            .filter(|known| known.split('.').next() == Some(section))
            .collect();
        if known.is_empty() {
            let mut sections: Vec<&str> = self
                .settings
                .keys()
                .filter_map(|known| known.split('.').next())
                .collect();
            sections.dedup();
            format!("no such key; sections are {}", sections.join(", "))
        } else {
            format!("no such key; the keys are {}", known.join(", "))
        }
    }
}

/// The key that a variable sets; `None` without the prefix, or for `USHER_CONFIG`.
fn key_of(variable: &str) -> Option<String> {
    let path = variable
        .strip_prefix(ENV_PREFIX)
        .filter(|_| variable != CONFIG_FILE_VARIABLE)?;
    Some(path.to_lowercase().replace("__", "."))
}

/// Each value under its dotted key. An empty table is a value as well, so that its name is
/// checked.
fn flatten(table: Table) -> Vec<(String, Value)> {
    fn add_values(prefix: &str, table: Table, flat: &mut Vec<(String, Value)>) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                Value::Table(inner)
                    if !inner.is_empty() && !WHOLE_VALUE_KEYS.contains(&key.as_str()) =>
                {
                    add_values(&key, inner, flat);
                }
                value => flat.push((key, value)),
            }
        }
    }
    let mut flat = Vec::new();
    add_values("", table, &mut flat);
    flat
}
