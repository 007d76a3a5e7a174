//! `usher dead-letters show`

use std::fmt::Write;
use std::io::IsTerminal;

use serde_json::{Value, json};

use super::context::{CommandContext, PARALLEL_RECEIVES, report_scan_end};
use crate::cli::{CommandStatus, Global, Output, print, print_json, status_line};
use crate::dead_letter::{Filter, ReceivedDeadLetter, printable};
use crate::event::{Event, parse};
use crate::message::attribute;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The letter's id, or its message's id on the source queue
    id: String,
    /// The body, too: it holds personal data, and may hold a password
    #[arg(long)]
    body: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let context = CommandContext::open(global, &[]).await?;
    let filter = Filter {
        limit: Some(1),
        ..Filter::default()
    };
    let mut selection = context.select(filter, PARALLEL_RECEIVES);
    let found = selection
        .next(
            |ReceivedDeadLetter { summary, .. }| {
                summary.id == options.id || summary.source_message_id.as_ref() == Some(&options.id)
            },
            |_| {},
        )
        .await;
    let end = selection.finish().await;
    let Some(dead_letter) = found?.and_then(|dead_letters| dead_letters.into_iter().next()) else {
        report_scan_end(end);
        status_line(&format!("no letter has the id {}", options.id));
        return Ok(CommandStatus::Failure);
    };
    let state = state(
        &dead_letter.message.body,
        context.services.config.profiles.is_some(),
    );
    let mut value = to_json(&dead_letter, state)?;
    let body = &dead_letter.message.body;
    match global.output {
        Output::Json => {
            if options.body {
                value["body"] = json!(body);
            }
            print_json(&value)?;
        }
        Output::Text => print(&text(&value, options.body.then_some(body))?)?,
    }
    Ok(CommandStatus::Success)
}

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

fn text(shown: &Value, body: Option<&String>) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for (name, value) in shown.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Object(attributes) => {
                // Attributes that the lines above do not show.
                let attributes = attributes.iter();
                for (name, value) in attributes.filter(|(name, _)| !is_already_shown(name)) {
                    let value = printable(value.as_str().unwrap_or_default());
                    writeln!(text, "{:<20}{value}", printable(name))?;
                }
            }
            Value::String(value) => writeln!(text, "{name:<20}{value}")?,
            value => writeln!(text, "{name:<20}{value}")?,
        }
    }
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
