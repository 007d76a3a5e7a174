//! The layers that a configuration is made of, and where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{DEFAULTS, Violation};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The embedded `config/usher.toml`.
    Default,
    /// The file of `--config` or `USHER_CONFIG`.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// `--set` on the command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag --set"),
        }
    }
}

/// One effective value.
#[derive(Debug, Clone)]
pub struct Setting {
    /// As TOML; values of the environment and of flags are strings.
    pub value: Value,
    /// The layer that won.
    pub source: Source,
}

/// All keys with their winning values. Later layers win.
#[derive(Debug)]
pub struct Layers {
    settings: BTreeMap<String, Setting>,
    violations: Vec<Violation>,
}

/// Tables and lists of tables that are one value, not a level of keys.
const WHOLE: [&str; 2] = ["groups.rules", "profiles.attributes"];
const PREFIX: &str = "USHER_";
const NOT_A_KEY: &str = "USHER_CONFIG";

impl Layers {
    /// The embedded defaults alone.
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
                    source: Source::Default,
                },
            );
        }
        layers
    }

    /// Lays a file over what is there. A file that cannot be read or parsed is
    /// a violation like any other.
    #[must_use]
    pub fn file(mut self, path: &Path) -> Self {
        let source = Source::File(path.to_owned());
        let table = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|text| {
                text.parse::<Table>().map_err(|error| {
                    // The message alone: the snippet that toml prints may hold a value.
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
                key: "--config".to_owned(),
                value: None,
                rule,
                source,
            }),
        }
        self
    }

    /// Lays environment variables over what is there; those without the prefix
    /// are passed over.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in variables {
            let Some(path) = name.strip_prefix(PREFIX).filter(|_| name != NOT_A_KEY) else {
                continue;
            };
            let key = path.to_lowercase().replace("__", ".");
            self.set(&key, Value::String(value), &Source::Environment(name));
        }
        self
    }

    /// The environment of this process. Variables that are not Unicode cannot
    /// be usher's and are passed over.
    #[must_use]
    pub fn process_environment(self) -> Self {
        self.environment(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// Lays `KEY=VALUE` flags over what is there.
    #[must_use]
    pub fn flags(mut self, flags: &[String]) -> Self {
        for flag in flags {
            match flag.split_once('=') {
                Some((key, value)) => {
                    self.set(key.trim(), Value::String(value.to_owned()), &Source::Flag);
                }
                None => self.violations.push(Violation {
                    key: flag.clone(),
                    value: None,
                    rule: "must be written KEY=VALUE".to_owned(),
                    source: Source::Flag,
                }),
            }
        }
        self
    }

    /// Each key with its winning value, in the order of the keys.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &Setting)> {
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

    fn set(&mut self, key: &str, value: Value, source: &Source) {
        let wrong = if !self.settings.contains_key(key) {
            Some(self.unknown(key))
        } else if WHOLE.contains(&key) && !matches!(source, Source::File(_)) {
            Some("can be set in a file alone".to_owned())
        } else {
            None
        };
        match wrong {
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

    fn unknown(&self, key: &str) -> String {
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
            format!("no such key; there are {}", known.join(", "))
        }
    }
}

fn flatten(table: Table) -> Vec<(String, Value)> {
    fn walk(prefix: &str, table: Table, flat: &mut Vec<(String, Value)>) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                Value::Table(inner) if !WHOLE.contains(&key.as_str()) => walk(&key, inner, flat),
                value => flat.push((key, value)),
            }
        }
    }
    let mut flat = Vec::new();
    walk("", table, &mut flat);
    flat
}
