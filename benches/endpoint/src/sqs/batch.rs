//! The rules of batches, and the results of their entries.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer;
use crate::answer::Fault;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Batch<T> {
    pub(super) queue_url: String,
    pub(super) entries: Vec<T>,
}

/// The response of a batch, with the result of each entry.
pub(super) fn settled<'a>(results: impl Iterator<Item = (&'a str, Result<(), Fault>)>) -> Vec<u8> {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, result) in results {
        match result {
            Ok(()) => successful.push(json!({"Id": id})),
            Err(fault) => failed.push(failed_entry(id, &fault)),
        }
    }
    answer(&batch_answer(successful, failed))
}

pub(super) fn failed_entry(id: &str, fault: &Fault) -> Value {
    let code = fault.kind.rsplit('#').next();
    json!({"Id": id, "Code": code, "SenderFault": true, "Message": fault.message})
}

/// Both lists are required members of a response, even when empty.
pub(super) fn batch_answer(successful: Vec<Value>, failed: Vec<Value>) -> Value {
    let lists = [("Successful", successful), ("Failed", failed)];
    lists
        .into_iter()
        .map(|(name, list)| (name.to_owned(), Value::from(list)))
        .collect()
}

/// Refuses a batch that breaks the rules of all batches.
pub(super) fn check<T>(entries: &[T], id: impl Fn(&T) -> &String) -> Result<(), Fault> {
    let fault = |code: &'static str, kind: &str, message: &str| {
        Err(Fault {
            query_error: Some(code),
            ..Fault::new(format!("com.amazonaws.sqs#{kind}"), message)
        })
    };
    let mut ids: Vec<&String> = entries.iter().map(id).collect();
    ids.sort();
    ids.dedup();
    if entries.is_empty() {
        return fault(
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "EmptyBatchRequest",
            "There should be at least one entry in the batch.",
        );
    }
    if entries.len() > 10 {
        return fault(
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            "TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10.",
        );
    }
    if ids.len() < entries.len() {
        return fault(
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            "BatchEntryIdsNotDistinct",
            "Two or more batch entries in the request have the same Id.",
        );
    }
    Ok(())
}
