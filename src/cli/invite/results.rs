//! What became of each row, in a file beside it: one JSON object a line, without
//! personal data. A row is known by a hash of all that it says, so that one that was
//! edited is done again. The first line is the key of the hashes.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::hash::HashKey;
use super::row_result::RowResult;
use crate::cli::Usage;
use crate::event::PoolId;

/// The first line. The beginning of a line is how one of ours is known that was cut off.
#[derive(Serialize, Deserialize)]
struct ResultsHeader {
    pool: String,
    key: HashKey,
}

/// Each line after it.
#[derive(Debug, Serialize, Deserialize)]
struct ResultsEntry {
    pool: String,
    row: String,
    at: jiff::Timestamp,
    #[serde(flatten)]
    result: RowResult,
}

const LINE_PREFIX: &str = "{\"pool\":";

/// What earlier runs wrote: the last word on each row.
pub(super) struct PastResults {
    /// Of the file's hashes.
    pub(super) key: HashKey,
    rows: HashMap<String, RowResult>,
    /// The length of the file.
    length: u64,
    /// The length of the lines that are whole, when the last one is not.
    intact_length: Option<u64>,
    /// The last line lacks nothing but its end.
    is_unterminated: bool,
}

/// The file, being written.
#[derive(Debug)]
pub(super) struct ResultsFile {
    file: File,
    path: PathBuf,
    pool: PoolId,
}

impl PastResults {
    /// Of no file.
    pub(super) fn empty() -> anyhow::Result<Self> {
        Ok(Self {
            key: HashKey::random().context("/dev/urandom")?,
            rows: HashMap::new(),
            length: 0,
            intact_length: None,
            is_unterminated: false,
        })
    }

    /// A file that does not exist tells nothing.
    pub(super) fn read(path: &Path, pool: &PoolId) -> anyhow::Result<Self> {
        let name = path.display();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::empty(),
            Err(error) => return Err(error).with_context(|| format!("--results {name}")),
        };
        let mut past = Self::empty()?;
        past.length = bytes.len() as u64;
        let mut length = 0;
        for line in String::from_utf8_lossy(&bytes).split_inclusive('\n') {
            let read = if length == 0 {
                serde_json::from_str::<ResultsHeader>(line).map(|head| {
                    past.key = head.key;
                    head.pool
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
                Err(_) if !line.ends_with('\n') && is_results_line(line) => {
                    past.intact_length = Some(length);
                }
                Err(_) => {
                    return Err(Usage::error(format!(
                        "--results {name} is no results file of this version of usher invite: \
                         remove it, or name another with --results"
                    )));
                }
            }
            length += line.len() as u64;
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
    /// Opens the file, without the half of a line that the past may end in.
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
            if let Some(length) = past.intact_length {
                file.set_len(length)?;
            } else if past.is_unterminated {
                file.write_all(b"\n")?;
            }
            if past.intact_length.unwrap_or(past.length) == 0 {
                let head = ResultsHeader {
                    pool: pool.as_str().to_owned(),
                    key: past.key.clone(),
                };
                file.write_all((serde_json::to_string(&head)? + "\n").as_bytes())?;
            }
            Ok(file)
        };
        Ok(Self {
            file: open().with_context(|| format!("--results {}", path.display()))?,
            path: path.to_owned(),
            pool: pool.clone(),
        })
    }

    /// One write for one line: nothing is left to be flushed.
    pub(super) fn write(&mut self, row: String, answer: &RowResult) -> anyhow::Result<()> {
        let entry = ResultsEntry {
            pool: self.pool.as_str().to_owned(),
            row,
            at: jiff::Timestamp::now(),
            result: answer.clone(),
        };
        let line = serde_json::to_string(&entry)? + "\n";
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("--results {}", self.path.display()))
    }
}

/// `people.csv.results.jsonl`
pub(super) fn default_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".results.jsonl");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::invite::row_result::RowStatus;

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
        }
    }

    #[test]
    fn the_last_word_counts_and_half_a_line_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.jsonl");
        let here = pool("a_1");
        let write = |row: &str, status| {
            let past = PastResults::read(&path, &here).expect("ours");
            let mut results = ResultsFile::open(&path, &here, &past).expect("opened");
            results
                .write(row.to_owned(), &row_result(status))
                .expect("written");
        };
        let status = |row: &str| {
            let past = PastResults::read(&path, &here).expect("ours");
            past.get(row).map(|answer| answer.status)
        };
        write("x", RowStatus::Failed);
        write("x", RowStatus::Invited);
        write("y", RowStatus::Exists);
        assert_eq!(status("x"), Some(RowStatus::Invited));
        let whole = std::fs::read_to_string(&path).expect("text");
        let key = whole.lines().next().expect("the key").to_owned();
        for kept in [whole.len() - 1, whole.len() - 9, whole.len() - 100] {
            std::fs::write(&path, &whole[..kept]).expect("cut");
            let is_whole = kept == whole.len() - 1;
            assert_eq!(status("y").is_some(), is_whole, "{kept}");
            write("z", RowStatus::Resent);
            assert_eq!(status("x"), Some(RowStatus::Invited));
            assert_eq!(status("z"), Some(RowStatus::Resent));
            let text = std::fs::read_to_string(&path).expect("text");
            assert!(text.starts_with(&key), "{text}");
        }
        // A file without an answer: the key alone, or half of it.
        for kept in [key.len() + 1, key.len(), key.len() - 9, 3, 0] {
            std::fs::write(&path, &whole[..kept]).expect("cut");
            write("x", RowStatus::Exists);
            let text = std::fs::read_to_string(&path).expect("text");
            assert_eq!(text.starts_with(&key), kept >= key.len(), "{text}");
            assert_eq!(
                (text.lines().count(), status("x")),
                (2, Some(RowStatus::Exists))
            );
        }
    }

    #[test]
    fn a_file_of_another_pool_or_another_kind_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.jsonl");
        let past = PastResults::empty().expect("random");
        let mut results = ResultsFile::open(&path, &pool("a_1"), &past).expect("opened");
        let locked = ResultsFile::open(&path, &pool("a_1"), &past).expect_err("locked");
        assert!(format!("{locked:#}").contains("is writing"), "{locked:#}");
        results
            .write("x".to_owned(), &row_result(RowStatus::Invited))
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
}
