//! Amazon `DynamoDB`: profile records, read back and removed by a load test.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::batch_get::{Item, Reading, Table, batch_get};
use super::call::{Target, call};
use super::client::Aws;
use super::error::{Failure, Service};

/// The table of profile records, for looking at it.
#[derive(Debug, Clone)]
pub struct Records {
    client: Client,
    table: String,
    key: String,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its attributes of type String.
    pub texts: BTreeMap<String, String>,
    /// Of all attributes, whatever their type, within this process.
    pub fingerprint: u64,
}

impl Records {
    /// The most that [`Self::read`] takes.
    pub const MOST: usize = 100;

    /// The table with its partition key.
    pub fn new(aws: &Aws, table: &str, key: &str) -> Self {
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
    pub async fn read(
        &self,
        ids: &[&str],
        consistent: bool,
    ) -> Result<BTreeMap<String, Record>, Failure> {
        let table = Table {
            name: &self.table,
            key: &self.key,
        };
        let reading = Reading {
            keys_only: false,
            consistent,
        };
        let items = batch_get(&self.client, &table, ids, reading).await?;
        Ok(items
            .into_iter()
            .map(|(id, item)| (id, Record::of(item)))
            .collect())
    }

    /// `DeleteItem`: whether there was one.
    ///
    /// # Errors
    /// As any call.
    pub async fn delete(&self, id: &str) -> Result<bool, Failure> {
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

impl Record {
    fn of(item: Item) -> Self {
        let mut hasher = DefaultHasher::new();
        let sorted: BTreeMap<&String, &AttributeValue> = item.iter().collect();
        for (name, value) in sorted {
            hasher.write(name.as_bytes());
            hash(value, &mut hasher);
        }
        let fingerprint = hasher.finish();
        let texts = item.into_iter().filter_map(|(name, value)| match value {
            AttributeValue::S(text) => Some((name, text)),
            _ => None,
        });
        Self {
            texts: texts.collect(),
            fingerprint,
        }
    }
}

/// Maps have no order of their own; everything else prints the same each time.
fn hash(value: &AttributeValue, hasher: &mut DefaultHasher) {
    match value {
        AttributeValue::M(map) => {
            let sorted: BTreeMap<&String, &AttributeValue> = map.iter().collect();
            for (name, value) in sorted {
                hasher.write(name.as_bytes());
                hash(value, hasher);
            }
        }
        AttributeValue::L(list) => list.iter().for_each(|value| hash(value, hasher)),
        other => hasher.write(format!("{other:?}").as_bytes()),
    }
    // Where one ends and the next begins.
    hasher.write_u8(0xff);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_fingerprint_changes_with_the_record_and_not_with_the_order_of_a_map() {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let record = |plan: &str| {
            let map: HashMap<_, _> = (0..32).map(|n| (n.to_string(), text(plan))).collect();
            Record::of(HashMap::from([
                ("id".to_owned(), text("1")),
                ("nested".to_owned(), AttributeValue::M(map)),
            ]))
        };
        assert_eq!(record("pro"), record("pro"));
        assert_ne!(record("pro").fingerprint, record("free").fingerprint);
        assert_eq!(record("pro").texts.len(), 1, "texts alone");
    }
}
