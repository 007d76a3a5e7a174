//! `usher dead-letters import`

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use super::context::{BAR_LABEL, CommandContext, PARALLEL_RECEIVES, letters};
use crate::aws::{Class, MAX_BATCH_ENTRIES, Outgoing};
use crate::cli::{CommandStatus, Global, arguments, progress_bar, status_line};
use crate::dead_letter::{DeadLetterSummary, ExportLine, Filter};
use crate::event::strip_bom;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher dead-letters import dead-letters.jsonl
  usher dead-letters import dead-letters.jsonl --from-line 120")]
pub(super) struct Options {
    /// File that "dead-letters export" wrote
    file: PathBuf,
    /// Start at this line, where an earlier import stopped
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = arguments::parse_count)]
    from_line: u64,
    /// Also import dead letters that are already in the dead-letter queue
    #[arg(long)]
    allow_duplicates: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    // The whole file is checked before the first dead letter is sent.
    let total = count_lines(&options.file, options.from_line)?;
    let context = CommandContext::open(global, &[]).await?;
    let mut present = if options.allow_duplicates {
        HashMap::new()
    } else {
        bodies_in_queue(&context).await?
    };
    let audit = context.audit("import").await;
    let progress = progress_bar(Some(total), BAR_LABEL);
    let mut skipped = 0_u64;
    let mut sent = 0_u64;
    let mut failed = 0_u64;
    let mut next = options.from_line;
    let mut resume_at = None;
    // Copies of earlier lines are not those of a later line with the same body.
    for line in lines(&options.file, 1)?.take_while(|line| {
        line.as_ref()
            .is_ok_and(|(number, _)| *number < options.from_line)
    }) {
        let (_, earlier) = line?;
        take(&mut present, &earlier.to_outgoing().body);
    }
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
        let mut batch: Vec<(u64, Outgoing)> = batch
            .into_iter()
            .map(|(number, line)| (number, line.to_outgoing()))
            .collect();
        batch.retain(|(_, message)| {
            let is_present = take(&mut present, &message.body);
            skipped += u64::from(is_present);
            !is_present
        });
        let (numbers, messages): (Vec<u64>, Vec<Outgoing>) = batch.into_iter().unzip();
        let results = context
            .dead_letter_queue
            .send_all_with_retry(&messages)
            .await;
        for ((line, message), result) in numbers.iter().zip(&messages).zip(results) {
            let failure = match result {
                Ok(id) => {
                    sent += 1;
                    let imported = DeadLetterSummary::new(&id, &message.body, &message.attributes);
                    audit.log(&imported, "imported");
                    continue;
                }
                Err(failure) => failure,
            };
            failed += 1;
            status_line(&format!("line {line} was not imported: {failure}"));
            if failure.class != Class::Permanent {
                // The next import skips later lines of the batch that were sent.
                resume_at.get_or_insert(*line);
            }
        }
        progress.set_position(sent + failed + skipped);
    }
    progress.finish_and_clear();
    let counts = serde_json::json!({"imported": sent, "failed": failed, "skipped": skipped});
    global.output.print(&counts, || {
        let imported = format!("{} imported", letters(sent));
        let anyway = |them| format!("(--allow-duplicates imports {them} anyway)");
        match skipped {
            0 => imported,
            1 => format!("{imported}, 1 already there {}", anyway("it")),
            skipped => format!("{imported}, {skipped} already there {}", anyway("them")),
        }
    })?;
    if let Some(line) = resume_at {
        status_line(&format!("stopped; continue with --from-line {line}"));
    }
    Ok(CommandStatus::success_if(
        resume_at.is_none() && failed == 0,
    ))
}

type BodyHash = [u8; 32];

/// How often each body is in the queue.
async fn bodies_in_queue(context: &CommandContext) -> anyhow::Result<HashMap<BodyHash, u64>> {
    let mut bodies = HashMap::new();
    let mut scan = context.scan(Filter::default(), PARALLEL_RECEIVES).await;
    let result = scan
        .for_each(async |_, dead_letters| {
            for dead_letter in dead_letters {
                *bodies.entry(hash(&dead_letter.message.body)).or_default() += 1;
            }
            Ok(())
        })
        .await;
    let status = scan.finish().await.print_end();
    result?;
    if status == CommandStatus::Failure {
        bail!(
            "nothing was imported: the dead-letter queue could not be read to its end, and so may have some of these already"
        );
    }
    Ok(bodies)
}

/// Whether the body is in the queue once more than it was taken.
fn take(present: &mut HashMap<BodyHash, u64>, body: &str) -> bool {
    match present.get_mut(&hash(body)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

fn hash(body: &str) -> BodyHash {
    Sha256::digest(body).into()
}

/// Counts and parses the dead letters from line `from` on.
fn count_lines(path: &Path, from: u64) -> anyhow::Result<u64> {
    // The file is read twice, which a pipe does not allow.
    let metadata = std::fs::metadata(path).with_context(|| format!("{}", path.display()))?;
    if !metadata.is_file() {
        bail!("{} is not a regular file", path.display());
    }
    let mut total = 0;
    for line in lines(path, from)? {
        line?;
        total += 1;
    }
    if total == 0 {
        bail!("{} contains no dead letters", path.display());
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
                Err(error) => bail!("{name}: line {number} {error}; nothing was imported"),
            }
        }))
}
