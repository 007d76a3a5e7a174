//! Bounded memories.

use std::hash::Hash;

use moka::policy::EvictionPolicy;
pub(crate) use moka::sync::Cache;

/// Remembers the `capacity` entries that were used last, and for a moment a few more.
///
/// With the default policy, a full cache could refuse a new entry.
pub(crate) fn lru<K, V>(capacity: u64) -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(capacity)
        .eviction_policy(EvictionPolicy::lru())
        .build()
}
