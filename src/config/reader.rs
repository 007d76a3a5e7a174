//! Reads typed values from the layers. For an invalid value a getter records the violation
//! and returns a placeholder, so that one start reports every error.

use std::fmt::{Debug, Display};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Value;

use super::layers::Layers;
use super::violation::{ConfigSource, InvalidConfig, Violation};

pub(super) struct Reader<'a> {
    layers: &'a Layers,
    violations: Vec<Violation>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Self {
            layers,
            violations: layers.violations().to_vec(),
        }
    }

    /// Ignores violations of the layers: a misspelt key leaves its default. Only for values
    /// that decide on no access.
    pub(super) fn lenient(layers: &'a Layers) -> Self {
        Self {
            layers,
            violations: Vec::new(),
        }
    }

    /// Returns `value` if there is no violation, so no placeholder is ever used.
    pub(super) fn finish<T>(self, value: T) -> Result<T, InvalidConfig> {
        if self.violations.is_empty() {
            Ok(value)
        } else {
            Err(InvalidConfig(self.violations))
        }
    }

    pub(super) fn is_valid(&self, key: &str) -> bool {
        self.violations.iter().all(|violation| violation.key != key)
    }

    pub(super) fn reject(&mut self, key: &str, rule: impl Into<String>) {
        self.violations.push(self.violation(key, rule));
    }

    /// The error of an empty setting, which some commands need.
    pub(super) fn missing(&self, key: &str, rule: &str) -> InvalidConfig {
        InvalidConfig(vec![self.violation(key, rule)])
    }

    /// Records the error of a [`Self::missing`] setting, because the command needs it.
    pub(super) fn require<T>(&mut self, setting: &Result<T, InvalidConfig>) {
        if let Err(InvalidConfig(missing)) = setting {
            let missing = missing.iter().filter(|it| self.is_valid(&it.key));
            let missing: Vec<Violation> = missing.cloned().collect();
            self.violations.extend(missing);
        }
    }

    fn violation(&self, key: &str, rule: impl Into<String>) -> Violation {
        let setting = self.layers.get(key);
        Violation {
            key: key.to_owned(),
            value: setting
                .filter(|setting| !contains_table(&setting.value))
                .map(|setting| redact(key, &setting.value).to_string()),
            rule: rule.into(),
            source: setting.map_or(ConfigSource::Default, |setting| setting.source.clone()),
        }
    }

    /// Accepts an ARN or a table name, which follows the rule of index names.
    pub(super) fn check_table_name(&mut self, key: &str, name: &str) {
        let is_arn = name.starts_with("arn:") && !name.contains(char::is_whitespace);
        if !is_index_name(name) && !is_arn {
            let rule = "must be a table name (3 to 255 of a-z A-Z 0-9 _ . -) or ARN";
            self.reject(key, rule);
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.layers.get(key).map(|setting| &setting.value)
    }

    pub(super) fn text(&mut self, key: &str) -> String {
        if let Some(Value::String(text)) = self.value(key) {
            text.trim().to_owned()
        } else {
            self.reject(key, "must be a string");
            String::new()
        }
    }

    pub(super) fn required_text(&mut self, key: &str, what: &str) -> String {
        let text = self.text(key);
        if text.is_empty() && self.is_valid(key) {
            self.reject(key, format!("required: {what}"));
        }
        text
    }

    pub(super) fn boolean(&mut self, key: &str) -> bool {
        match self.value(key) {
            Some(Value::Boolean(value)) => return *value,
            Some(Value::String(text)) => match text.trim() {
                "true" => return true,
                "false" => return false,
                _ => {}
            },
            _ => {}
        }
        self.reject(key, "must be true or false");
        false
    }

    pub(super) fn integer(&mut self, key: &str, range: RangeInclusive<u32>) -> u32 {
        let number = match self.value(key) {
            Some(Value::Integer(number)) => u32::try_from(*number).ok(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let placeholder = *range.start();
        self.in_range(key, number, &range, "a whole number")
            .unwrap_or(placeholder)
    }

    pub(super) fn nonzero_usize(&mut self, key: &str, range: RangeInclusive<u32>) -> NonZeroUsize {
        usize::try_from(self.integer(key, range))
            .ok()
            .and_then(NonZeroUsize::new)
            .unwrap_or(NonZeroUsize::MIN)
    }

    pub(super) fn nonzero_u32(&mut self, key: &str, range: RangeInclusive<u32>) -> NonZeroU32 {
        NonZeroU32::new(self.integer(key, range)).unwrap_or(NonZeroU32::MIN)
    }

    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> f64 {
        let number = match self.value(key) {
            Some(Value::Float(number)) => Some(*number),
            #[expect(
                clippy::cast_precision_loss,
                reason = "far below 2^52, or out of range"
            )]
            Some(Value::Integer(number)) => Some(*number as f64),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let placeholder = *range.start();
        self.in_range(key, number, &range, "a number")
            .unwrap_or(placeholder)
    }

    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let duration = match self.value(key) {
            Some(Value::String(text)) => humantime::parse_duration(text.trim()).ok(),
            _ => None,
        };
        if let Some(duration) = duration.filter(|duration| range.contains(duration)) {
            return duration;
        }
        self.reject(
            key,
            format!(
                "must be a duration between {} and {}, such as \"30s\"",
                humantime::format_duration(*range.start()),
                humantime::format_duration(*range.end()),
            ),
        );
        *range.start()
    }

    pub(super) fn whole_seconds(&mut self, key: &str, range: RangeInclusive<u64>) -> Duration {
        let (low, high) = (*range.start(), *range.end());
        let duration = self.duration(key, Duration::from_secs(low)..=Duration::from_secs(high));
        if duration.subsec_nanos() != 0 {
            self.reject(key, "must be whole seconds");
        }
        duration
    }

    /// Accepts a list of strings, or one comma-separated string.
    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(Value::String(text)) => {
                let items: Vec<String> = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect();
                // Written as in a file: the names would contain the brackets.
                if let Some(item) = items
                    .iter()
                    .find(|item| item.contains(['[', ']', '"', ';']))
                {
                    self.reject(
                        key,
                        format!("{item:?} is not a name: outside of a file, write A,B,C"),
                    );
                }
                // An empty list means "any" for many keys.
                if items.is_empty() && !text.is_empty() {
                    self.reject(
                        key,
                        "has separators and no item: name one, or leave it empty",
                    );
                }
                items
            }
            Some(Value::Array(items)) if items.iter().all(Value::is_str) => items
                .iter()
                .filter_map(Value::as_str)
                .map(|item| item.trim().to_owned())
                .collect(),
            _ => {
                self.reject(key, "must be a list of strings");
                Vec::new()
            }
        }
    }

    pub(super) fn address(&mut self, key: &str) -> Option<SocketAddr> {
        let text = self.text(key);
        if text.is_empty() {
            return None;
        }
        let address = text.parse().ok();
        if address.is_none() {
            self.reject(
                key,
                "must be ADDRESS:PORT, such as \"0.0.0.0:8080\", or empty",
            );
        }
        address
    }

    /// `queue.url`, or the error of its absence.
    pub(super) fn queue_url(&mut self) -> Result<String, InvalidConfig> {
        const URL_KEY: &str = "queue.url";
        let missing = self.missing(URL_KEY, "required: the URL of the SQS queue");
        self.optional_url(URL_KEY).ok_or(missing)
    }

    pub(super) fn optional_url(&mut self, key: &str) -> Option<String> {
        let url = self.text(key);
        self.check_url(key, &url);
        (!url.is_empty()).then(|| strip_credentials(url))
    }

    fn check_url(&mut self, key: &str, url: &str) {
        if url.is_empty() {
            return;
        }
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        if !rest.is_some_and(|rest| rest.contains('/') && !rest.ends_with('/')) {
            self.reject(
                key,
                "must be a queue URL, such as \"https://sqs.REGION.amazonaws.com/ACCOUNT/NAME\"",
            );
        } else if has_suffix(url, ".fifo") {
            // A FIFO queue delays all users of a pool while the first one is retried.
            self.reject(key, "must be a standard queue, not FIFO");
        }
    }

    fn in_range<T: PartialOrd + Display + Debug>(
        &mut self,
        key: &str,
        value: Option<T>,
        range: &RangeInclusive<T>,
        what: &str,
    ) -> Option<T> {
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            self.reject(
                key,
                format!(
                    "must be {what} between {} and {}",
                    range.start(),
                    range.end()
                ),
            );
        }
        value
    }
}

