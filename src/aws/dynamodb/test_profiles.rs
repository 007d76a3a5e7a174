//! Amazon `DynamoDB`: profiles that a load test reads and deletes.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::batch_get::{Item, ReadOptions, batch_get};
use super::profiles::ProfileTable;
use crate::aws::client::Aws;
use crate::aws::error::Failure;

/// Reads and deletes profiles of test users.
#[derive(Debug, Clone)]
pub(crate) struct TestProfiles(ProfileTable);

/// The attributes of type String; usher writes no others.
pub(crate) type ProfileAttributes = BTreeMap<String, String>;

impl TestProfiles {
    /// Limit of keys for one [`Self::read`].
    pub(crate) const MAX_READ_KEYS: usize = 100;

    /// `key` is the name of the table's partition key.
    pub(crate) fn new(aws: &Aws, table: &str, key: &str) -> Self {
        Self(ProfileTable::new(aws, table, key))
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
        let options = ReadOptions {
            keys_only: false,
            consistent,
        };
        let items = batch_get(&self.0.client, &self.0.table(), ids, options).await?;
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
        self.0.delete_profile(id, None).await
    }
}

fn string_attributes(item: Item) -> ProfileAttributes {
    let texts = item.into_iter().filter_map(|(name, value)| match value {
        AttributeValue::S(text) => Some((name, text)),
        _ => None,
    });
    texts.collect()
}
