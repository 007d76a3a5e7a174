//! What became of each row, in a file beside it: one JSON object a line, without
//! personal data. A row is known by a hash of all that it says, so that one that was
//! edited is done anew.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use crate::cli::Usage;
use crate::event::PoolId;

/// One line. Its beginning is how a line of ours is known that was cut off.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    pool: String,
    row: String,
    at: jiff::Timestamp,
    #[serde(flatten)]
    answer: Answer,
}

const BEGINNING: &str = "{\"pool\":";

/// What earlier runs wrote: the last word on each row.
#[derive(Debug, Default)]
pub(super) struct Past {
    rows: HashMap<String, Answer>,
    /// The length of the lines that are whole, when the last one is not.
    cut: Option<u64>,
    /// The last line lacks nothing but its end.
    unended: bool,
}

/// The file, being written.
#[derive(Debug)]
pub(super) struct Results {
    file: File,
    path: PathBuf,
    pool: PoolId,
}

impl Past {
    /// A file that does not exist tells nothing.
    pub(super) fn read(path: &Path, pool: &PoolId) -> anyhow::Result<Self> {
        let name = path.display();
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("--results {name}")),
        };
        let mut past = Self::default();
        let mut length = 0;
        for line in text.split_inclusive('\n') {
            match serde_json::from_str::<Entry>(line) {
                Ok(entry) if entry.pool != pool.as_str() => {
                    return Err(Usage::error(format!(
                        "--results {name} belongs to the user pool {}: name another file with \
                         --results",
                        entry.pool
                    )));
                }
                Ok(entry) => {
                    past.rows.insert(entry.row, entry.answer);
                    past.unended = !line.ends_with('\n');
                }
                // A process that was killed may leave half a line.
                Err(_) if !line.ends_with('\n') && is_ours(line) => past.cut = Some(length),
                Err(_) => {
                    return Err(Usage::error(format!(
                        "--results {name} is no results file of usher invite: remove it, or name \
                         another with --results"
                    )));
                }
            }
            length += line.len() as u64;
        }
        Ok(past)
    }

    pub(super) fn of(&self, row: &str) -> Option<&Answer> {
        self.rows.get(row)
    }
}

fn is_ours(cut: &str) -> bool {
    cut.starts_with(BEGINNING) || BEGINNING.starts_with(cut)
}

impl Results {
    /// Opens the file, without the half of a line that the past may end in.
    pub(super) fn open(path: &Path, pool: &PoolId, past: &Past) -> anyhow::Result<Self> {
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
            if let Some(length) = past.cut {
                file.set_len(length)?;
            } else if past.unended {
                file.write_all(b"\n")?;
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
    pub(super) fn write(&mut self, row: String, answer: &Answer) -> anyhow::Result<()> {
        let entry = Entry {
            pool: self.pool.as_str().to_owned(),
            row,
            at: jiff::Timestamp::now(),
            answer: answer.clone(),
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
    use crate::cli::invite::answer::Status;

    fn pool(id: &str) -> PoolId {
        PoolId::new(id).expect("not empty")
    }

    fn answer(status: Status) -> Answer {
        Answer {
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
            let past = Past::read(&path, &here).expect("ours");
            let mut results = Results::open(&path, &here, &past).expect("opened");
            results
                .write(row.to_owned(), &answer(status))
                .expect("written");
        };
        let status = |row: &str| {
            let past = Past::read(&path, &here).expect("ours");
            past.of(row).map(|answer| answer.status)
        };
        write("x", Status::Failed);
        write("x", Status::Invited);
        write("y", Status::Exists);
        assert_eq!(status("x"), Some(Status::Invited));
        let whole = std::fs::read_to_string(&path).expect("text");
        for kept in [whole.len() - 1, whole.len() - 9, whole.len() - 100] {
            std::fs::write(&path, &whole[..kept]).expect("cut");
            let is_whole = kept == whole.len() - 1;
            assert_eq!(status("y").is_some(), is_whole, "{kept}");
            write("z", Status::Resent);
            assert_eq!(status("x"), Some(Status::Invited));
            assert_eq!(status("z"), Some(Status::Resent));
        }
    }

    #[test]
    fn a_file_of_another_pool_or_another_kind_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.jsonl");
        let past = Past::default();
        let mut results = Results::open(&path, &pool("a_1"), &past).expect("opened");
        assert!(Results::open(&path, &pool("a_1"), &past).is_err(), "locked");
        results
            .write("x".to_owned(), &answer(Status::Invited))
            .expect("written");
        let wrong = Past::read(&path, &pool("b_1")).expect_err("another pool");
        assert!(wrong.to_string().contains("a_1"), "{wrong}");
        for text in ["email", "email\nada@example.com\n", "{}\n", "{\"pool\":\n"] {
            std::fs::write(&path, text).expect("written");
            assert!(Past::read(&path, &pool("a_1")).is_err(), "{text}");
        }
    }
}
