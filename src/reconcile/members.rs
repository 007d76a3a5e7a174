//! Who is in which group, in memory that does not grow with the pool.

use std::hash::{BuildHasher, RandomState};

use crate::event::Username;

/// Memberships that fit by default: a table of 8 MiB.
pub(super) const MOST: usize = 1 << 19;

/// Memberships of one part of the users, each by a 64-bit fingerprint under
/// random keys: one in some 10^13 users is taken for a member who is none.
///
/// When the memberships do not fit, half of the users are left out: the part is
/// halved, and the others get their turn in further passes. So memory stays the
/// same, and a pool of 500,000 users with one default group takes one pass.
#[derive(Debug)]
pub(super) struct Members {
    keys: RandomState,
    slots: Box<[u64]>,
    taken: usize,
    part: u64,
    parts: u64,
}

/// The memberships of a part do not fit, and the parts before it were larger.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Members {
    /// An empty table for the users of one of `parts` parts, a power of two.
    /// `most` memberships fit, rounded up to a power of two.
    pub(super) fn new(part: u64, parts: u64, most: usize) -> Self {
        Self {
            keys: RandomState::new(),
            // Half of the slots stay free, or looking up would get slow.
            slots: vec![0; 2 * most.next_power_of_two()].into_boxed_slice(),
            taken: 0,
            part,
            parts,
        }
    }

    /// Whether this table serves a run that is at that part of so many. In the first
    /// part it may be of a finer one: pages that were looked at before, under a
    /// coarser one, covered more.
    pub(super) fn serves(&self, part: u64, parts: u64) -> bool {
        let parts = parts.max(1);
        self.part == part && (self.parts == parts || part == 0 && self.parts > parts)
    }

    /// How many parts the users are in. May double while members are added.
    pub(super) fn parts(&self) -> u64 {
        self.parts
    }

    /// Whether the user belongs to this part.
    pub(super) fn covers(&self, user: &Username) -> bool {
        stable_hash(user) & (self.parts - 1) == self.part
    }

    /// Notes that the user is a member of the group at this place of the list.
    ///
    /// # Errors
    /// [`TooMany`] when it does not fit and this is not the first part. In the
    /// first part the table is emptied and its part halved: the answer is `true`,
    /// and the groups have to be read again.
    pub(super) fn add(&mut self, group: usize, user: &Username) -> Result<bool, TooMany> {
        if !self.covers(user) {
            return Ok(false);
        }
        let fingerprint = self.fingerprint(group, user);
        let slot = self.slot(fingerprint);
        if self.slots[slot] != 0 {
            return Ok(false);
        }
        if self.taken < self.slots.len() / 2 {
            self.slots[slot] = fingerprint;
            self.taken += 1;
            return Ok(false);
        }
        if self.part > 0 {
            return Err(TooMany);
        }
        self.parts *= 2;
        self.slots.fill(0);
        self.taken = 0;
        Ok(true)
    }

    /// Whether the user is a member of the group at this place of the list.
    pub(super) fn has(&self, group: usize, user: &Username) -> bool {
        self.slots[self.slot(self.fingerprint(group, user))] != 0
    }

    /// Where the fingerprint is, or where it would go.
    fn slot(&self, fingerprint: u64) -> usize {
        let mask = self.slots.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "the mask takes less")]
        let mut at = fingerprint as usize & mask;
        while self.slots[at] != 0 && self.slots[at] != fingerprint {
            at = (at + 1) & mask;
        }
        at
    }

    /// Never zero, which is an empty slot.
    fn fingerprint(&self, group: usize, user: &Username) -> u64 {
        self.keys.hash_one((group, user.reveal())).max(1)
    }
}

/// FNV-1a with a final mix: the same in every process and every version, since a
/// run goes on elsewhere.
fn stable_hash(user: &Username) -> u64 {
    let hash = user
        .reveal()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: usize) -> Username {
        Username::new(&format!("user-{n}")).expect("not empty")
    }

    #[test]
    fn members_are_known_by_group_and_others_are_not() {
        let mut members = Members::new(0, 1, MOST);
        for n in 0..10_000 {
            assert_eq!(members.add(n % 2, &user(n)), Ok(false));
        }
        assert!((0..10_000).all(|n| members.has(n % 2, &user(n))));
        assert!((0..10_000).all(|n| !members.has(1 - n % 2, &user(n))));
        assert!((10_000..20_000).all(|n| !members.has(0, &user(n))));
    }

    #[test]
    fn what_does_not_fit_is_left_to_another_pass() {
        let mut members = Members::new(0, 1, MOST);
        let fill = |members: &mut Members| (0..=MOST).any(|n| members.add(0, &user(n)) == Ok(true));
        assert!(fill(&mut members), "halved");
        assert_eq!(members.parts(), 2);
        assert!(!fill(&mut members), "half of them fit");
        let first = (0..=MOST).filter(|n| members.covers(&user(*n))).count();
        assert!(
            (MOST * 45 / 100..MOST * 55 / 100).contains(&first),
            "{first}"
        );
        let second = Members::new(1, 2, MOST);
        assert!((0..1000).all(|n| second.covers(&user(n)) != members.covers(&user(n))));
        assert!((0..=MOST).all(|n| members.has(0, &user(n)) == members.covers(&user(n))));
    }

    #[test]
    fn a_later_part_cannot_be_halved() {
        let mut members = Members::new(1, 2, MOST);
        let answer = (0..3 * MOST).find_map(|n| members.add(0, &user(n)).err());
        assert_eq!(answer, Some(TooMany));
    }
}
