//! `usher dead-letters show`

use std::fmt::Write;
use std::io::IsTerminal;

use serde_json::{Value, json};

use super::context::{CommandContext, PARALLEL_RECEIVES, parse_id};
use super::next_step::next_step;
use crate::cli::{CommandStatus, Global, Output, print, print_json, reasons};
use crate::dead_letter::{DeadLetterSummary, Filter, ReceivedDeadLetter, printable};
use crate::event::{Event, parse};
use crate::message::attribute;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher dead-letters show 91e29d26
  usher dead-letters show 91e29d26 --body")]
pub(super) struct Options {
    /// The id, or that of the message on the source queue; the first 8 characters are enough
    #[arg(value_parser = parse_id)]
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
    let state = state(body, context.services.config.profiles.is_some());
    let mut value = to_json(&dead_letter, state)?;
    match global.output {
        Output::Json => {
            if options.body {
                value["body"] = json!(body);
            }
            print_json(&value)?;
        }
        Output::Text => {
            let body = options.body.then_some(body);
            print(&text(&dead_letter.summary, &value, body)?)?;
        }
    }
    Ok(CommandStatus::Success)
}

/// An id of SQS is a UUID.
const FULL_ID_CHARS: usize = 36;

/// Says that a dead-lettered sign-up is not finished; `None` for any other message.
fn state(body: &str, has_profiles: bool) -> Option<&'static str> {
    let Ok(Event::SignUp(sign_up)) = parse(body) else {
        return None;
    };
    Some(if has_profiles && sign_up.scope.includes_profile() {
        "not finished: the profile is written after the groups; a replay gives what is missing"
    } else {
        "not finished: a replay gives the groups that are missing"
    })
}

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

/// The members of the object that a person reads first.
const FIRST: [&str; 7] = [
    "id",
    "reason",
    "error",
    "sub",
    "dead_lettered_at",
    "first_received_at",
    "sent_at",
];

fn text(
    summary: &DeadLetterSummary,
    shown: &Value,
    body: Option<&String>,
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let members = shown.as_object();
    let rest = members.into_iter().flatten().map(|(name, _)| name.as_str());
    let rest = rest.filter(|name| !FIRST.contains(name));
    for name in FIRST.into_iter().chain(rest) {
        match &shown[name] {
            Value::Null => {}
            Value::Object(attributes) => {
                // Attributes that the lines above do not show.
                let attributes = attributes.iter();
                for (name, value) in attributes.filter(|(name, _)| !is_already_shown(name)) {
                    let value = printable(value.as_str().unwrap_or_default());
                    writeln!(text, "{:<20}{value}", printable(name))?;
                }
            }
            Value::String(reason) if name == "reason" => {
                writeln!(text, "{name:<20}{}", reasons::explain(reason))?;
            }
            Value::String(value) => writeln!(text, "{name:<20}{value}")?,
            value => writeln!(text, "{name:<20}{value}")?,
        }
    }
    writeln!(text, "next: {}", next_step(summary))?;
    if let Some(body) = body {
        if std::io::stdout().is_terminal() {
            let lines: Vec<String> = body.lines().map(printable).collect();
            writeln!(text, "\n{}", lines.join("\n"))?;
        } else {
            writeln!(text, "\n{body}")?;
        }
    }
    Ok(text)
}

fn is_already_shown(name: &str) -> bool {
    attribute::NOT_COPIED.contains(&name)
        || [attribute::REPLAYS, attribute::FIRST_RECEIVED_AT].contains(&name)
}
