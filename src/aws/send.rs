//! Amazon SQS: sending.

use std::collections::HashMap;

use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    SendMessageBatchRequestEntry,
};

use super::call::call;
use super::error::{Class, Failure};
use super::message::Outgoing;
use super::queue::{BATCH, Queue, seconds};
use crate::event::is_header;
use crate::retry::quickly;

impl Queue {
    /// `SendMessage`; answers with the message id.
    ///
    /// # Errors
    /// As any call.
    pub async fn send(&self, message: Outgoing) -> Result<String, Failure> {
        let request = self
            .client
            .send_message()
            .queue_url(&self.url)
            .set_delay_seconds(delay_of(&message))
            .set_message_attributes(attributes_of(&message))
            .set_message_system_attributes(system_attributes_of(&message))
            .set_message_group_id(group_of(&message))
            .message_body(message.body);
        let answer = call(self.target("SendMessage"), request.send())
            .await
            .map_err(|(failure, _)| failure)?;
        Ok(answer.message_id.unwrap_or_default())
    }

    /// `SendMessageBatch`, in as many calls as SQS's limits of ten messages and
    /// 1 MiB ask for. Answers for each message with its id.
    ///
    /// # Errors
    /// For each message by itself: SQS answers 200 although entries failed.
    pub async fn send_all(&self, messages: &[Outgoing]) -> Vec<Result<String, Failure>> {
        let mut answers = Vec::with_capacity(messages.len());
        let mut rest = messages;
        while !rest.is_empty() {
            let (batch, others) = rest.split_at(fitting(rest));
            answers.extend(self.send_batch(batch).await);
            rest = others;
        }
        answers
    }

    /// As [`Self::send_all`], and what failed goes once more by itself: one bad
    /// message may have kept the others from going.
    ///
    /// # Errors
    /// For each message by itself.
    pub async fn send_each(&self, messages: &[Outgoing]) -> Vec<Result<String, Failure>> {
        let mut answers = self.send_all(messages).await;
        for (answer, message) in answers.iter_mut().zip(messages) {
            if !matches!(answer, Err(failure) if failure.class != Class::Systemic) {
                continue;
            }
            *answer = quickly(|| self.send(message.clone())).await;
            if matches!(answer, Err(failure) if failure.class != Class::Permanent) {
                // It is the queue, and not the message.
                break;
            }
        }
        answers
    }

    async fn send_batch(&self, messages: &[Outgoing]) -> Vec<Result<String, Failure>> {
        let entries = messages.iter().enumerate().map(|(position, message)| {
            SendMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .set_delay_seconds(delay_of(message))
                .set_message_attributes(attributes_of(message))
                .set_message_system_attributes(system_attributes_of(message))
                .set_message_group_id(group_of(message))
                .message_body(message.body.clone())
                .build()
        });
        let request = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(entries.collect::<Result<_, _>>().ok())
            .send();
        let target = self.target("SendMessageBatch");
        let answer = match call(target, request).await {
            Ok(answer) => answer,
            Err((failure, _)) => return vec![Err(failure); messages.len()],
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
        for failed in answer.failed() {
            if let Some(result) = failed
                .id()
                .parse()
                .ok()
                .and_then(|at: usize| results.get_mut(at))
            {
                *result = Err(Failure::of_entry(target, failed.code()));
            }
        }
        results
    }
}

/// How many of the messages go into one batch: ten, and 1 MiB of bodies and
/// attributes together; one at least.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
fn fitting(messages: &[Outgoing]) -> usize {
    let mut size = 0;
    let fitting = messages.iter().take(BATCH).take_while(|message| {
        size += message.size();
        size <= Outgoing::MOST
    });
    fitting.count().max(1)
}

/// The group is the tenant for fair queues and no more: one that SQS would refuse
/// is left out.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
fn group_of(message: &Outgoing) -> Option<String> {
    let fits = |group: &&String| {
        (1..=128).contains(&group.len()) && group.chars().all(|c| c.is_ascii_graphic())
    };
    message.group.as_ref().filter(fits).cloned()
}

fn delay_of(message: &Outgoing) -> Option<i32> {
    (!message.delay.is_zero()).then(|| seconds(message.delay))
}

/// SQS takes it from the call's `X-Amzn-Trace-Id` as well, which the SDK adds in a
/// Lambda; this one goes before that.
///
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-services-sqs.html>
fn system_attributes_of(
    message: &Outgoing,
) -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let header = message.trace_header.as_ref();
    let header = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(header.filter(|header| is_header(header))?)
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
    fn a_group_is_one_that_sqs_takes_or_none() {
        let long = "x".repeat(129);
        for (group, taken) in [
            ("eu-west-1_x", true),
            ("", false),
            ("a b", false),
            ("pööl", false),
            (long.as_str(), false),
        ] {
            let message = Outgoing {
                group: Some(group.to_owned()),
                ..Outgoing::default()
            };
            assert_eq!(group_of(&message).is_some(), taken, "{group}");
        }
    }

    #[test]
    fn a_batch_holds_ten_messages_or_a_mebibyte() {
        let message = |bytes: usize| Outgoing {
            body: "x".repeat(bytes),
            ..Outgoing::default()
        };
        assert_eq!(fitting(&vec![message(10); 25]), 10);
        assert_eq!(fitting(&vec![message(Outgoing::MOST / 3); 10]), 3);
        assert_eq!(fitting(&[message(Outgoing::MOST), message(1)]), 1);
        assert_eq!(
            fitting(&[message(Outgoing::MOST + 1)]),
            1,
            "SQS will say what is wrong"
        );
    }
}
