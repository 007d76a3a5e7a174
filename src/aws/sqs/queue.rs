//! Amazon SQS: one queue, source or dead-letter.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
};
use tokio::time::Instant;

use super::message::{Depth, FailedEntry, QueueAttributes, Received, RedrivePolicy};
use crate::aws::call::{CallError, call};
use crate::aws::classify::Class;
use crate::aws::client::Aws;
use crate::aws::error::Failure;
use crate::aws::operation::SqsOperation;
use crate::aws::operation::Target;
use crate::reason::Reason;

/// SQS's limit of entries in one call.
pub(crate) const MAX_BATCH_ENTRIES: usize = 10;

/// A client for one queue, by its URL.
#[derive(Debug, Clone)]
pub struct Queue {
    aws: Aws,
    pub(super) client: Client,
    poll_client: Client,
    pub(super) url: String,
    wait: Duration,
    visibility: Duration,
    /// Whether it has refused a `MessageGroupId`. Shared by every copy of this client.
    pub(super) message_groups_unsupported: Arc<AtomicBool>,
}

impl Queue {
    /// `wait` is the long poll; `visibility` is the visibility timeout of a receive.
    pub fn new(aws: &Aws, url: &str, wait: Duration, visibility: Duration) -> Self {
        Self {
            aws: aws.clone(),
            client: aws.sqs(url),
            poll_client: aws.sqs_poll(url, wait),
            url: url.to_owned(),
            wait,
            visibility,
            message_groups_unsupported: Arc::default(),
        }
    }

    /// A queue that is only sent to. It has one client, since each client parses all CA
    /// certificates again.
    pub(crate) fn send_only(aws: &Aws, url: &str) -> Self {
        let client = aws.sqs(url);
        Self {
            aws: aws.clone(),
            poll_client: client.clone(),
            client,
            url: url.to_owned(),
            wait: Duration::ZERO,
            visibility: Duration::ZERO,
            message_groups_unsupported: Arc::default(),
        }
    }

    /// Another queue, by a URL that an operator gave: the host in the URL counts.
    #[must_use]
    pub(crate) fn with_url_and_endpoint(&self, url: &str) -> Self {
        if self.aws.queue_endpoint(url) == self.aws.queue_endpoint(&self.url) {
            self.with_url(url)
        } else {
            Self::new(&self.aws, url, self.wait, self.visibility)
        }
    }

