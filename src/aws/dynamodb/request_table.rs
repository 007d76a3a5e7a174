//! Amazon `DynamoDB`: the table of requests, with one item for each admin command that was queued.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::batch_get::{ReadOptions, Table, batch_get};
use super::item::to_json;
use crate::aws::call::call;
use crate::aws::client::Aws;
use crate::aws::error::Failure;
use crate::aws::operation::DynamoDbOperation;
use crate::event::AdminCommand;

/// The states of admin commands, by request id. An item has no data of the user.
#[derive(Debug, Clone)]
pub(crate) struct RequestTable {
    pub(super) client: Client,
    pub(super) table: String,
}

/// A change of a request's state.
#[derive(Debug)]
pub(crate) struct Transition<'a> {
    pub(crate) status: &'static str,
    pub(crate) at: Timestamp,
    /// The code of a failure.
    pub(crate) reason: Option<&'a str>,
    /// The id that the message had on the source queue, if it is a dead letter now.
    pub(crate) message_id: Option<&'a str>,
    /// An item that was changed after this time stays as it is.
    pub(crate) unless_changed_since: Option<Timestamp>,
}

/// Longer than SQS keeps a dead letter (14 days at most), so that the reason is still there.
const RETENTION: Duration = Duration::from_hours(30 * 24);

const APPEND: &str = "SET userPoolId = :pool, #command = :command, groupNames = :groups, \
     requestedAt = if_not_exists(requestedAt, :requested), updatedAt = :at, #expires = :expires, \
     transitions = list_append(if_not_exists(transitions, :none), :transitions)";
/// A sender to the queue can write any request id, also that of another pool. A repeated call,
/// after one whose answer was lost, must not add the transition twice.
const IS_NEW: &str = "(attribute_not_exists(#id) OR userPoolId = :pool AND updatedAt <> :at)";
const IS_OLDER: &str = "(attribute_not_exists(#id) OR updatedAt < :since)";
const NEVER: &str = "attribute_exists(#id) AND attribute_not_exists(#id)";

impl RequestTable {
    /// The partition key, a String.
    pub(crate) const KEY: &str = "id";
    /// A Number: seconds since 1970. `DynamoDB` deletes an item within days after this time.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html>
    pub(crate) const TIME_TO_LIVE: &str = "expiresAt";

    pub(crate) fn new(aws: &Aws, table: &str) -> Self {
        Self {
            client: aws.dynamodb(),
            table: table.to_owned(),
        }
    }

    /// Name or ARN of the table.
    pub(crate) fn name(&self) -> &str {
        &self.table
    }

    /// `UpdateItem`: adds a transition to the item of a command, which it creates if needed. An
    /// item of another pool, or one that changed meanwhile, stays as it is without an error.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn add_transition(
        &self,
        command: &AdminCommand,
        transition: &Transition<'_>,
    ) -> Result<(), Failure> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let time = |time: Timestamp| AttributeValue::S(format!("{time:.3}"));
        let expires = transition.at.as_second() + RETENTION.as_secs().cast_signed();
        let groups = command.operation.groups().iter();
        let entries = [
            ("status", Some(text(transition.status))),
            ("at", Some(time(transition.at))),
            ("reason", transition.reason.map(text)),
            ("messageId", transition.message_id.map(text)),
        ];
        let entry: HashMap<String, AttributeValue> = entries
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        let requested = command.requested_at.unwrap_or(transition.at);
        let request = self
            .update(&command.request_id)
            .update_expression(APPEND)
            .expression_attribute_names("#command", "command")
            .expression_attribute_names("#expires", Self::TIME_TO_LIVE)
            .expression_attribute_values(":pool", text(command.pool.as_str()))
            .expression_attribute_values(":command", text(command.operation.name()))
            .expression_attribute_values(
                ":groups",
                AttributeValue::L(groups.map(|group| text(group.as_str())).collect()),
            )
            .expression_attribute_values(":requested", time(requested))
            .expression_attribute_values(":at", time(transition.at))
            .expression_attribute_values(":expires", AttributeValue::N(expires.to_string()))
            .expression_attribute_values(":none", AttributeValue::L(Vec::new()))
            .expression_attribute_values(
                ":transitions",
                AttributeValue::L(vec![AttributeValue::M(entry)]),
            );
        let request = match transition.unless_changed_since {
            Some(since) => request
                .condition_expression(format!("{IS_NEW} AND {IS_OLDER}"))
                .expression_attribute_values(":since", time(since)),
            None => request.condition_expression(IS_NEW),
        };
        self.send(request).await
    }

    /// An `UpdateItem` whose condition can never hold: shows whether the call is allowed and the
    /// key fits, and writes nothing.
    ///
    /// # Errors
    /// Any except the condition's failure.
    pub(crate) async fn probe_update(&self) -> Result<(), Failure> {
        self.send(self.update("usher check").condition_expression(NEVER))
            .await
    }

    /// `BatchGetItem` of one item; `None` when there is none, or its time to live has ended.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn read(&self, id: &str) -> Result<Option<Map<String, Value>>, Failure> {
        let table = Table {
            name: &self.table,
            key: Self::KEY,
        };
        let options = ReadOptions {
            keys_only: false,
            consistent: true,
        };
        let mut found = batch_get(&self.client, &table, &[id], options).await?;
        let now = Timestamp::now().as_second();
        let item = found.remove(id).map(to_json);
        Ok(item.filter(|item| {
            let expires = item.get(Self::TIME_TO_LIVE).and_then(Value::as_i64);
            expires.is_none_or(|expires| expires > now)
        }))
    }

    fn update(&self, id: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key(Self::KEY, AttributeValue::S(id.to_owned()))
            .expression_attribute_names("#id", Self::KEY)
    }

    async fn send(&self, request: UpdateItemFluentBuilder) -> Result<(), Failure> {
        match call(DynamoDbOperation::UpdateItem, &self.table, request.send()).await {
            Err(refused) if refused.failure.code != "ConditionalCheckFailedException" => {
                Err(refused.failure)
            }
            _ => Ok(()),
        }
    }
}
