//! `usher dead-letters import`

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::context::{CommandContext, letters};
use crate::aws::{Class, MAX_BATCH_ENTRIES, Outgoing};
use crate::cli::{CommandStatus, Global, progress_bar, status_line};
use crate::dead_letter::ExportLine;
use crate::event::strip_bom;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A file that export has written
    file: PathBuf,
    /// Begins at this line, where an import was stopped
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    // The whole file is checked before the first dead letter is sent.
    let total = count_lines(&options.file, options.from_line)?;
    let context = CommandContext::open(global, &[]).await?;
    let progress = progress_bar(Some(total), "letters");
    let mut sent = 0_u64;
    let mut failed = 0_u64;
    let mut next = options.from_line;
    let mut resume_at = None;
    let mut lines = lines(&options.file, options.from_line)?;
    while resume_at.is_none() {
        let batch: Vec<(u64, ExportLine)> = lines
            .by_ref()
            .take(MAX_BATCH_ENTRIES)
            .collect::<Result<_, _>>()?;
        let Some((last, _)) = batch.last() else { break };
        if context.stop.is_cancelled() {
            resume_at = Some(next);
            break;
        }
        next = last + 1;
        let messages: Vec<Outgoing> = batch.iter().map(|(_, line)| line.to_outgoing()).collect();
        let results = context
            .dead_letter_queue
            .send_all_with_retry(&messages)
            .await;
        for ((line, _), result) in batch.iter().zip(results) {
            let Err(failure) = result else {
                sent += 1;
                continue;
            };
            failed += 1;
            status_line(&format!("line {line} was not sent: {failure}"));
            if failure.class != Class::Permanent {
                // Later lines of the batch that were sent are sent again, which does no harm.
                resume_at.get_or_insert(*line);
            }
        }
        progress.set_position(sent + failed);
    }
    progress.finish_and_clear();
    let counts = serde_json::json!({"sent": sent, "failed": failed});
    global.output.print(&counts, || {
        format!("{} sent to the dead-letter queue", letters(sent))
    })?;
    if let Some(line) = resume_at {
        status_line(&format!("stopped; go on with --from-line {line}"));
    }
    Ok(CommandStatus::success_if(
        resume_at.is_none() && failed == 0,
    ))
}

/// Counts and parses the dead letters from line `from` on.
fn count_lines(path: &Path, from: u64) -> anyhow::Result<u64> {
    // The file is read twice, which a pipe does not allow.
    let metadata = std::fs::metadata(path).with_context(|| format!("{}", path.display()))?;
    if !metadata.is_file() {
        bail!("{}: is no regular file", path.display());
    }
    let mut total = 0;
    for line in lines(path, from)? {
        line?;
        total += 1;
    }
    if total == 0 {
        bail!("{}: no letter there", path.display());
    }
    Ok(total)
}

/// Dead letters with their line numbers; blank lines are skipped.
fn lines(
    path: &Path,
    from: u64,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(u64, ExportLine)>>> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| name.clone())?;
    let numbered = (1..).zip(BufReader::new(file).lines());
    Ok(numbered
        .skip_while(move |(number, _)| *number < from)
        .filter(|(_, text)| text.as_ref().map_or(true, |text| !text.trim().is_empty()))
        .map(move |(number, text)| {
            let text = text.with_context(|| format!("{name}: line {number}"))?;
            match ExportLine::parse(strip_bom(&text)) {
                Ok(line) => Ok((number, line)),
                Err(error) => bail!("{name}: line {number} {error}; nothing of it was sent"),
            }
        }))
}