    /// Another queue over the same clients and endpoint, by a URL that SQS returned. The host in
    /// the URL does not count.
    #[must_use]
    pub fn with_url(&self, url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..self.clone()
        }
    }

    /// The same queue with a shorter long poll. A longer `wait` has no effect.
    #[must_use]
    pub(crate) fn with_wait(&self, wait: Duration) -> Self {
        Self {
            wait: wait.min(self.wait),
            ..self.clone()
        }
    }

    /// The URL that names the queue.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How long a receive waits for messages.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// The visibility timeout of a receive.
    pub fn visibility(&self) -> Duration {
        self.visibility
    }

    /// `ReceiveMessage`, up to `max` (1 to 10) messages. An empty answer is not an error: a
    /// long poll also stays empty over the queue's in-flight limit.
    ///
    /// # Errors
    /// As any call. A time-out may have hidden messages until their visibility
    /// timeout ends.
    pub async fn receive(&self, max: usize) -> Result<Vec<Received>, Failure> {
        let request = self
            .poll_client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max.clamp(1, MAX_BATCH_ENTRIES)).unwrap_or(1))
            .wait_time_seconds(ceil_seconds(self.wait))
            .visibility_timeout(ceil_seconds(self.visibility))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(
                MessageSystemAttributeName::ApproximateFirstReceiveTimestamp,
            )
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_system_attribute_names(MessageSystemAttributeName::AwsTraceHeader)
            .send();
        let answer = self.call(SqsOperation::ReceiveMessage, request).await?;
        let received = Instant::now();
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .filter_map(|message| Received::from_sdk(message, received))
            .collect())
    }

    /// `DeleteMessageBatch` of at most 10 receipts. SQS answers 200 although entries failed;
    /// returns those entries.
    ///
    /// # Errors
    /// When the whole call failed.
    pub async fn delete(&self, receipts: &[&str]) -> Result<Vec<FailedEntry>, Failure> {
        let entries = receipts.iter().enumerate().map(|(position, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(*receipt)
                .build()
        });
        let request = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(entries.collect::<Result<_, _>>().ok())
            .send();
        let answer = self.call(SqsOperation::DeleteMessageBatch, request).await?;
        Ok(self.failed_entries(SqsOperation::DeleteMessageBatch, &answer.failed))
    }

    /// `ChangeMessageVisibilityBatch` of at most 10 receipts, each hidden for
    /// the given time from now on, rounded up to whole seconds.
    ///
    /// # Errors
    /// When the whole call failed.
    pub async fn change_visibility(
        &self,
        receipts: &[(&str, Duration)],
    ) -> Result<Vec<FailedEntry>, Failure> {
        let entries = receipts
            .iter()
            .enumerate()
            .map(|(position, (receipt, time))| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(*receipt)
                    .visibility_timeout(ceil_seconds(*time))
                    .build()
            });
        let request = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url)
            .set_entries(entries.collect::<Result<_, _>>().ok())
            .send();
        let answer = self
            .call(SqsOperation::ChangeMessageVisibilityBatch, request)
            .await?;
        Ok(self.failed_entries(SqsOperation::ChangeMessageVisibilityBatch, &answer.failed))
    }

    /// `GetQueueAttributes`, of all attributes.
    ///
    /// # Errors
    /// As any call.
    pub async fn attributes(&self) -> Result<QueueAttributes, Failure> {
        let request = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::All)
            .send();
        let answer = self.call(SqsOperation::GetQueueAttributes, request).await?;
        let attributes = answer.attributes.unwrap_or_default();
        let number = |name: QueueAttributeName| attributes.get(&name)?.parse::<u64>().ok();
        let depth = Depth {
            visible: number(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or_default(),
            hidden: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
                .unwrap_or_default(),
            delayed: number(QueueAttributeName::ApproximateNumberOfMessagesDelayed)
                .unwrap_or_default(),
        };
        Ok(QueueAttributes {
            arn: attributes
                .get(&QueueAttributeName::QueueArn)
                .cloned()
                .unwrap_or_default(),
            depth,
            redrive_policy: attributes
                .get(&QueueAttributeName::RedrivePolicy)
                .and_then(|policy| RedrivePolicy::parse(policy)),
            retention_seconds: number(QueueAttributeName::MessageRetentionPeriod),
        })
    }

    /// `GetQueueUrl` for a queue that is named by its ARN.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn url_of(&self, arn: &str) -> Result<String, Failure> {
        let mut parts = arn.rsplit(':');
        let name = parts.next().unwrap_or_default();
        let owner = parts
            .next()
            .filter(|owner| !owner.is_empty())
            .map(str::to_owned);
        let request = self
            .client
            .get_queue_url()
            .queue_name(name)
            .set_queue_owner_aws_account_id(owner)
            .send();
        let answer = call(SqsOperation::GetQueueUrl, name, request).await?;
        Ok(answer.queue_url.unwrap_or_default())
    }

    /// The failure for a call that its own time-out did not end.
    pub(crate) fn timeout_failure(&self, operation: SqsOperation) -> Failure {
        let target = self.target(operation);
        Failure::for_call(target, "hung", Reason::Timeout, Class::Transient)
    }

    pub(super) fn call<'a, T, E>(
        &'a self,
        operation: SqsOperation,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> impl Future<Output = Result<T, CallError<E>>> + Send + 'a
    where
        T: Send + 'a,
        E: ProvideErrorMetadata + std::error::Error + Send + 'static,
    {
        call(operation, self.name(), request)
    }

    pub(super) fn target(&self, operation: SqsOperation) -> Target<'_> {
        Target {
            operation: operation.into(),
            resource: self.name(),
        }
    }

    fn failed_entries(
        &self,
        operation: SqsOperation,
        failed: &[BatchResultErrorEntry],
    ) -> Vec<FailedEntry> {
        failed
            .iter()
            .filter_map(|entry| {
                Some(FailedEntry {
                    position: entry.id().parse().ok()?,
                    failure: Failure::from_entry(self.target(operation), entry.code()),
                })
            })
            .collect()
    }

    /// The name at the end of the URL.
    pub(crate) fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }
}

/// Whole seconds, rounded up, as SQS expects them.
pub(super) fn ceil_seconds(time: Duration) -> i32 {
    let up = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(up).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_to_whole_seconds() {
        assert_eq!(ceil_seconds(Duration::ZERO), 0);
        assert_eq!(ceil_seconds(Duration::from_millis(1)), 1);
        assert_eq!(ceil_seconds(Duration::from_secs(20)), 20);
    }
}
