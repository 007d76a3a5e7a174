//! The results file: one JSON object for each row, without personal data. A hash of all its
//! values identifies a row, so an edited row is done again. The first line holds the key of
//! the hashes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::row_result::RowResult;
use crate::cli::Usage;
use crate::event::{GroupName, Invitation, PoolId, Username};

/// The first line. Like each entry it begins with `LINE_PREFIX`, which identifies a cut line.
#[derive(Serialize, Deserialize)]
struct ResultsHeader {
    pool: String,
    key: HashKey,
}

/// Each line after the header.
#[derive(Debug, Serialize, Deserialize)]
struct ResultsEntry {
    pool: String,
    row: String,
    at: jiff::Timestamp,
    #[serde(flatten)]
    result: RowResult,
}

const LINE_PREFIX: &str = "{\"pool\":";

/// The last result of each row from earlier runs.
pub(super) struct PastResults {
    pub(super) key: HashKey,
    rows: HashMap<String, RowResult>,
    /// Length of the file in bytes.
    length: u64,
    /// Length in bytes without a last line that was cut off.
    intact_length: u64,
    /// The last line lacks only its line feed.
    is_unterminated: bool,
}

#[derive(Debug)]
pub(super) struct ResultsFile {
    file: File,
    path: PathBuf,
    pool: PoolId,
}

impl PastResults {
    /// No results, and a new key.
    pub(super) fn empty() -> anyhow::Result<Self> {
        Ok(Self {
            key: HashKey::random().context("/dev/urandom")?,
            rows: HashMap::new(),
            length: 0,
            intact_length: 0,
            is_unterminated: false,
        })
    }

    /// A file that does not exist holds no results.
    pub(super) fn read(path: &Path, pool: &PoolId) -> anyhow::Result<Self> {
        let name = path.display();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::empty(),
            Err(error) => return Err(error).with_context(|| format!("--results {name}")),
        };
        let mut past = Self::empty()?;
        past.length = bytes.len() as u64;
        for line in String::from_utf8_lossy(&bytes).split_inclusive('\n') {
            let read = if past.intact_length == 0 {
                serde_json::from_str::<ResultsHeader>(line).map(|header| {
                    past.key = header.key;
                    header.pool
                })
            } else {
                serde_json::from_str::<ResultsEntry>(line).map(|entry| {
                    past.rows.insert(entry.row, entry.result);
                    entry.pool
                })
            };
            match read {
                Ok(other) if other != pool.as_str() => {
                    return Err(Usage::error(format!(
                        "--results {name} belongs to the user pool {other}: name another file \
                         with --results"
                    )));
                }
                Ok(_) => past.is_unterminated = !line.ends_with('\n'),
                // A process that was killed may leave half a line.
                Err(_) if !line.ends_with('\n') && is_results_line(line) => return Ok(past),
                Err(_) => {
                    return Err(Usage::error(format!(
                        "--results {name} is not a results file of this version of usher: remove it, or \
                         choose another with --results"
                    )));
                }
            }
            past.intact_length += line.len() as u64;
        }
        Ok(past)
    }

    pub(super) fn get(&self, row: &str) -> Option<&RowResult> {
        self.rows.get(row)
    }
}

fn is_results_line(cut: &str) -> bool {
    cut.starts_with(LINE_PREFIX) || LINE_PREFIX.starts_with(cut)
}

impl ResultsFile {
    /// Opens the file for appending, and removes a line that was cut off.
    pub(super) fn open(path: &Path, pool: &PoolId, past: &PastResults) -> anyhow::Result<Self> {
        let open = || {
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    return Err(std::io::Error::other("another run is writing to it"));
                }
                // Not every file system can lock, and two runs do no harm.
                Err(TryLockError::Error(_)) | Ok(()) => {}
            }
            if file.metadata()?.len() != past.length {
                return Err(std::io::Error::other(
                    "another run has written to it meanwhile: run this again",
                ));
            }
            if past.intact_length < past.length {
                file.set_len(past.intact_length)?;
            }
            if past.is_unterminated {
                file.write_all(b"\n")?;
            }
            if past.intact_length == 0 {
                let header = ResultsHeader {
                    pool: pool.as_str().to_owned(),
                    key: past.key.clone(),
                };
                file.write_all((serde_json::to_string(&header)? + "\n").as_bytes())?;
            }
            Ok(file)
        };
        Ok(Self {
            file: open().with_context(|| format!("--results {}", path.display()))?,
            path: path.to_owned(),
            pool: pool.clone(),
        })
    }

    /// One write for each line, so nothing has to be flushed.
    pub(super) fn write(&mut self, row: &str, result: &RowResult) -> anyhow::Result<()> {
        let entry = ResultsEntry {
            pool: self.pool.as_str().to_owned(),
            row: row.to_owned(),
            at: jiff::Timestamp::now(),
            result: result.clone(),
        };
        let line = serde_json::to_string(&entry)? + "\n";
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("--results {}", self.path.display()))
    }
}

