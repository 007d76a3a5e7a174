//! Amazon `DynamoDB`: many items by their keys.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use crate::aws::call::call;
use crate::aws::error::Failure;
use crate::aws::operation::DynamoDbOperation;
use crate::aws::operation::Target;
use crate::retry::Backoff;

/// Rounds of one read. Keys that are unprocessed after them count as throttled.
const MAX_READ_ROUNDS: u32 = 6;
const THROUGHPUT_EXCEEDED: &str = "ProvisionedThroughputExceededException";

/// A table by its name and its partition key, a String.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) name: &'a str,
    pub(super) key: &'a str,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ReadOptions {
    /// Reads only the keys, not whole items.
    pub(super) keys_only: bool,
    /// Sees all earlier writes, and costs twice as much.
    pub(super) consistent: bool,
}

impl ReadOptions {
    /// For a check whether items exist.
    pub(super) const KEYS_ONLY: Self = Self {
        keys_only: true,
        consistent: true,
    };
}

pub(super) type Item = HashMap<String, AttributeValue>;

/// `BatchGetItem` of at most 100 keys; returns the items that exist.
///
/// # Errors
/// As any call; throttled when keys stay unprocessed after the last round.
pub(super) async fn batch_get(
    client: &Client,
    table: &Table<'_>,
    ids: &[&str],
    options: ReadOptions,
) -> Result<BTreeMap<String, Item>, Failure> {
    let Table { name, key } = *table;
    let operation = DynamoDbOperation::BatchGetItem;
    let target = Target {
        operation: operation.into(),
        resource: name,
    };
    let id_of = |item: &Item| item.get(key)?.as_s().ok().cloned();
    let mut items = BTreeMap::new();
    // `DynamoDB` refuses a request that has the same key twice.
    let mut wanted: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let mut backoff = Backoff::default();
    for round in 0.. {
        if wanted.is_empty() {
            break;
        }
        match round {
            0 => {}
            MAX_READ_ROUNDS => return Err(Failure::from_entry(target, THROUGHPUT_EXCEEDED)),
            _ => tokio::time::sleep(backoff.next_pause()).await,
        }
        let keys = wanted
            .iter()
            .map(|id| HashMap::from([(key.to_owned(), AttributeValue::S(id.clone()))]));
        let mut table_request = KeysAndAttributes::builder()
            .set_keys(Some(keys.collect()))
            .consistent_read(options.consistent);
        if options.keys_only {
            table_request = table_request
                .projection_expression("#key")
                .expression_attribute_names("#key", key);
        }
        let table_request = table_request.build().ok();
        let request = client
            .batch_get_item()
            .set_request_items(table_request.map(|it| HashMap::from([(name.to_owned(), it)])))
            .send();
        let answer = call(operation, name, request).await?;
        let found = answer.responses.unwrap_or_default().into_values().flatten();
        items.extend(found.filter_map(|item| Some((id_of(&item)?, item))));
        // Keys beyond the size of one answer or the table's throughput.
        let unprocessed = answer.unprocessed_keys.unwrap_or_default().into_values();
        wanted = unprocessed
            .flat_map(|table_keys| table_keys.keys)
            .filter_map(|key| id_of(&key))
            .collect();
    }
    Ok(items)
}
