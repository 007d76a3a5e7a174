//! What a pool was before a change: the way back.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::Settings;
use crate::aws::Members;

/// Written before a change, and read to take it back.
#[derive(Debug, Deserialize, Serialize)]
pub struct Record {
    /// Id of the user pool.
    pub user_pool: String,
    /// When it was about to be changed.
    pub at: jiff::Timestamp,
    /// All settings of before.
    pub before: Settings,
    /// The triggers of after.
    pub triggers_after: Members,
}

/// It cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NoRecord {
    /// Not there, or not to be read.
    #[error("cannot read {0}: {1}")]
    Io(String, io::Error),
    /// Something else.
    #[error("{0} is not a record of usher attach: {1}")]
    Foreign(String, serde_json::Error),
    /// Settings that are not that pool's.
    #[error("{0} is not a record of usher attach: its settings are not those of a user pool")]
    Damaged(String),
}

impl Record {
    /// Reads one.
    ///
    /// # Errors
    /// [`NoRecord`].
    pub fn read(path: &Path) -> Result<Self, NoRecord> {
        let name = || path.display().to_string();
        let file = File::open(path).map_err(|error| NoRecord::Io(name(), error))?;
        let record: Self = serde_json::from_reader(io::BufReader::new(file))
            .map_err(|error| NoRecord::Foreign(name(), error))?;
        let pool = &record.before.pool;
        let is_its_own = pool.get("Id").and_then(Value::as_str) == Some(&record.user_pool);
        let has_triggers = pool.get("LambdaConfig").is_none_or(Value::is_object);
        if is_its_own && has_triggers {
            Ok(record)
        } else {
            Err(NoRecord::Damaged(name()))
        }
    }

    /// Writes it to the disk, for its owner alone: settings are no secrets, and nobody
    /// else's business.
    ///
    /// # Errors
    /// When there is such a file already, which may be the way back to another state.
    pub fn write(&self, path: &Path) -> io::Result<()> {
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
