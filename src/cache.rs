//! Bounded memories.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// Remembers the `capacity` entries that were used last. Grows with them: an empty one takes no
/// memory.
#[derive(Debug)]
pub(crate) struct Cache<K: Hash + Eq, V> {
    capacity: usize,
    entries: Mutex<LruCache<K, V>>,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: Mutex::new(LruCache::unbounded()),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key).cloned()
    }

    /// Whether there is an entry, which does not count as a use.
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.lock().contains(key)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        self.insert_into(&mut self.lock(), key, value);
    }

    pub(crate) fn remove(&self, key: &K) {
        self.lock().pop(key);
    }

    pub(crate) fn get_or_insert(&self, key: &K, new: impl FnOnce() -> V) -> V {
        self.get_or_replace(key, |_| false, new)
    }

    /// Like [`Self::get_or_insert`]; also replaces an entry for which `is_old` returns true.
    pub(crate) fn get_or_replace(
        &self,
        key: &K,
        is_old: impl FnOnce(&V) -> bool,
        new: impl FnOnce() -> V,
    ) -> V {
        let mut entries = self.lock();
        if let Some(known) = entries.get(key)
            && !is_old(known)
        {
            return known.clone();
        }
        let value = new();
        self.insert_into(&mut entries, key.clone(), value.clone());
        value
    }

    fn insert_into(&self, entries: &mut LruCache<K, V>, key: K, value: V) {
        entries.put(key, value);
        if entries.len() > self.capacity {
            entries.pop_lru();
        }
    }

    /// A panic elsewhere leaves the entries whole: each call changes them in one step.
    fn lock(&self) -> MutexGuard<'_, LruCache<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_that_was_used_longest_ago_is_forgotten() {
        let cache = Cache::new(2);
        assert!(cache.is_empty());
        cache.insert("a", 1);
        cache.insert("b", 2);
        assert_eq!(cache.get(&"a"), Some(1));
        assert!(cache.contains(&"b"), "which is no use of it");
        cache.insert("c", 3);
        assert_eq!(
            ["a", "b", "c"].map(|key| cache.contains(&key)),
            [true, false, true]
        );
        assert_eq!(cache.get_or_insert(&"c", || 4), 3);
        assert_eq!(cache.get_or_replace(&"c", |known| *known == 3, || 4), 4);
        assert_eq!(cache.get(&"c"), Some(4));
        assert!(cache.contains(&"a"), "a replaced entry evicts no other");
        cache.remove(&"c");
        assert_eq!(cache.get(&"c"), None);
    }
}
