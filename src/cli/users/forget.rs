//! `usher users forget`: deletes a user and what usher keeps of them.

use anyhow::Context;

use crate::app::Services;
use crate::cli::{
    CommandStatus, Global, Progress, Usage, arguments, confirm, plural, progress_bar, status_line,
    target,
};
use crate::config::Required;
use crate::dead_letter::short_id;
use crate::event::{Sub, Username};
use crate::shutdown;
use crate::users::{Forget, ForgetReport, ForgetStatus, Parts};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher users forget 42296c21-5207-4a93-8e3b-d3fc17fff32d --dry-run
  usher users forget 42296c21-5207-4a93-8e3b-d3fc17fff32d
  usher users forget 42296c21-5207-4a93-8e3b-d3fc17fff32d --keep-user --yes")]
pub(super) struct Options {
    /// The sub of the user, as users show prints it
    #[arg(value_name = "SUB")]
    sub: String,
    /// User pool [default: the one in pools.allowed]
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// Show what there is, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete profiles and dead letters, but not the user in the pool
    #[arg(long)]
    keep_user: bool,
    /// Skip the confirmation prompt
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let sub = parse_sub(&options.sub)?;
    arguments::require_terminal_or_yes(options.yes || options.dry_run)?;
    let config = global.config(&[Required::Queue, Required::Profiles])?;
    let pool = target::pool(options.pool.as_deref(), &config)?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = Services::from_environment(config).await?;
    let (looking, user) = (progress_bar(None, "looking"), (pool, sub));
    let on_progress = shown_on(&looking);
    let mut forget = Forget::new(&services, user, options.keep_user, &stop, &on_progress).await?;
    let found = forget.look().await.context("nothing was deleted")?;
    looking.finish_and_clear();
    let report = if options.dry_run {
        forget.report(ForgetStatus::DryRun, found)
    } else if found.has_doubtful() {
        forget.report(ForgetStatus::Left, found)
    } else {
        let question = format!(
            "Delete {} of {} for good?",
            describe(found.parts),
            options.sub
        );
        let asks = !options.yes && !found.parts.is_empty();
        if asks && !confirm(&question, &stop).await {
            status_line("nothing was deleted");
            return Ok(CommandStatus::Failure);
        }
        let deleting = progress_bar(None, "deleting");
        let report = forget.delete(found, &shown_on(&deleting)).await;
        deleting.finish_and_clear();
        report.context("not finished; run the command again")?
    };
    global.output.print(&report, || text(&report))?;
    let is_done = report.status != ForgetStatus::Left;
    Ok(CommandStatus::success_if(is_done))
}

/// Does not repeat the text: standard error may be a log.
fn parse_sub(text: &str) -> anyhow::Result<Sub> {
    let is_uuid = Username::new(text).is_some_and(|name| name.is_uuid());
    // As Cognito writes it.
    let sub = Sub::new(&text.to_ascii_lowercase()).filter(|_| is_uuid);
    sub.ok_or_else(|| {
        Usage::error(
            "SUB must be a sub (a UUID): usher users show finds it by user name or e-mail address",
        )
    })
}

fn shown_on(progress: &Progress) -> impl Fn(u64, &'static str) + Sync {
    |count, what| {
        progress.set_position(count);
        progress.set_message(what);
    }
}

/// `user, 2 profiles, 1 dead letter`
fn describe(parts: Parts) -> String {
    let user = parts.user.then(|| "user".to_owned());
    let counts = [
        (parts.profiles, "profile"),
        (parts.dead_letters, "dead letter"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts = counts.map(|(count, noun)| plural(count, noun));
    let all: Vec<String> = user.into_iter().chain(counts).collect();
    if all.is_empty() {
        return "nothing".to_owned();
    }
    all.join(", ")
}

fn text(report: &ForgetReport) -> String {
    let (sub, left) = (report.sub.as_str(), &report.left);
    let found = describe(left.parts);
    let mut lines = Vec::new();
    if report.status != ForgetStatus::DryRun {
        lines.push(format!("deleted: {}", describe(report.deleted)));
    }
    let end = match report.status {
        ForgetStatus::DryRun => format!("dry run: would delete {found}"),
        ForgetStatus::Forgotten => format!("nothing of {sub} is left"),
        ForgetStatus::Left => format!("not finished: left {found}"),
    };
    if !left.doubtful.is_empty() {
        let ids: Vec<&str> = left.doubtful.iter().map(|id| short_id(id)).collect();
        lines.push(format!("dead letters in doubt: {}", ids.join(" ")));
    }
    if left.doubtful_profiles > 0 {
        lines.push(format!("profiles in doubt: {}", left.doubtful_profiles));
    }
    if left.messages > 0 {
        let messages = plural(left.messages, "message");
        lines.push(format!("on the queue: {messages}"));
    }
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines.push(end);
    lines.join("\n")
}
