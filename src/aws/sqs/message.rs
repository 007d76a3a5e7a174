//! Data of SQS: messages, batch results and queue attributes.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use tokio::time::Instant;

use crate::aws::error::Failure;
use crate::event::{Trace, TraceParent};

/// A received message. Its body may hold personal data or a password, so `Debug` shows
/// only the id.
pub struct Received {
    /// Changes when a message is redriven; never a business key.
    pub id: String,
    /// Identifies this receive, to delete or hide the message.
    pub receipt_handle: String,
    /// The body as it was sent, byte for byte.
    pub body: String,
    /// `ApproximateReceiveCount`, this receive included; at least 1.
    pub(crate) receive_count: u32,
    /// When the producer sent it.
    pub(crate) sent_at: Option<jiff::Timestamp>,
    /// When it was first received from this queue.
    pub first_received_at: Option<jiff::Timestamp>,
    /// Message attributes of type String or Number.
    pub attributes: BTreeMap<String, String>,
    /// `MessageGroupId`: on a standard queue the tenant for fair queues.
    pub message_group: Option<String>,
    /// `AWSTraceHeader`: the sender's trace in X-Ray's format.
    pub trace_header: Option<String>,
    /// When the answer of this receive arrived.
    pub(crate) receive_time: Instant,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A message to send, with its attributes.
#[derive(Clone, Default)]
pub struct Outgoing {
    /// 1 byte to 1 MiB of text.
    pub body: String,
    /// String attributes, at most 10; empty values are left out, as SQS
    /// refuses them.
    pub attributes: BTreeMap<String, String>,
    /// `MessageGroupId`: on a standard queue the tenant for fair queues.
    pub message_group: Option<String>,
    /// `AWSTraceHeader`; a value that SQS would refuse is left out.
    ///
    /// <https://docs.aws.amazon.com/xray/latest/devguide/xray-services-sqs.html>
    pub trace_header: Option<String>,
    /// How long SQS delays the message: whole seconds up to 15 minutes.
    pub delay: Duration,
}

/// An entry of a batch that SQS did not carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedEntry {
    /// Index of the entry in the batch.
    pub(crate) position: usize,
    pub(crate) failure: Failure,
}

impl FailedEntry {
    /// Whether the entry at `position` must be sent again: it is among `failed`, and its
    /// receipt is not stale.
    pub(crate) fn is_to_resend(failed: &[Self], position: usize) -> bool {
        failed
            .iter()
            .any(|entry| entry.position == position && !entry.failure.is_stale_receipt())
    }
}

/// Approximate numbers of messages on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Messages that wait to be received.
    pub visible: u64,
    /// Messages received and not deleted, or hidden until a retry.
    pub hidden: u64,
    /// Messages whose delay has not ended.
    pub delayed: u64,
}

impl Depth {
    /// Whether no message waits, is hidden or is delayed.
    pub fn is_empty(self) -> bool {
        self.total() == 0
    }

    /// The sum of the three numbers.
    pub fn total(self) -> u64 {
        self.visible + self.hidden + self.delayed
    }
}

/// When and where SQS itself moves messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// ARN of the dead-letter queue.
    pub(crate) target_arn: String,
    /// Receives before SQS moves the message.
    pub(crate) max_receive_count: u32,
}

/// The parsed answer of `GetQueueAttributes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueAttributes {
    /// The queue's ARN; empty where the answer has none.
    pub arn: String,
    /// Approximate numbers of messages on the queue.
    pub depth: Depth,
    pub(crate) redrive_policy: Option<RedrivePolicy>,
    /// `MessageRetentionPeriod` of the queue.
    pub(crate) retention_seconds: Option<u64>,
}

impl Outgoing {
    /// Limit for one message, and for one batch.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
    pub(crate) const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

    /// Adds a message attribute.
    #[must_use]
    pub(crate) fn with_attribute(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// Adds the trace, in X-Ray's format and as W3C Trace Context.
    #[must_use]
    pub(crate) fn with_trace(mut self, trace: &Trace) -> Self {
        if let Some(parent) = trace.parent() {
            let name = Received::TRACEPARENT.to_owned();
            self.attributes.insert(name, parent.to_string());
        }
        self.trace_header = trace.xray_header().map(str::to_owned);
        self
    }

    /// Bytes as SQS counts them: the body, and each attribute's name, type and value.
    pub fn size(&self) -> usize {
        const TYPE_BYTES: usize = "String".len();
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(name, value)| name.len() + TYPE_BYTES + value.len());
        self.body.len() + attributes.sum::<usize>()
    }
}

impl Received {
    /// The message attribute that holds W3C Trace Context.
    pub(crate) const TRACEPARENT: &str = "traceparent";

    /// The sender's trace context: W3C's `traceparent`, or X-Ray's header where that is
    /// missing or invalid.
    pub(crate) fn trace_parent(&self) -> Option<TraceParent> {
        let own = self.attributes.get(Self::TRACEPARENT);
        own.and_then(|text| TraceParent::parse(text))
            .or_else(|| TraceParent::parse_xray(self.trace_header.as_deref()?))
    }

    /// `None` for a message without a receipt handle: it could not be deleted.
    pub(super) fn from_sdk(message: Message, received: Instant) -> Option<Self> {
        let system = message.attributes.unwrap_or_default();
        let time = |name: MessageSystemAttributeName| {
            jiff::Timestamp::from_millisecond(system.get(&name)?.parse().ok()?).ok()
        };
        Some(Self {
            id: message.message_id.unwrap_or_default(),
            receipt_handle: message.receipt_handle?,
            body: message.body.unwrap_or_default(),
            receive_count: system
                .get(&MessageSystemAttributeName::ApproximateReceiveCount)
                .and_then(|count| count.parse().ok())
                .unwrap_or(1)
                .max(1),
            sent_at: time(MessageSystemAttributeName::SentTimestamp),
            first_received_at: time(MessageSystemAttributeName::ApproximateFirstReceiveTimestamp),
            attributes: message
                .message_attributes
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.string_value?)))
                .collect(),
            message_group: system
                .get(&MessageSystemAttributeName::MessageGroupId)
                .cloned(),
            trace_header: system
                .get(&MessageSystemAttributeName::AwsTraceHeader)
                .cloned(),
            receive_time: received,
        })
    }
}

impl RedrivePolicy {
    /// SQS accepts `maxReceiveCount` as a number and as a string.
    pub(super) fn parse(policy: &str) -> Option<Self> {
        let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
        let count = policy.get("maxReceiveCount")?;
        Some(Self {
            target_arn: policy.get("deadLetterTargetArn")?.as_str()?.to_owned(),
            max_receive_count: count
                .as_u64()
                .or_else(|| count.as_str()?.parse().ok())
                .and_then(|count| u32::try_from(count).ok())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_receive_count_is_a_number_or_a_string() {
        for count in ["5", "\"5\""] {
            let policy = format!(r#"{{"deadLetterTargetArn":"arn:q","maxReceiveCount":{count}}}"#);
            assert_eq!(
                RedrivePolicy::parse(&policy),
                Some(RedrivePolicy {
                    target_arn: "arn:q".to_owned(),
                    max_receive_count: 5
                })
            );
        }
        assert_eq!(RedrivePolicy::parse("{}"), None);
        assert_eq!(RedrivePolicy::parse("?"), None);
    }
}
