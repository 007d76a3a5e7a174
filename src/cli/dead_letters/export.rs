//! `usher dead-letters export`

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::context::{CommandContext, FilterOptions, PARALLEL_RECEIVES, SINGLE_RECEIVE, letters};
use crate::cli::{CommandStatus, Global};
use crate::dead_letter::{ExportLine, ReceivedDeadLetter, RemovalCounts};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher dead-letters export dead-letters.jsonl
  usher dead-letters export malformed.jsonl --reason not_json --delete")]
pub(super) struct Options {
    /// File to write; must not exist unless --append
    file: PathBuf,
    #[command(flatten)]
    filter: FilterOptions,
    /// Append to the file if it exists
    #[arg(long)]
    append: bool,
    /// Delete each dead letter after it was written; without a filter, all of them
    #[arg(long)]
    delete: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let context = CommandContext::open(global, &[]).await?;
    let is_new = !options.file.exists();
    let mut file = open(&options.file, options.append)
        .with_context(|| format!("{}", options.file.display()))?;
    let audit = if options.delete {
        Some(context.audit("export").await)
    } else {
        None
    };
    let width = if options.delete {
        SINGLE_RECEIVE
    } else {
        PARALLEL_RECEIVES
    };
    let mut scan = context.scan(options.filter.filter(), width).await;
    let mut written = 0_u64;
    let mut removed = RemovalCounts::default();
    let mut result = scan
        .for_each(async |selection, dead_letters| {
            write(&mut file, &dead_letters).context("the file cannot be written")?;
            written += dead_letters.len() as u64;
            if let Some(audit) = &audit {
                let summaries: Vec<_> = dead_letters.into_iter().map(|it| it.summary).collect();
                removed.remove(selection, &summaries, audit).await;
            }
            Ok(())
        })
        .await;
    if result.is_ok() {
        result = file.sync_all().context("the file cannot be written");
    }
    let report = scan.finish().await;
    if is_new && written == 0 {
        std::fs::remove_file(&options.file).context("the empty file cannot be removed")?;
    }
    let RemovalCounts { deleted, failed } = removed;
    let counts =
        serde_json::json!({"exported": written, "deleted": deleted, "not_deleted": failed});
    global.output.print(&counts, || {
        let exported = format!(
            "{} exported to {}",
            letters(written),
            options.file.display()
        );
        match deleted {
            _ if written == 0 => report.no_match(),
            0 => format!("{exported}; still in the dead-letter queue"),
            all if all == written => format!("{exported} and deleted from the dead-letter queue"),
            some => format!("{exported}; {some} of them deleted from the dead-letter queue"),
        }
    })?;
    result?;
    let status = report.print_end();
    Ok(if failed > 0 {
        CommandStatus::Failure
    } else {
        status
    })
}

/// Never overwrites a file: it may hold the only copy of dead letters that were removed.
fn open(path: &Path, append: bool) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    options.create(append).create_new(!append);
    // Bodies hold personal data.
    options.mode(0o600);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            anyhow::anyhow!("already exists; use another name or --append")
        }
        _ => error.into(),
    })?;
    lock(&file)?;
    if append {
        complete_last_line(&mut file)?;
    }
    sync_directory(path);
    Ok(file)
}

/// Syncs the folder: the file's name must survive a power cut before a dead letter is deleted.
/// Not every file system can sync a folder.
fn sync_directory(path: &Path) {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
    if let Err(error) = synced {
        tracing::warn!(error = %error, "the folder of the export file could not be synced");
    }
}

/// Two exports to one file would cut each other's lines.
fn lock(file: &File) -> anyhow::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => bail!("another export is writing to it"),
        // Not every file can be locked, and a device need not be.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// Adds a line feed that the last line lacks; fails where that line is not a dead letter.
fn complete_last_line(file: &mut File) -> anyhow::Result<()> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::Start(length - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(());
    }
    // The file was edited without a line feed at its end, or a kill cut the line off.
    file.seek(SeekFrom::Start(0))?;
    let mut count = 0;
    let mut line = Ok(String::new());
    for next in BufReader::new(&*file).lines() {
        count += 1;
        line = next;
    }
    if let Err(error) = ExportLine::parse(&line?) {
        bail!(
            "line {count} {error}: correct or delete it first (its dead letter is still in the dead-letter queue)"
        );
    }
    file.write_all(b"\n")?;
    Ok(())
}

/// Writes and syncs all lines; an error restores the length of the file.
fn write(file: &mut File, dead_letters: &[ReceivedDeadLetter]) -> std::io::Result<()> {
    let begin = file.metadata()?.len();
    let text = ExportLine::lines(dead_letters)?;
    let written = file.write_all(&text).and_then(|()| file.sync_data());
    if written.is_err() {
        let _ = file.set_len(begin);
    }
    written
}
