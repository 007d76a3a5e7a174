//! Amazon SQS: sends messages.
//!
//! A header that SQS might refuse is left out, since SQS would refuse the whole message.
//! `AWSTraceHeader` is a message system attribute: it counts neither as one of the ten attributes
//! nor into the size. In some partitions and emulators a standard queue refuses `MessageGroupId`.
//! The message then goes without it, and the process remembers it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::operation::send_message::{SendMessageError, SendMessageOutput};
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    SendMessageBatchRequestEntry,
};

use super::message::Outgoing;
use super::queue::{MAX_BATCH_ENTRIES, Queue, ceil_seconds};
use crate::aws::call::CallError;
use crate::aws::classify::Class;
use crate::aws::error::Failure;
use crate::aws::operation::SqsOperation;
use crate::event::is_xray_header;
use crate::retry::retry_inline;

impl Queue {
    /// `SendMessage`; returns the message id. A queue that refuses the message group gets the
    /// message again without it.
    ///
    /// # Errors
    /// As any call.
    pub async fn send(&self, message: Outgoing) -> Result<String, Failure> {
        let group = self.message_group(&message);
        let copy = group.is_some().then(|| message.clone());
        let sent = self.send_in_group(group, message).await;
        let sent = match (sent, copy) {
            (Err(refused), Some(message))
                if self.detect_group_refusal(refused.error.code(), refused.error.message()) =>
            {
                self.send_in_group(None, message).await
            }
            (sent, _) => sent,
        };
        Ok(sent?.message_id.unwrap_or_default())
    }

    async fn send_in_group(
        &self,
        group: Option<String>,
        message: Outgoing,
    ) -> Result<SendMessageOutput, CallError<SendMessageError>> {
        let request = self
            .client
            .send_message()
            .queue_url(&self.url)
            .set_delay_seconds(delay_of(&message))
            .set_message_attributes(attributes_of(&message))
            .set_message_system_attributes(system_attributes_of(&message))
            .set_message_group_id(group)
            .message_body(message.body);
        self.call(SqsOperation::SendMessage, request.send()).await
    }

    /// The message group is only the tenant for fair queues, so a group that SQS would refuse
    /// is left out.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
    fn message_group(&self, message: &Outgoing) -> Option<String> {
        if self.message_groups_unsupported.load(Ordering::Relaxed) {
            return None;
        }
        message
            .message_group
            .clone()
            .filter(|group| is_valid_message_group(group))
    }

    /// Standard queues accept a `MessageGroupId` since 2025. Others and emulators answer with
    /// `InvalidParameterValue`: "Value … for parameter `MessageGroupId` is invalid. Reason: The
    /// request include parameter that is not valid for this queue type." From then on, the
    /// queue gets none.
    ///
    /// <https://github.com/getmoto/moto/issues/4594>
    fn detect_group_refusal(&self, code: Option<&str>, text: Option<&str>) -> bool {
        let refuses = code.is_some_and(|code| code.contains("InvalidParameterValue"))
            && text.is_some_and(|text| text.contains("not valid for this queue type"));
        if refuses
            && !self
                .message_groups_unsupported
                .swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                queue.url = self.url(),
                "queue refused MessageGroupId: messages are sent without it, so one busy pool \
                 may delay the others",
            );
        }
        refuses
    }

    /// `SendMessageBatch`, in as many calls as SQS's limits of ten messages and 1 MiB require.
    /// Returns the id of each message.
    ///
    /// # Errors
    /// For each message by itself: SQS answers 200 although entries failed.
    pub async fn send_all(&self, messages: &[Outgoing]) -> Vec<Result<String, Failure>> {
        let mut answers = Vec::with_capacity(messages.len());
        let mut rest = messages;
        while !rest.is_empty() {
            let (batch, others) = rest.split_at(batch_len(rest));
            answers.extend(self.send_batch(batch).await);
            rest = others;
        }
        answers
    }

    /// As [`Self::send_all`], and sends each failed message again by itself: one bad message
    /// may have failed the whole batch. Does not retry systemic failures.
    ///
    /// # Errors
    /// For each message by itself.
    pub(crate) async fn send_all_with_retry(
        &self,
        messages: &[Outgoing],
    ) -> Vec<Result<String, Failure>> {
        let mut answers = self.send_all(messages).await;
        for (answer, message) in answers.iter_mut().zip(messages) {
            if !matches!(answer, Err(failure) if failure.class != Class::Systemic) {
                continue;
            }
            *answer = retry_inline(|| self.send(message.clone())).await;
            if matches!(answer, Err(failure) if failure.class != Class::Permanent) {
                // The queue is at fault, not the message.
                break;
            }
        }
        answers
    }

    /// Sends one batch, and again without their group the messages that SQS refused for it.
    async fn send_batch(&self, messages: &[Outgoing]) -> Vec<Result<String, Failure>> {
        let (mut results, refused) = self.send_entries(messages).await;
        if !refused.is_empty() {
            let retried: Vec<Outgoing> = refused.iter().map(|at| messages[*at].clone()).collect();
            let (sent, _) = self.send_entries(&retried).await;
            for (at, sent) in refused.into_iter().zip(sent) {
                results[at] = sent;
            }
        }
        results
    }

    /// `SendMessageBatch`; also returns the positions that SQS refused for their group.
    async fn send_entries(
        &self,
        messages: &[Outgoing],
    ) -> (Vec<Result<String, Failure>>, Vec<usize>) {
        let groups: Vec<Option<String>> =
            messages.iter().map(|it| self.message_group(it)).collect();
        let entries = messages.iter().enumerate().map(|(position, message)| {
            SendMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .set_delay_seconds(delay_of(message))
                .set_message_attributes(attributes_of(message))
                .set_message_system_attributes(system_attributes_of(message))
                .set_message_group_id(groups[position].clone())
                .message_body(message.body.clone())
                .build()
        });
        let request = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(entries.collect::<Result<_, _>>().ok())
            .send();
        let target = self.target(SqsOperation::SendMessageBatch);
        let answer = match self.call(SqsOperation::SendMessageBatch, request).await {
            Ok(answer) => answer,
            Err(CallError { failure, error }) => {
                let has_groups = groups.iter().any(Option::is_some);
                let refused =
                    if has_groups && self.detect_group_refusal(error.code(), error.message()) {
                        (0..messages.len()).collect()
                    } else {
                        Vec::new()
                    };
                return (vec![Err(failure); messages.len()], refused);
            }
        };
        // An entry that the answer does not name counts as not sent.
        let mut results = vec![Err(Failure::unanswered(target)); messages.len()];
        for sent in answer.successful() {
            if let Some(result) = sent
                .id()
                .parse()
                .ok()
                .and_then(|at: usize| results.get_mut(at))
            {
                *result = Ok(sent.message_id().to_owned());
            }
        }
        let mut refused = Vec::new();
        for failed in answer.failed() {
            let at = failed.id().parse::<usize>().ok();
            let Some(at) = at.filter(|at| *at < messages.len()) else {
                continue;
            };
            results[at] = Err(Failure::from_entry(target, failed.code()));
            if groups[at].is_some()
                && self.detect_group_refusal(Some(failed.code()), failed.message())
            {
                refused.push(at);
            }
        }
        (results, refused)
    }
}

