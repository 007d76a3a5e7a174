//! A set of hashes, for millions of names that would need too much memory.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};

/// Stores 64 bits of each value under random keys. About one in 10^12 values is mistaken
/// for another. Five million take 72 MiB, and 108 MiB while the set grows.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    keys: RandomState,
    set: HashSet<u64>,
}

impl Fingerprints {
    pub(super) fn add(&mut self, value: &(impl Hash + ?Sized)) {
        self.set.insert(self.keys.hash_one(value));
    }

    pub(super) fn has(&self, value: &(impl Hash + ?Sized)) -> bool {
        self.set.contains(&self.keys.hash_one(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_added_values_are_found() {
        let mut fingerprints = Fingerprints::default();
        for n in 0..10_000 {
            fingerprints.add(&(n % 2, format!("user-{n}")));
        }
        assert!((0..10_000).all(|n| fingerprints.has(&(n % 2, format!("user-{n}")))));
        assert!((0..10_000).all(|n| !fingerprints.has(&(1 - n % 2, format!("user-{n}")))));
        assert!((10_000..20_000).all(|n| !fingerprints.has(&(0, format!("user-{n}")))));
    }
}
