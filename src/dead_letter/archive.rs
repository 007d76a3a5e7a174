//! Letters in a file: one JSON object a line, made to be edited and brought
//! back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attribute;
use super::held_dead_letter::HeldDeadLetter;
use super::history::sendable_body;
use crate::aws::Outgoing;

/// One line. What is read back is `body`, `attributes`, `group`, `trace_header` and
/// `first_received_at`; the rest says what the letter was. Attributes are text:
/// binary ones, which usher never writes, are left out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArchiveLine {
    /// Message id on the dead-letter queue.
    #[serde(default)]
    pub id: String,
    /// As it came.
    pub body: String,
    /// The letter's attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// `MessageGroupId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `AWSTraceHeader`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_header: Option<String>,
    /// When it was sent to the queue.
    #[serde(default)]
    pub(crate) sent_at: Option<String>,
    /// When it was first received.
    #[serde(default)]
    pub first_received_at: Option<String>,
    /// When it became a letter.
    #[serde(default)]
    pub dead_lettered_at: Option<String>,
}

impl ArchiveLine {
    /// A letter's line.
    pub(crate) fn new(letter: &HeldDeadLetter) -> Self {
        let iso = |time: Option<jiff::Timestamp>| time.map(|time| format!("{time:.3}"));
        Self {
            id: letter.summary.id.clone(),
            body: letter.message.body.clone(),
            attributes: letter.message.attributes.clone(),
            group: letter.message.message_group.clone(),
            trace_header: letter.message.trace_header.clone(),
            sent_at: iso(letter.message.sent_at),
            first_received_at: iso(letter.summary.first_received_at),
            dead_lettered_at: iso(letter.summary.dead_lettered_at),
        }
    }

    /// Reads one line of a file.
    ///
    /// # Errors
    /// What is wrong with it, without quoting the line: it holds a body.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let line: Self = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => "is cut off".to_owned(),
            serde_json::error::Category::Syntax => {
                format!("is not JSON (column {})", error.column())
            }
            _ => "must be an object with a text `body`, and with `attributes` that are all text; other members are those that export writes"
                .to_owned(),
        })?;
        if line.attributes.len() > attribute::MAX_MESSAGE_ATTRIBUTES {
            return Err(format!(
                "has {} attributes; SQS allows ten",
                line.attributes.len()
            ));
        }
        // Not quoted either: whoever edits a file may mistake a line.
        if !line.attributes.keys().all(|name| is_attribute_name(name)) {
            return Err(
                "has an attribute whose name is not 1 to 256 of a-z A-Z 0-9 _ - .".to_owned(),
            );
        }
        Ok(line)
    }

    /// The letter for the dead-letter queue. One that SQS had moved keeps its first
    /// date as an attribute: the queue's own begins anew.
    pub(crate) fn to_outgoing(&self) -> Outgoing {
        let letter = Outgoing {
            body: sendable_body(&self.body),
            attributes: self.attributes.clone(),
            message_group: self.group.clone(),
            trace_header: self.trace_header.clone(),
            delay: Duration::ZERO,
        };
        let Some(first) = &self.first_received_at else {
            return letter;
        };
        let mut dated = letter.clone();
        dated
            .attributes
            .entry(attribute::FIRST_RECEIVED_AT.to_owned())
            .or_insert_with(|| first.clone());
        let fits = dated.attributes.len() <= attribute::MAX_MESSAGE_ATTRIBUTES
            && dated.size() <= Outgoing::MAX_MESSAGE_BYTES;
        if fits { dated } else { letter }
    }
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>
fn is_attribute_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (1..=256).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !["aws.", "amazon."]
            .iter()
            .any(|taken| name.to_ascii_lowercase().starts_with(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_needs_a_body_and_says_what_is_wrong_without_quoting_it() {
        assert_eq!(
            ArchiveLine::parse(r#"{"body":"{}"}"#).map(|line| line.body),
            Ok("{}".to_owned())
        );
        for (text, says) in [
            (r#"{"body":"secret"#, "is cut off"),
            (r"{'body':'secret'}", "is not JSON (column 2)"),
            (r#"{"bode":"secret"}"#, "must be an object with"),
            (
                r#"{"body":"secret","attributes":{"a":1}}"#,
                "must be an object with",
            ),
            (r#"["secret"]"#, "must be an object with"),
            (
                r#"{"body":"secret","attributes":{"a b":"c"}}"#,
                "has an attribute whose name",
            ),
            (
                r#"{"body":"secret","attributes":{"AWS.x":"c"}}"#,
                "has an attribute whose name",
            ),
        ] {
            let wrong = ArchiveLine::parse(text).expect_err("refused");
            assert!(wrong.starts_with(says), "{wrong}");
            assert!(!wrong.contains("secret"), "{wrong}");
        }
    }
}
