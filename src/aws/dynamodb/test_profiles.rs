//! Amazon `DynamoDB`: profiles that a load test reads and deletes.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::batch_get::{Item, ReadOptions, Table, batch_get};
use crate::aws::call::call;
use crate::aws::client::Aws;
use crate::aws::error::Failure;
use crate::aws::operation::DynamoDbOperation;

/// Reads and deletes profiles of test users.
#[derive(Debug, Clone)]
pub(crate) struct TestProfiles {
    client: Client,
    table: String,
    key: String,
}

/// The attributes of type String; usher writes no others.
pub(crate) type ProfileAttributes = BTreeMap<String, String>;

impl TestProfiles {
    /// Limit of keys for one [`Self::read`].
    pub(crate) const MAX_READ_KEYS: usize = 100;

    /// `key` is the name of the table's partition key.
    pub(crate) fn new(aws: &Aws, table: &str, key: &str) -> Self {
        Self {
            client: aws.dynamodb(),
            table: table.to_owned(),
            key: key.to_owned(),
        }
    }

    /// `BatchGetItem` of at most 100 keys; keys that do not exist are left out. A `consistent`
    /// read sees all earlier writes, and costs twice as much.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn read(
        &self,
        ids: &[&str],
        consistent: bool,
    ) -> Result<BTreeMap<String, ProfileAttributes>, Failure> {
        let table = Table {
            name: &self.table,
            key: &self.key,
        };
        let options = ReadOptions {
            keys_only: false,
            consistent,
        };
        let items = batch_get(&self.client, &table, ids, options).await?;
        Ok(items
            .into_iter()
            .map(|(id, item)| (id, string_attributes(item)))
            .collect())
    }

    /// `DeleteItem`: whether the profile existed.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn delete(&self, id: &str) -> Result<bool, Failure> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(&self.key, AttributeValue::S(id.to_owned()))
            .return_values(ReturnValue::AllOld)
            .send();
        let answer = call(DynamoDbOperation::DeleteItem, &self.table, request).await?;
        Ok(answer.attributes.is_some_and(|item| !item.is_empty()))
    }
}

fn string_attributes(item: Item) -> ProfileAttributes {
    let texts = item.into_iter().filter_map(|(name, value)| match value {
        AttributeValue::S(text) => Some((name, text)),
        _ => None,
    });
    texts.collect()
}
