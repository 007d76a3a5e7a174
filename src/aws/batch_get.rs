//! `DynamoDB`: many records by their keys.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use super::call::{Target, call};
use super::error::{Failure, Service};
use crate::retry::Backoff;

/// Rounds of one read before what is still unprocessed counts as throttled.
const MAX_READ_ROUNDS: u32 = 6;
const THROUGHPUT_EXCEEDED: &str = "ProvisionedThroughputExceededException";

/// A table by its name and its partition key, a String.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) name: &'a str,
    pub(super) key: &'a str,
}

/// How the records are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadOptions {
    /// Keys alone, or whole items.
    pub(super) keys_only: bool,
    /// What was written just now is seen; costs twice as much.
    pub(super) consistent: bool,
}

impl ReadOptions {
    /// Whether records exist, now.
    pub(super) const KEYS_ONLY: Self = Self {
        keys_only: true,
        consistent: true,
    };
}

pub(super) type Item = HashMap<String, AttributeValue>;

/// `BatchGetItem` of at most 100 keys; answers with the items that exist.
///
/// # Errors
/// As any call; throttled when the table does not come to an end with it.
pub(super) async fn batch_get(
    client: &Client,
    table: &Table<'_>,
    ids: &[&str],
    reading: ReadOptions,
) -> Result<BTreeMap<String, Item>, Failure> {
    let Table { name, key } = *table;
    let target = Target {
        service: Service::DynamoDb,
        operation: "BatchGetItem",
        resource: name,
    };
    let id_of = |item: &Item| item.get(key)?.as_s().ok().cloned();
    let mut items = BTreeMap::new();
    // The same key twice is an error.
    let mut wanted: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let mut pace = Backoff::default();
    for round in 0.. {
        if wanted.is_empty() {
            break;
        }
        match round {
            0 => {}
            MAX_READ_ROUNDS => return Err(Failure::from_entry(target, THROUGHPUT_EXCEEDED)),
            _ => tokio::time::sleep(pace.next_pause()).await,
        }
        let keys = wanted
            .iter()
            .map(|id| HashMap::from([(key.to_owned(), AttributeValue::S(id.clone()))]));
        let mut wish = KeysAndAttributes::builder()
            .set_keys(Some(keys.collect()))
            .consistent_read(reading.consistent);
        if reading.keys_only {
            wish = wish
                .projection_expression("#key")
                .expression_attribute_names("#key", key);
        }
        let wish = wish.build().ok();
        let request = client
            .batch_get_item()
            .set_request_items(wish.map(|wish| HashMap::from([(name.to_owned(), wish)])))
            .send();
        let answer = call(target, request)
            .await
            .map_err(|(failure, _)| failure)?;
        let found = answer.responses.unwrap_or_default().into_values().flatten();
        items.extend(found.filter_map(|item| Some((id_of(&item)?, item))));
        // What was too much for one answer or for the table's throughput.
        let left = answer.unprocessed_keys.unwrap_or_default().into_values();
        wanted = left
            .flat_map(|of| of.keys)
            .filter_map(|key| id_of(&key))
            .collect();
    }
    Ok(items)
}
