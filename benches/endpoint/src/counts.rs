//! How often each caller made each call, and how it ended.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::answer::Fault;

#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Count {
    ok: u64,
    throttled: u64,
    failed: u64,
}

/// By caller (the access key id of the signature) and operation.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Counts(BTreeMap<String, BTreeMap<String, Count>>);

impl Counts {
    pub(crate) fn record(
        &mut self,
        caller: &str,
        operation: &str,
        result: &Result<Vec<u8>, Fault>,
    ) {
        let calls = entry(&mut self.0, caller);
        let count = entry(calls, operation);
        match result {
            Ok(_) => count.ok += 1,
            Err(fault) if fault.is_throttle() => count.throttled += 1,
            Err(_) => count.failed += 1,
        }
    }
}

/// The entry of `name`. It copies the name only for a new entry.
fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, name: &str) -> &'a mut V {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    map.get_mut(name).expect("just put there")
}
