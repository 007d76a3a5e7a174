//! What a row is known by in the file of results.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::event::{GroupName, Invitation, PoolId, Username};

#[derive(Serialize)]
struct Canonical<'a> {
    pool: &'a str,
    email: &'a str,
    username: Option<&'a str>,
    attributes: &'a BTreeMap<String, String>,
    groups: BTreeSet<&'a str>,
    resend: bool,
}

/// The hash that a row of a pool is known by: 32 hexadecimal digits.
pub(super) fn hash(pool: &PoolId, invitation: &Invitation) -> anyhow::Result<String> {
    let canonical = serde_json::to_vec(&Canonical {
        pool: pool.as_str(),
        email: &invitation.email,
        username: invitation.username.as_ref().map(Username::reveal),
        attributes: &invitation.attributes,
        groups: invitation.groups.iter().map(GroupName::as_str).collect(),
        resend: invitation.resend,
    })?;
    let mut digits = String::with_capacity(32);
    for byte in Sha256::digest(canonical).iter().take(16) {
        write!(digits, "{byte:02x}")?;
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Draft;

    fn hashed(groups: &[&str], resend: bool, pool: &str) -> String {
        let invitation = Invitation::new(Draft {
            email: "ada@example.com".to_owned(),
            groups: Some(groups.iter().map(|&name| name.to_owned()).collect()),
            resend: Some(resend),
            ..Draft::default()
        });
        let pool = PoolId::new(pool).expect("not empty");
        hash(&pool, &invitation.expect("valid")).expect("JSON")
    }

    #[test]
    fn a_row_is_known_by_all_that_it_says() {
        let row = hashed(&["A", "B"], false, "a_1");
        assert_eq!(row.len(), 32);
        assert_eq!(row, hashed(&["B", "A"], false, "a_1"));
        for other in [
            hashed(&["A"], false, "a_1"),
            hashed(&["A", "B"], true, "a_1"),
            hashed(&["A", "B"], false, "a_2"),
        ] {
            assert_ne!(row, other);
        }
    }
}