/// Whether `DynamoDB` accepts the name of an index.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>
pub(crate) fn is_index_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (3..=255).contains(&name.len()) && name.chars().all(is_allowed)
}

/// A message does not print tables, which are long; its rule names the entry.
fn contains_table(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => items.iter().any(Value::is_table),
        _ => false,
    }
}

fn has_suffix(url: &str, suffix: &str) -> bool {
    url.len() >= suffix.len()
        && url.is_char_boundary(url.len() - suffix.len())
        && url[url.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

/// Hides the credentials of a URL, and a whole value if its key ends with `_secret`.
pub(crate) fn redact(key: &str, value: &Value) -> Value {
    if key.ends_with("_secret") && value.as_str() != Some("") {
        return Value::String("***".to_owned());
    }
    let text = match value {
        Value::String(text) => text,
        Value::Array(items) => {
            return Value::Array(items.iter().map(|item| redact(key, item)).collect());
        }
        _ => return value.clone(),
    };
    let redacted =
        split_at_credentials(text).map(|(scheme, host)| format!("{scheme}://***@{host}"));
    Value::String(redacted.unwrap_or_else(|| text.clone()))
}

/// SQS uses no credentials in a URL, and logs show the URL.
fn strip_credentials(url: String) -> String {
    match split_at_credentials(&url) {
        Some((scheme, host)) => format!("{scheme}://{host}"),
        None => url,
    }
}

/// The scheme, and the part after the credentials; `None` without credentials.
fn split_at_credentials(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    // A password may contain @; the rest of a queue's URL does not.
    let (_, host) = rest.rsplit_once('@')?;
    Some((scheme, host))
}
