//! What SQS gives and takes: messages, batch results, what a queue is like.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use tokio::time::Instant;

use crate::event::{Trace, TraceParent};

/// A message as it was received. Its body may hold personal data or a password,
/// so formatting shows only the id.
pub struct Received {
    /// Changes when a message is redriven; never a business key.
    pub id: String,
    /// Of this receive.
    pub receipt_handle: String,
    /// As it was sent, byte for byte.
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
    /// `AWSTraceHeader`: the trace that it was sent in, as X-Ray has it.
    pub trace_header: Option<String>,
    /// When this receive came home.
    pub(crate) receive_time: Instant,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A message to send.
#[derive(Clone, Default)]
pub struct Outgoing {
    /// 1 byte to 1 MiB of text.
    pub body: String,
    /// String attributes, at most 10; empty values are left out, as SQS
    /// refuses them.
    pub attributes: BTreeMap<String, String>,
    /// `MessageGroupId`: on a standard queue the tenant for fair queues.
    pub message_group: Option<String>,
    /// `AWSTraceHeader`, a message system attribute; what SQS would refuse is left out.
    /// Counts neither as one of the ten nor into the size.
    ///
    /// <https://docs.aws.amazon.com/xray/latest/devguide/xray-services-sqs.html>
    pub trace_header: Option<String>,
    /// How long nobody receives it: whole seconds up to 15 minutes.
    pub delay: Duration,
}

/// An entry of a batch that SQS did not carry out.
#[derive(Debug, PartialEq, Eq)]
pub struct FailedEntry {
    /// Its place in the batch.
    pub position: usize,
    /// SQS's code.
    pub code: String,
    /// Whether trying again is useless: the receipt is stale, the message gone.
    pub(crate) is_terminal: bool,
}

impl FailedEntry {
    /// Whether a code is about the receipt: the message is gone, or was received again.
    pub(crate) fn is_terminal_code(code: &str) -> bool {
        matches!(
            code.rsplit('.').next(),
            Some("ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue")
        )
    }
}

/// About how many messages there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Waiting to be received.
    pub visible: u64,
    /// Received and not deleted, or backing off.
    pub hidden: u64,
    /// Not yet due.
    pub delayed: u64,
}

impl Depth {
    /// Nothing waits, nothing is in flight.
    pub fn is_empty(self) -> bool {
        self.total() == 0
    }

    /// All of them.
    pub fn total(self) -> u64 {
        self.visible + self.hidden + self.delayed
    }
}

/// Where SQS itself moves messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// ARN of the dead-letter queue.
    pub(crate) target_arn: String,
    /// Receives before SQS moves the message.
    pub(crate) max_receive_count: u32,
}

/// What the queue says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueAttributes {
    /// Its ARN.
    pub arn: String,
    /// How full it is.
    pub depth: Depth,
    /// Its redrive policy.
    pub(crate) redrive_policy: Option<RedrivePolicy>,
    /// Seconds that messages are kept.
    pub(crate) retention_seconds: Option<u64>,
}

impl Outgoing {
    /// The largest message, and the largest batch.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
    pub(crate) const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

    /// The same as a part of this trace, for X-Ray and for everybody else.
    #[must_use]
    pub(crate) fn with_trace(mut self, trace: &Trace) -> Self {
        if let Some(parent) = trace.parent() {
            let name = Received::TRACEPARENT.to_owned();
            self.attributes.insert(name, parent.to_string());
        }
        self.trace_header = trace.xray_header().map(str::to_owned);
        self
    }

    /// As SQS counts it: the body, and each attribute's name, type and value.
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

    /// What it was sent in: any producer may say so in W3C's words, and X-Ray's count
    /// where there are none.
    pub(crate) fn trace_parent(&self) -> Option<TraceParent> {
        let own = self.attributes.get(Self::TRACEPARENT);
        own.and_then(|text| TraceParent::parse(text))
            .or_else(|| TraceParent::parse_xray(self.trace_header.as_deref()?))
    }

    /// `None` without a receipt: nothing could be done with such a message.
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
    /// SQS takes `maxReceiveCount` as a number and as a string.
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
    fn a_redrive_policy_counts_in_numbers_or_in_strings() {
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
