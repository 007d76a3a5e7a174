//! The file that keeps the audit lines of a command that a person runs. On a terminal they
//! would bury the result.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;

use super::{Global, plural, status_line};

const DEFAULT_FILE: &str = "usher-audit.jsonl";

pub(super) struct AuditFile {
    path: PathBuf,
    writer: AuditWriter,
}

/// Opens the file with the first line, so that a command without audit lines makes none.
#[derive(Debug, Clone)]
pub(super) struct AuditWriter {
    path: Arc<Path>,
    lines: Arc<AtomicU64>,
}

impl AuditFile {
    /// The file of `--audit-file`; without it, the default one on a terminal. `None`: audit
    /// lines go to standard error.
    pub(super) fn open(global: &Global, is_operator_command: bool) -> anyhow::Result<Option<Self>> {
        let path = match &global.audit_file {
            Some(path) => {
                // A wrong path fails before anything is changed.
                append(path).with_context(|| format!("--audit-file {}", path.display()))?;
                path.clone()
            }
            None if is_operator_command && io::stderr().is_terminal() => DEFAULT_FILE.into(),
            None => return Ok(None),
        };
        let writer = AuditWriter {
            path: path.as_path().into(),
            lines: Arc::default(),
        };
        Ok(Some(Self { path, writer }))
    }

    pub(super) fn writer(&self) -> AuditWriter {
        self.writer.clone()
    }

    /// Names the file, if it has lines of this command.
    pub(super) fn report(&self) {
        let lines = self.writer.lines.load(Ordering::Relaxed);
        if lines > 0 {
            let lines = plural(lines, "audit line");
            status_line(&format!("{lines} in {}", self.path.display()));
        }
    }
}

impl Write for AuditWriter {
    /// A line that cannot be written to the file goes to standard error.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = append(&self.path).and_then(|mut file| file.write_all(line));
        match written {
            Ok(()) => {
                self.lines.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => super::StderrWriter.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}
