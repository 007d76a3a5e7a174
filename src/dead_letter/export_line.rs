//! Dead letters in a file, one JSON object a line, to be edited and imported
//! again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::received_dead_letter::ReceivedDeadLetter;
use crate::aws::Outgoing;
use crate::message::{attribute, sendable_body};

/// One line of the file. The import reads `body`, `attributes`, `group`,
/// `trace_header` and `first_received_at`; the other members only describe the
/// dead letter. Binary attributes, which usher never writes, are left out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportLine {
    /// Message id on the dead-letter queue.
    #[serde(default)]
    pub id: String,
    /// Unchanged, as the dead-letter queue holds it.
    pub body: String,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// `MessageGroupId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `AWSTraceHeader`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_header: Option<String>,
    /// `SentTimestamp`. A message that SQS moved itself keeps that of the source queue.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html>
    #[serde(default)]
    pub(crate) sent_at: Option<String>,
    /// When the source queue delivered it for the first time.
    #[serde(default)]
    pub first_received_at: Option<String>,
    /// Its attribute, or `sent_at` without one.
    #[serde(default)]
    pub dead_lettered_at: Option<String>,
}

impl ExportLine {
    fn new(dead_letter: &ReceivedDeadLetter) -> Self {
        let iso = |time: Option<jiff::Timestamp>| time.map(|time| format!("{time:.3}"));
        Self {
            id: dead_letter.summary.id.clone(),
            body: dead_letter.message.body.clone(),
            attributes: dead_letter.message.attributes.clone(),
            group: dead_letter.message.message_group.clone(),
            trace_header: dead_letter.message.trace_header.clone(),
            sent_at: iso(dead_letter.message.sent_at),
            first_received_at: iso(dead_letter.summary.first_received_at),
            dead_lettered_at: iso(dead_letter.summary.dead_lettered_at),
        }
    }

    /// The lines of these dead letters.
    pub(crate) fn lines<'a>(
        dead_letters: impl IntoIterator<Item = &'a ReceivedDeadLetter>,
    ) -> serde_json::Result<Vec<u8>> {
        let mut text = Vec::new();
        for dead_letter in dead_letters {
            serde_json::to_writer(&mut text, &Self::new(dead_letter))?;
            text.push(b'\n');
        }
        Ok(text)
    }

    /// Reads one line of a file.
    ///
    /// # Errors
    /// Says which rule the line breaks. It never quotes the line, which holds a body.
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
        // The name is not quoted either: a mistake in editing may put a body there.
        if !line.attributes.keys().all(|name| is_attribute_name(name)) {
            return Err(
                "has an attribute whose name is not 1 to 256 of a-z A-Z 0-9 _ - .".to_owned(),
            );
        }
        Ok(line)
    }

    /// The message for the dead-letter queue. The date of the first receive becomes an
    /// attribute, if it fits: SQS does not know it for the new message.
    pub(crate) fn to_outgoing(&self) -> Outgoing {
        let outgoing = Outgoing {
            body: sendable_body(&self.body),
            attributes: self.attributes.clone(),
            message_group: self.group.clone(),
            trace_header: self.trace_header.clone(),
            delay: Duration::ZERO,
        };
        let Some(first) = &self.first_received_at else {
            return outgoing;
        };
        let mut dated = outgoing.clone();
        dated
            .attributes
            .entry(attribute::FIRST_RECEIVED_AT.to_owned())
            .or_insert_with(|| first.clone());
        let fits = dated.attributes.len() <= attribute::MAX_MESSAGE_ATTRIBUTES
            && dated.size() <= Outgoing::MAX_MESSAGE_BYTES;
        if fits { dated } else { outgoing }
    }
}

/// Whether SQS accepts the name of a message attribute.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>
fn is_attribute_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (1..=256).contains(&name.len())
        && name.chars().all(is_allowed)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !["aws.", "amazon."]
            .iter()
            .any(|reserved| name.to_ascii_lowercase().starts_with(reserved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_line_do_not_quote_it() {
        assert_eq!(
            ExportLine::parse(r#"{"body":"{}"}"#).map(|line| line.body),
            Ok("{}".to_owned())
        );
        for (text, message) in [
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
            let error = ExportLine::parse(text).expect_err("refused");
            assert!(error.starts_with(message), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
