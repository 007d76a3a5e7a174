//! Saves a pool's settings before a change, so that they can be restored.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::UserPoolSettings;
use crate::aws::JsonObject;

/// Written before a change, and read to undo it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(expecting = "struct Backup")]
pub(crate) struct PoolBackup {
    /// Id of the user pool.
    pub(crate) user_pool: String,
    /// Shortly before the change.
    pub at: jiff::Timestamp,
    /// All settings before the change.
    pub before: UserPoolSettings,
    /// The triggers after the change.
    pub(crate) triggers_after: JsonObject,
}

/// Why a backup cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The file is missing or unreadable.
    #[error("cannot read {0}: {1}")]
    Io(String, io::Error),
    /// The file holds something else.
    #[error("{0} is not a backup of usher trigger attach: {1}")]
    Parse(String, serde_json::Error),
    /// The settings are not those of the named pool.
    #[error(
        "{0} is not a backup of usher trigger attach: its settings are not those of a user pool"
    )]
    InvalidSettings(String),
}

impl PoolBackup {
    /// Reads a backup and checks that it belongs to its pool.
    ///
    /// # Errors
    /// [`BackupError`].
    pub(crate) fn read(path: &Path) -> Result<Self, BackupError> {
        let name = || path.display().to_string();
        let file = File::open(path).map_err(|error| BackupError::Io(name(), error))?;
        let backup: Self = serde_json::from_reader(io::BufReader::new(file))
            .map_err(|error| BackupError::Parse(name(), error))?;
        let pool = &backup.before.pool;
        let is_same_pool = pool.get("Id").and_then(Value::as_str) == Some(&backup.user_pool);
        let has_triggers = pool.get("LambdaConfig").is_none_or(Value::is_object);
        if is_same_pool && has_triggers {
            Ok(backup)
        } else {
            Err(BackupError::InvalidSettings(name()))
        }
    }

    /// Writes the backup to the disk, readable only for its owner: settings are not secret, but
    /// concern no other user.
    ///
    /// # Errors
    /// When the file exists already: it may hold another state.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.write_all(b"\n")?;
        file.sync_all()
    }
}
