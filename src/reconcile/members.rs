//! Who is in which group.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::event::Username;

/// Memberships, each by a 64-bit fingerprint under random keys: one in some 10^12 users is
/// taken for a member who is none. Five million take 72 MiB, and 108 MiB while
/// the set grows.
#[derive(Debug, Default)]
pub(super) struct Members {
    keys: RandomState,
    fingerprints: HashSet<u64>,
}

impl Members {
    /// Notes that the user is a member of the group at this place of the list.
    pub(super) fn add(&mut self, group: usize, user: &Username) {
        self.fingerprints.insert(self.fingerprint(group, user));
    }

    /// Whether the user is a member of the group at this place of the list.
    pub(super) fn has(&self, group: usize, user: &Username) -> bool {
        self.fingerprints.contains(&self.fingerprint(group, user))
    }

    fn fingerprint(&self, group: usize, user: &Username) -> u64 {
        self.keys.hash_one((group, user.reveal()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: usize) -> Username {
        Username::new(&format!("user-{n}")).expect("not empty")
    }

    #[test]
    fn members_are_known_by_group_and_others_are_not() {
        let mut members = Members::default();
        for n in 0..10_000 {
            members.add(n % 2, &user(n));
        }
        assert!((0..10_000).all(|n| members.has(n % 2, &user(n))));
        assert!((0..10_000).all(|n| !members.has(1 - n % 2, &user(n))));
        assert!((10_000..20_000).all(|n| !members.has(0, &user(n))));
    }
}
