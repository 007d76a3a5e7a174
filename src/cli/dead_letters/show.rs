//! `usher dead-letters show`

use std::fmt::Write;
use std::io::IsTerminal;

use serde_json::{Value, json};

use super::context::{CommandContext, PARALLEL_RECEIVES};
use crate::cli::{CommandStatus, Global, Output, plural, print, print_json, table, time};
use crate::dead_letter::{
    DeadLetterSummary, Filter, ReceivedDeadLetter, next_step, parse_id, printable,
};
use crate::reason;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher dead-letters show 91e29d26
  usher dead-letters show 91e29d26 --body")]
pub(super) struct Options {
    /// Id of the dead letter or of the original message, or its first 8 characters
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: String,
    /// Print the body too: it holds personal data, and may hold a password
    #[arg(long)]
    body: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let context = CommandContext::open(global, &[]).await?;
    // Only the beginning of an id may mean several.
    let is_full = options.id.len() == FULL_ID_CHARS;
    let filter = Filter {
        ids: vec![options.id.clone()],
        limit: is_full.then_some(1),
        ..Filter::default()
    };
    let mut scan = context.scan(filter, PARALLEL_RECEIVES).await;
    let mut found = Vec::new();
    let result = scan
        .for_each(async |_, dead_letters| {
            found.extend(dead_letters);
            Ok(())
        })
        .await;
    let summaries: Vec<DeadLetterSummary> = found.iter().map(|it| it.summary.clone()).collect();
    let checked = scan.selection.check_ids(&summaries);
    let report = scan.finish().await;
    result?;
    let status = report.print_end();
    checked.map_err(anyhow::Error::msg)?;
    let Some(dead_letter) = found.pop() else {
        return Ok(status);
    };
    let body = &dead_letter.message.body;
    let state = dead_letter.unfinished(context.services.config.profiles.is_some());
    match global.output {
        Output::Json => {
            let mut value = to_json(&dead_letter, state)?;
            if options.body {
                value["body"] = json!(body);
            }
            print_json(&value)?;
        }
        Output::Text => print(&text(&dead_letter, state, options.body)?)?,
    }
    Ok(CommandStatus::Success)
}

/// An id of SQS is a UUID.
const FULL_ID_CHARS: usize = 36;

fn to_json(
    dead_letter: &ReceivedDeadLetter,
    state: Option<&'static str>,
) -> serde_json::Result<Value> {
    let mut all = serde_json::to_value(&dead_letter.summary)?;
    if let Some(state) = state {
        all["state"] = json!(state);
    }
    all["sent_at"] = json!(dead_letter.message.sent_at);
    all["attributes"] = json!(dead_letter.message.attributes);
    Ok(all)
}

fn text(
    dead_letter: &ReceivedDeadLetter,
    state: Option<&str>,
    with_body: bool,
) -> Result<String, std::fmt::Error> {
    let mut text = table(&rows(dead_letter, state), usize::MAX);
    write!(text, "{}", next_step(&dead_letter.summary))?;
    let body = &dead_letter.message.body;
    if with_body && std::io::stdout().is_terminal() {
        let lines: Vec<String> = body.lines().map(printable).collect();
        writeln!(text, "\n{}", lines.join("\n"))?;
    } else if with_body {
        writeln!(text, "\n{body}")?;
    }
    Ok(text)
}

/// What is known of the dead letter, the most important first. How often it was read is only in
/// the JSON: reads are mostly those of these commands.
fn rows(dead_letter: &ReceivedDeadLetter, state: Option<&str>) -> Vec<[String; 2]> {
    let ReceivedDeadLetter { message, summary } = dead_letter;
    let reason = reason::explain(&summary.reason);
    // Often it is only the meaning of the reason.
    let error = summary.error.clone().filter(|it| !reason.ends_with(it));
    let known = [
        ("id", Some(summary.id.clone())),
        ("reason", Some(reason)),
        ("error", error),
        ("state", state.map(str::to_owned)),
        ("sub", summary.sub.clone()),
        ("pool", summary.pool.clone()),
        ("dead-lettered", summary.dead_lettered_at.map(time)),
        ("first received", summary.first_received_at.map(time)),
        ("sent", message.sent_at.map(time)),
        ("attempts", summary.attempts.map(|it| it.to_string())),
        ("replays", Some(summary.replays.to_string())),
        ("class", summary.class.clone()),
        ("body", Some(plural(summary.bytes as u64, "byte"))),
        ("original message id", summary.source_message_id.clone()),
        (
            "written by",
            summary.version.as_ref().map(|it| format!("usher {it}")),
        ),
    ];
    let known = known.into_iter();
    let known = known.filter_map(|(name, value)| Some([name.to_owned(), value?]));
    let others = dead_letter.other_attributes();
    known.chain(others.map(<[String; 2]>::from)).collect()
}
