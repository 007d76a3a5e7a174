//! Amazon `DynamoDB`: profile records, read back and removed by a load test.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::batch_get::{Item, ReadOptions, Table, batch_get};
use super::call::{Target, call};
use super::client::Aws;
use super::error::{Failure, Service};

/// The table of profile records, for looking at it.
#[derive(Debug, Clone)]
pub(crate) struct TestProfiles {
    client: Client,
    table: String,
    key: String,
}

/// The attributes of type String, of which profile records are made.
pub(crate) type ProfileAttributes = BTreeMap<String, String>;

impl TestProfiles {
    /// The most that [`Self::read`] takes.
    pub(crate) const MAX_READ_KEYS: usize = 100;

    /// The table with its partition key.
    pub(crate) fn new(aws: &Aws, table: &str, key: &str) -> Self {
        Self {
            client: aws.dynamodb(),
            table: table.to_owned(),
            key: key.to_owned(),
        }
    }

    /// `BatchGetItem` of at most 100 keys; those that do not exist are left out.
    /// A `consistent` read sees what was written just now, and costs twice as much.
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
        let reading = ReadOptions {
            keys_only: false,
            consistent,
        };
        let items = batch_get(&self.client, &table, ids, reading).await?;
        Ok(items
            .into_iter()
            .map(|(id, item)| (id, string_attributes(item)))
            .collect())
    }

    /// `DeleteItem`: whether there was one.
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
        let target = Target {
            service: Service::DynamoDb,
            operation: "DeleteItem",
            resource: &self.table,
        };
        let answer = call(target, request)
            .await
            .map_err(|(failure, _)| failure)?;
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
