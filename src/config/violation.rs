//! The violations of a configuration, each with the source of its value.

use std::fmt;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConfigSource {
    /// The embedded file `config/usher.toml`.
    Default,
    /// A file, or the text of `USHER_CONFIG_TOML`.
    Document { name: String, line: Option<usize> },
    /// The environment variable with this name.
    Environment(String),
    /// The option `--set` of the command line.
    Flag,
}

impl ConfigSource {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::Default
    }
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Document { name, line: None } => f.write_str(name),
            Self::Document {
                name,
                line: Some(line),
            } => write!(f, "{name}, line {line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag --set"),
        }
    }
}

/// One value that breaks the rule of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The key with dots, such as `queue.url`.
    pub key: String,
    /// The value without secrets; `None` if there is no value to show.
    pub value: Option<String>,
    /// The rule that the value breaks.
    pub rule: String,
    pub(crate) source: ConfigSource,
}

/// All violations of a configuration, reported at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConfig(pub Vec<Violation>);

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is invalid:")?;
        for violation in &self.0 {
            write!(f, "\n  {violation}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            value,
            rule,
            source,
        } = self;
        let value = value
            .as_ref()
            .map(|v| format!(" = {v}"))
            .unwrap_or_default();
        write!(f, "{key}{value} ({source}): {rule}")
    }
}

impl std::error::Error for InvalidConfig {}
