//! The lines of a results file: one JSON object for each row, without personal data. A hash of
//! all its values identifies a row, so an edited row is done again. The first line holds the key
//! of the hashes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::row_result::RowResult;
use crate::event::{GroupName, Invitation, PoolId, Username};

/// The first line. Like each entry it begins with [`LINE_PREFIX`], which identifies a cut line.
#[derive(Serialize, Deserialize)]
pub(crate) struct ResultsHeader {
    pub(crate) pool: String,
    pub(crate) key: HashKey,
}

/// Each line after the header.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResultsEntry {
    pub(crate) pool: String,
    /// The hash of the row.
    pub(crate) row: String,
    at: jiff::Timestamp,
    #[serde(flatten)]
    pub(crate) result: RowResult,
}

pub(crate) const LINE_PREFIX: &str = "{\"pool\":";

impl ResultsHeader {
    pub(crate) fn line(pool: &PoolId, key: &HashKey) -> serde_json::Result<String> {
        let header = Self {
            pool: pool.as_str().to_owned(),
            key: key.clone(),
        };
        Ok(serde_json::to_string(&header)? + "\n")
    }
}

impl ResultsEntry {
    pub(crate) fn line(pool: &PoolId, row: &str, result: &RowResult) -> serde_json::Result<String> {
        let entry = Self {
            pool: pool.as_str().to_owned(),
            row: row.to_owned(),
            at: jiff::Timestamp::now(),
            result: result.clone(),
        };
        Ok(serde_json::to_string(&entry)? + "\n")
    }
}

/// The key of a file's hashes: 64 hexadecimal digits. Without one, a row would have the same
/// hash in every file, and in a precomputed table of addresses. The file holds the key, so it
/// is not secret.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct HashKey(String);

#[derive(Serialize)]
struct CanonicalRow<'a> {
    pool: &'a str,
    email: &'a str,
    username: Option<&'a str>,
    attributes: &'a BTreeMap<String, String>,
    groups: BTreeSet<&'a str>,
    resend: bool,
}

impl HashKey {
    pub(crate) fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(to_hex(&bytes)))
    }

    /// 32 hexadecimal digits that identify a row of a pool.
    pub(crate) fn hash(&self, pool: &PoolId, invitation: &Invitation) -> anyhow::Result<String> {
        let canonical = serde_json::to_vec(&CanonicalRow {
            pool: pool.as_str(),
            email: &invitation.email,
            username: invitation.username.as_ref().map(Username::reveal),
            attributes: &invitation.attributes,
            groups: invitation.groups.iter().map(GroupName::as_str).collect(),
            resend: invitation.resend,
        })?;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes())?;
        mac.update(&canonical);
        Ok(to_hex(&mac.finalize().into_bytes()[..16]))
    }
}

impl TryFrom<String> for HashKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let is_key = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_key
            .then_some(Self(text))
            .ok_or("a key has 64 hexadecimal digits")
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::InvitationDraft;

    fn pool(id: &str) -> PoolId {
        PoolId::new(id).expect("not empty")
    }

    fn hashed(key: &HashKey, groups: &[&str], resend: bool, pool: &str) -> String {
        let invitation = Invitation::new(InvitationDraft {
            email: "ada@example.com".to_owned(),
            groups: Some(groups.iter().map(|&name| name.to_owned()).collect()),
            resend: Some(resend),
            ..InvitationDraft::default()
        });
        key.hash(&self::pool(pool), &invitation.expect("valid"))
            .expect("JSON")
    }

    #[test]
    fn hash_depends_on_values_pool_and_key_not_on_group_order() {
        let key = HashKey::try_from("0f".repeat(32)).expect("a key");
        let row = hashed(&key, &["A", "B"], false, "a_1");
        // By `printf '%s' "$JSON" | openssl dgst -sha256 -hmac $KEY`.
        assert_eq!(row, "a0a5c64b7e6121561c2b902171fbb22f");
        assert_eq!(row, hashed(&key, &["B", "A"], false, "a_1"));
        for other in [
            hashed(&key, &["A"], false, "a_1"),
            hashed(&key, &["A", "B"], true, "a_1"),
            hashed(&key, &["A", "B"], false, "a_2"),
            hashed(
                &HashKey::random().expect("random"),
                &["A", "B"],
                false,
                "a_1",
            ),
        ] {
            assert_ne!(row, other);
        }
    }

    #[test]
    fn keys_are_random_and_other_texts_are_refused() {
        let [one, other] = [(); 2].map(|()| HashKey::random().expect("random").0);
        assert_ne!(one, other);
        assert!(HashKey::try_from(one.clone()).is_ok());
        for wrong in ["", &one[1..], &one.replace(|_| true, "x")] {
            assert!(HashKey::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