/// The number of messages that fit into one batch: at most ten, with 1 MiB of bodies and
/// attributes together, and at least one.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
fn batch_len(messages: &[Outgoing]) -> usize {
    let mut size = 0;
    let fitting = messages
        .iter()
        .take(MAX_BATCH_ENTRIES)
        .take_while(|message| {
            size += message.size();
            size <= Outgoing::MAX_MESSAGE_BYTES
        });
    fitting.count().max(1)
}

fn is_valid_message_group(group: &str) -> bool {
    (1..=128).contains(&group.len()) && group.chars().all(|c| c.is_ascii_graphic())
}

fn delay_of(message: &Outgoing) -> Option<i32> {
    (!message.delay.is_zero()).then(|| ceil_seconds(message.delay))
}

/// The trace header. SQS also reads the call's `X-Amzn-Trace-Id`, which the SDK adds in a
/// Lambda; this attribute overrides it.
///
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-services-sqs.html>
fn system_attributes_of(
    message: &Outgoing,
) -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let header = message.trace_header.as_ref();
    let header = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(header.filter(|header| is_xray_header(header))?)
        .build()
        .ok()?;
    Some(HashMap::from([(
        MessageSystemAttributeNameForSends::AwsTraceHeader,
        header,
    )]))
}

fn attributes_of(message: &Outgoing) -> Option<HashMap<String, MessageAttributeValue>> {
    let attributes: HashMap<_, _> = message
        .attributes
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), string_attribute(value)?)))
        .collect();
    (!attributes.is_empty()).then_some(attributes)
}

fn string_attribute(value: &str) -> Option<MessageAttributeValue> {
    if value.is_empty() {
        return None;
    }
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_message_groups_that_sqs_accepts_are_valid() {
        let long = "x".repeat(129);
        for (group, accepted) in [
            ("eu-west-1_x", true),
            ("", false),
            ("a b", false),
            ("pööl", false),
            (long.as_str(), false),
        ] {
            assert_eq!(is_valid_message_group(group), accepted, "{group}");
        }
    }

    #[test]
    fn a_batch_holds_ten_messages_or_a_mebibyte() {
        let message = |bytes: usize| Outgoing {
            body: "x".repeat(bytes),
            ..Outgoing::default()
        };
        assert_eq!(batch_len(&vec![message(10); 25]), 10);
        assert_eq!(
            batch_len(&vec![message(Outgoing::MAX_MESSAGE_BYTES / 3); 10]),
            3
        );
        assert_eq!(
            batch_len(&[message(Outgoing::MAX_MESSAGE_BYTES), message(1)]),
            1
        );
        assert_eq!(
            batch_len(&[message(Outgoing::MAX_MESSAGE_BYTES + 1)]),
            1,
            "SQS will say what is wrong"
        );
    }
}
