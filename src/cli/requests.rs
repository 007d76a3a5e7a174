//! `usher requests`

use super::{CommandStatus, Global, MissingSetting, table, time};
use crate::app::Services;
use crate::dead_letter::{printable, short_id};
use crate::provision::{RequestLookupError, RequestTransition, RequestView};
use crate::reason::explain;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: RequestsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RequestsCommand {
    /// Show what became of an administrator's request that was queued
    ///
    /// Exit status 1: it failed, or is unknown. A request is known for 30 days after its last change,
    /// and only if admin.requests_table is set.
    #[command(after_long_help = "Examples:
  usher requests show 5b0c1fa6c6e24f4c8f1d1f0f5e9b7a3d
  usher requests show 5b0c1fa6c6e24f4c8f1d1f0f5e9b7a3d -o json")]
    Show {
        /// The requestId of a response with status QUEUED
        #[arg(value_name = "ID")]
        id: String,
    },
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let RequestsCommand::Show { id } = &options.command;
    let services = Services::from_environment(global.config(&[])?).await?;
    let view = match services.request_log().find(id, None).await {
        Ok(view) => view,
        Err(RequestLookupError::Off) => {
            let text =
                "admin.requests_table is not set: what becomes of requests is only in the log";
            return Err(MissingSetting(text).into());
        }
        Err(RequestLookupError::NotFound) => anyhow::bail!(
            "no queued request has this id: it was answered at once, or is older than 30 days"
        ),
        Err(RequestLookupError::Failed(failure)) => return Err(failure.into()),
    };
    global.output.print(&view, || text(&view))?;
    Ok(CommandStatus::success_if(!view.has_failed()))
}

/// Senders to the queue write parts of it.
fn text(view: &RequestView) -> String {
    let rows = [
        ("request", view.request_id.as_str()),
        ("command", &view.command),
        ("groups", &view.groups.join(", ")),
        ("pool", &view.user_pool_id),
        ("requested", &time_of(&view.requested_at)),
    ];
    let mut rows: Vec<[String; 2]> = rows
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| [name.to_owned(), printable(value)])
        .collect();
    let transitions = view.transitions.iter();
    rows.extend(transitions.map(|it| [it.status.to_lowercase(), describe(it)]));
    let last = view.transitions.last();
    let dead_letter = last.and_then(|last| last.message_id.as_deref());
    let next = dead_letter.map(|id| format!("next: usher dead-letters show {}", short_id(id)));
    table(&rows, usize::MAX) + &next.unwrap_or_default()
}

/// `2026-08-07 12:00 UTC  user_not_found: …`
fn describe(transition: &RequestTransition) -> String {
    let reason = transition.reason.as_deref().map(explain);
    let text = format!(
        "{}  {}",
        time_of(&transition.at),
        reason.unwrap_or_default()
    );
    printable(text.trim_end())
}

fn time_of(at: &str) -> String {
    at.parse().map_or_else(|_| at.to_owned(), time)
}
