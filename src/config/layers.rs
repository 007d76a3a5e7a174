//! The layers of a configuration: defaults, file or text, environment, flags. Each value has a
//! source.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use toml::{Table, Value};

use super::document::{self, Entry, Unreadable, WHOLE_VALUE_KEYS};
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

/// Similarity (0 to 1) from which a key is offered instead of an unknown one.
const MIN_SIMILARITY: f64 = 0.85;
const ENV_PREFIX: &str = "USHER_";
/// Names the file. It and [`TEXT_VARIABLE`] are the only variables with the prefix without a key.
const FILE_VARIABLE: &str = "USHER_CONFIG";
/// Holds the text of a file.
const TEXT_VARIABLE: &str = "USHER_CONFIG_TOML";

impl Layers {
    /// The embedded defaults only, without other layers.
    ///
    /// # Panics
    /// Never in a build whose tests pass: the embedded file is valid TOML.
    #[must_use]
    pub fn defaults() -> Self {
        #[expect(clippy::expect_used, reason = "embedded, and held by a test")]
        let entries = document::read(DEFAULTS)
            .map_err(|unreadable| unreadable.rule)
            .expect("config/usher.toml is TOML");
        let default = |entry: Entry| {
            let source = ConfigSource::Default;
            let value = entry.value;
            (entry.key, Setting { value, source })
        };
        Self {
            settings: entries.into_iter().map(default).collect(),
            violations: Vec::new(),
        }
    }

    /// Adds the file `flag` as a layer. Without it, adds the file that `USHER_CONFIG` of this
    /// process names, or the text in `USHER_CONFIG_TOML`.
    #[must_use]
    pub fn config_file(self, flag: Option<&Path>) -> Self {
        if let Some(path) = flag {
            return self.file(path);
        }
        let file = std::env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty());
        let text = std::env::var_os(TEXT_VARIABLE);
        self.file_or_text(file.as_deref().map(Path::new), text.as_deref())
    }

    /// Adds the file of `USHER_CONFIG` or the text of `USHER_CONFIG_TOML` as a layer. Both are
    /// a violation, as each may be the one that is meant.
    pub(crate) fn file_or_text(self, file: Option<&Path>, text: Option<&OsStr>) -> Self {
        let text = match (file, text) {
            (None, None) => return self,
            (Some(path), None) => return self.file_of(FILE_VARIABLE, path),
            (None, Some(text)) => text.to_str().ok_or_else(|| "must be Unicode".to_owned()),
            (Some(_), Some(_)) => Err(format!(
                "is set together with {FILE_VARIABLE}: unset one of them"
            )),
        };
        self.document(TEXT_VARIABLE, &format!("environment {TEXT_VARIABLE}"), text)
    }

    /// Adds the file of `--config` as a layer. A file that cannot be read or parsed is a
    /// violation.
    #[must_use]
    pub fn file(self, path: &Path) -> Self {
        self.file_of("--config", path)
    }

    fn file_of(self, option: &str, path: &Path) -> Self {
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"));
        let name = format!("file {}", path.display());
        self.document(option, &name, text)
    }

    /// Adds a TOML text, or the violation of its `option`.
    fn document(mut self, option: &str, name: &str, text: Result<impl AsRef<str>, String>) -> Self {
        let source = |line| ConfigSource::Document {
            name: name.to_owned(),
            line,
        };
        let entries = text
            .map_err(|rule| Unreadable { line: None, rule })
            .and_then(|text| document::read(text.as_ref()));
        match entries {
            Ok(entries) => {
                for Entry { key, value, line } in entries {
                    self.set(&key, value, &source(Some(line)));
                }
            }
            Err(Unreadable { line, rule }) => self.violations.push(Violation {
                key: option.to_owned(),
                value: None,
                rule,
                source: source(line),
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
        } else if WHOLE_VALUE_KEYS.contains(&key)
            && !matches!(source, ConfigSource::Document { .. })
        {
            Some(format!("can be set only in a file or {TEXT_VARIABLE}"))
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

/// The key that a variable sets; `None` without the prefix, or for the file or its text.
fn key_of(variable: &str) -> Option<String> {
    let path = variable
        .strip_prefix(ENV_PREFIX)
        .filter(|_| ![FILE_VARIABLE, TEXT_VARIABLE].contains(&variable))?;
    Some(path.to_lowercase().replace("__", "."))
}
