//! What a pool was before a change: the way back.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::UserPoolSettings;
use crate::aws::JsonObject;

/// Written before a change, and read to take it back.
#[derive(Debug, Deserialize, Serialize)]
#[serde(expecting = "struct Record")]
pub(crate) struct AttachRecord {
    /// Id of the user pool.
    pub(crate) user_pool: String,
    /// When it was about to be changed.
    pub at: jiff::Timestamp,
    /// All settings of before.
    pub before: UserPoolSettings,
    /// The triggers of after.
    pub(crate) triggers_after: JsonObject,
}

/// It cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// Not there, or not to be read.
    #[error("cannot read {0}: {1}")]
    Io(String, io::Error),
    /// Something else.
    #[error("{0} is not a record of usher attach: {1}")]
    Parse(String, serde_json::Error),
    /// Settings that are not that pool's.
    #[error("{0} is not a record of usher attach: its settings are not those of a user pool")]
    InvalidSettings(String),
}

impl AttachRecord {
    /// Reads one.
    ///
    /// # Errors
    /// [`RecordError`].
    pub(crate) fn read(path: &Path) -> Result<Self, RecordError> {
        let name = || path.display().to_string();
        let file = File::open(path).map_err(|error| RecordError::Io(name(), error))?;
        let record: Self = serde_json::from_reader(io::BufReader::new(file))
            .map_err(|error| RecordError::Parse(name(), error))?;
        let pool = &record.before.pool;
        let is_its_own = pool.get("Id").and_then(Value::as_str) == Some(&record.user_pool);
        let has_triggers = pool.get("LambdaConfig").is_none_or(Value::is_object);
        if is_its_own && has_triggers {
            Ok(record)
        } else {
            Err(RecordError::InvalidSettings(name()))
        }
    }

    /// Writes it to the disk, for its owner alone: settings are no secrets, and nobody
    /// else's business.
    ///
    /// # Errors
    /// When there is such a file already, which may be the way back to another state.
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
