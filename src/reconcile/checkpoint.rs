//! A file that stores how far unfinished runs came.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::other_ids::OtherIdSearch;
use super::plan::ReconcilePlan;
use crate::event::{Cursor, PoolId};

/// At most one unfinished run for each pool.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    runs: BTreeMap<String, SavedRun>,
}

/// The options of a run and its cursor. A run with other options starts from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedRun {
    groups: Vec<String>,
    table: Option<String>,
    include_federated: bool,
    since: Option<jiff::Timestamp>,
    /// Whether users with a profile under another id get a second one.
    #[serde(default, rename = "beside_others")]
    ignores_other_ids: bool,
    cursor: Cursor,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    /// A file operation failed.
    #[error("the checkpoint {} cannot be read or written: {error}", path.display())]
    Io {
        path: PathBuf,
        error: std::io::Error,
    },
    /// The file holds other content, which must not be overwritten.
    #[error("{} is not a checkpoint of usher reconcile: remove it, or name another with --checkpoint", .0.display())]
    NotACheckpoint(PathBuf),
}

impl Checkpoint {
    /// Does not read the file; the first [`Self::save`] replaces it.
    pub(crate) fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            runs: BTreeMap::new(),
        }
    }

    /// Reads the file. A missing file is an empty checkpoint.
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let runs = match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|_| CheckpointError::NotACheckpoint(path.to_owned()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(io_error(path, error)),
        };
        Ok(Self {
            runs,
            ..Self::empty(path)
        })
    }

    /// Where a run with this plan continues; `None` if its options differ.
    pub(crate) fn cursor(&self, plan: &ReconcilePlan) -> Option<&Cursor> {
        let saved = self.runs.get(plan.pool.as_str())?;
        let same = SavedRun::new(plan, &saved.cursor) == *saved;
        same.then_some(&saved.cursor)
    }

    /// Replaces the whole file: after a kill it holds either the old or the new state.
    pub(crate) fn save(
        &mut self,
        plan: &ReconcilePlan,
        cursor: &Cursor,
    ) -> Result<(), CheckpointError> {
        let key = plan.pool.as_str().to_owned();
        self.runs.insert(key, SavedRun::new(plan, cursor));
        self.write()
    }

    /// Removes a finished run. A file without runs is deleted.
    pub(crate) fn remove(&mut self, pool: &PoolId) -> Result<(), CheckpointError> {
        if self.runs.remove(pool.as_str()).is_none() {
            return Ok(());
        }
        if self.runs.is_empty() {
            return match std::fs::remove_file(&self.path) {
                // Another run over the same pool has removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                removed => removed.map_err(|error| io_error(&self.path, error)),
            };
        }
        self.write()
    }

    fn write(&self) -> Result<(), CheckpointError> {
        let mut part_file = self.path.clone().into_os_string();
        part_file.push(format!(".{}.part", std::process::id()));
        let part_file = PathBuf::from(part_file);
        let write = || {
            // Only the owner may read it: it holds page tokens of Cognito.
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&part_file)?;
            file.write_all(&serde_json::to_vec_pretty(&self.runs)?)?;
            file.sync_all()?;
            std::fs::rename(&part_file, &self.path)
        };
        write().map_err(|error| io_error(&self.path, error))
    }
}

impl SavedRun {
    fn new(plan: &ReconcilePlan, cursor: &Cursor) -> Self {
        Self {
            groups: plan
                .groups
                .iter()
                .map(|group| group.as_str().to_owned())
                .collect(),
            table: plan.table.clone(),
            include_federated: plan.include_federated,
            since: plan.since,
            ignores_other_ids: plan.search == OtherIdSearch::None,
            cursor: cursor.clone(),
        }
    }
}

fn io_error(path: &Path, error: std::io::Error) -> CheckpointError {
    CheckpointError::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, GroupName, Layers};

    fn plan(pool: &str, group: &str) -> ReconcilePlan {
        ReconcilePlan {
            pool: PoolId::new(pool).expect("not empty"),
            groups: GroupName::new(group).into_iter().collect(),
            table: None,
            search: OtherIdSearch::None,
            include_federated: false,
            since: None,
            limit: None,
            max_backlog: None,
            dry_run: false,
            rate: 20.0,
        }
    }

    #[test]
    fn a_run_continues_only_with_the_same_options() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoint.json");
        let cursor = Cursor {
            token: Some("t".to_owned()),
            ..Cursor::default()
        };
        let mut checkpoint = Checkpoint::open(&path).expect("none yet");
        checkpoint.save(&plan("a_1", "X"), &cursor).expect("saved");
        checkpoint.save(&plan("b_1", "X"), &cursor).expect("saved");

        let mut reopened = Checkpoint::open(&path).expect("ours");
        assert_eq!(reopened.cursor(&plan("a_1", "X")), Some(&cursor));
        assert_eq!(reopened.cursor(&plan("a_1", "Y")), None, "other groups");
        assert_eq!(reopened.cursor(&plan("c_1", "X")), None, "another pool");
        let table = Some("Profiles".to_owned());
        let other = ReconcilePlan {
            table,
            ..plan("a_1", "X")
        };
        assert_eq!(reopened.cursor(&other), None, "another table");
        let flags = [
            "queue.url=http://localhost/1/usher",
            "profiles.table=UserProfile",
        ];
        let flags = flags.map(str::to_owned);
        let config = Config::from_layers(&Layers::defaults().flags(&flags)).expect("valid");
        let mut unforced = plan("a_1", "X");
        unforced.search = ReconcilePlan::choose_search(&config, None, false);
        assert_eq!(reopened.cursor(&unforced), None, "no longer forced");
        reopened.remove(&plan("a_1", "X").pool).expect("forgotten");
        assert!(path.exists());
        reopened.remove(&plan("b_1", "X").pool).expect("forgotten");
        assert!(!path.exists(), "nothing is left to go on with");
    }

    #[test]
    fn a_file_that_is_no_checkpoint_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "notes").expect("written");
        assert!(matches!(
            Checkpoint::open(&path),
            Err(CheckpointError::NotACheckpoint(_))
        ));
    }
}
