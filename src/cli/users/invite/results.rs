//! The results file on the disk: what earlier runs have done, and one more line for each row.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::Usage;
use crate::event::PoolId;
use crate::users::{HashKey, LINE_PREFIX, ResultsEntry, ResultsHeader, RowResult};

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
                    "another run has changed it: run the command again",
                ));
            }
            if past.intact_length < past.length {
                file.set_len(past.intact_length)?;
            }
            if past.is_unterminated {
                file.write_all(b"\n")?;
            }
            if past.intact_length == 0 {
                let header = ResultsHeader::line(pool, &past.key)?;
                file.write_all(header.as_bytes())?;
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
        let line = ResultsEntry::line(&self.pool, row, result)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::RowStatus;

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
        assert!(
            format!("{late:#}").contains("another run has changed it"),
            "{late:#}"
        );
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