/// `people.csv` gives `people.csv.results.jsonl`.
pub(super) fn default_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".results.jsonl");
    path.into()
}

/// The key of a file's hashes: 64 hexadecimal digits. Without one, a row would have the same
/// hash in every file, and in a precomputed table of addresses. The file holds the key, so it
/// is not secret.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub(super) struct HashKey(String);

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
    fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(to_hex(&bytes)))
    }

    /// 32 hexadecimal digits that identify a row of a pool.
    pub(super) fn hash(&self, pool: &PoolId, invitation: &Invitation) -> anyhow::Result<String> {
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
    use super::super::row_result::RowStatus;
    use super::*;
    use crate::event::InvitationDraft;

    fn pool(id: &str) -> PoolId {
        PoolId::new(id).expect("not empty")
    }

    fn row_result(status: RowStatus) -> RowResult {
        RowResult {
            line: Some(2),
            status,
            sub: Some("1234".to_owned()),
            created: Some(true),
            mail: Some("sent".to_owned()),
            reason: None,
            group: None,
        }
    }

    #[test]
    fn last_result_counts_and_a_cut_line_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.jsonl");
        let pool_id = pool("a_1");
        let write = |row: &str, status| {
            let past = PastResults::read(&path, &pool_id).expect("ours");
            let mut results = ResultsFile::open(&path, &pool_id, &past).expect("opened");
            results.write(row, &row_result(status)).expect("written");
        };
        let status = |row: &str| {
            let past = PastResults::read(&path, &pool_id).expect("ours");
            past.get(row).map(|result| result.status)
        };
        write("x", RowStatus::Failed);
        write("x", RowStatus::Invited);
        write("y", RowStatus::Exists);
        assert_eq!(status("x"), Some(RowStatus::Invited));
        let whole = std::fs::read_to_string(&path).expect("text");
        let key = whole.lines().next().expect("the key").to_owned();
        for length in [whole.len() - 1, whole.len() - 9, whole.len() - 100] {
            std::fs::write(&path, &whole[..length]).expect("cut");
            let is_whole = length == whole.len() - 1;
            assert_eq!(status("y").is_some(), is_whole, "{length}");
            write("z", RowStatus::Resent);
            assert_eq!(status("x"), Some(RowStatus::Invited));
            assert_eq!(status("z"), Some(RowStatus::Resent));
            let text = std::fs::read_to_string(&path).expect("text");
            assert!(text.starts_with(&key), "{text}");
        }
        // A file without a result: only the key, or part of it.
        for length in [key.len() + 1, key.len(), key.len() - 9, 3, 0] {
            std::fs::write(&path, &whole[..length]).expect("cut");
            write("x", RowStatus::Exists);
            let text = std::fs::read_to_string(&path).expect("text");
            assert_eq!(text.starts_with(&key), length >= key.len(), "{text}");
            assert_eq!(
                (text.lines().count(), status("x")),
                (2, Some(RowStatus::Exists))
            );
        }
    }

    #[test]
    fn file_of_another_pool_or_format_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.jsonl");
        let past = PastResults::empty().expect("random");
        let mut results = ResultsFile::open(&path, &pool("a_1"), &past).expect("opened");
        let locked = ResultsFile::open(&path, &pool("a_1"), &past).expect_err("locked");
        assert!(format!("{locked:#}").contains("is writing"), "{locked:#}");
        results
            .write("x", &row_result(RowStatus::Invited))
            .expect("written");
        drop(results);
        let late = ResultsFile::open(&path, &pool("a_1"), &past).expect_err("written to");
        assert!(format!("{late:#}").contains("meanwhile"), "{late:#}");
        let wrong = PastResults::read(&path, &pool("b_1"))
            .err()
            .expect("another pool");
        assert!(wrong.to_string().contains("a_1"), "{wrong}");
        let whole = std::fs::read_to_string(&path).expect("text");
        let without_key = whole.split_once('\n').expect("two lines").1;
        for text in [
            "email",
            "email\nada@example.com\n",
            "{}\n",
            "{\"pool\":\n",
            without_key,
        ] {
            std::fs::write(&path, text).expect("written");
            assert!(PastResults::read(&path, &pool("a_1")).is_err(), "{text}");
        }
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
