//! A set of things that are too many to keep.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};

/// Each thing by 64 bits under random keys: one in some 10^12 is taken for another. Five
/// million take 72 MiB, and 108 MiB while the set grows.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    keys: RandomState,
    set: HashSet<u64>,
}

impl Fingerprints {
    pub(super) fn add(&mut self, thing: &(impl Hash + ?Sized)) {
        self.set.insert(self.keys.hash_one(thing));
    }

    pub(super) fn has(&self, thing: &(impl Hash + ?Sized)) -> bool {
        self.set.contains(&self.keys.hash_one(thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_known_and_nothing_else() {
        let mut fingerprints = Fingerprints::default();
        for n in 0..10_000 {
            fingerprints.add(&(n % 2, format!("user-{n}")));
        }
        assert!((0..10_000).all(|n| fingerprints.has(&(n % 2, format!("user-{n}")))));
        assert!((0..10_000).all(|n| !fingerprints.has(&(1 - n % 2, format!("user-{n}")))));
        assert!((10_000..20_000).all(|n| !fingerprints.has(&(0, format!("user-{n}")))));
    }
}
