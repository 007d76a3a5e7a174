//! `usher users show`: prints the groups and the profile of one user, and queues a sign-up for them.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::admin::{FoundUsers, LookupError, UserView};
use crate::app::Services;
use crate::aws::ListedUser;
use crate::cli::{CommandStatus, Global, Usage, plural, progress_bar, table, target, time};
use crate::config::{InvalidConfig, Required};
use crate::dead_letter::{DeadLetterSummary, printable, short_id};
use crate::event::{PoolId, Sub, Username};
use crate::reason::explain;
use crate::shutdown;
use crate::users::{DeadLetters, OnProgress, User, UserReport};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher users show ada@example.com
  usher users show ada --fix
  usher users show 42296c21-5207-4a93-8e3b-d3fc17fff32d -o json")]
pub(super) struct Options {
    /// User name, sub, or e-mail address
    #[arg(value_name = "ADDRESS|NAME|SUB")]
    user: String,
    /// User pool [default: the one in pools.allowed]
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// Queue a sign-up that adds missing groups and profile, even a default group that someone removed
    #[arg(long)]
    fix: bool,
}

/// A longer group name does not widen its column.
const MAX_GROUP_WIDTH: usize = 32;
/// Dead letters that are shown.
const MAX_DEAD_LETTERS: usize = 10;

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let required: &[Required] = if options.fix {
        &[Required::Queue, Required::Profiles]
    } else {
        &[Required::Profiles]
    };
    let config = global.config(required)?;
    let pool = target::pool(options.pool.as_deref(), &config)?;
    let asked = Username::parse(&options.user).map_err(|rule| Usage::error(rule.to_string()))?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = Services::from_environment(config).await?;
    let lookup = services.user_lookup()?;
    let found = tokio::select! {
        found = lookup.find(&pool, &asked) => found.map_err(|error| describe(error, &pool))?,
        () = stop.cancelled() => anyhow::bail!("stopped"),
    };
    let view = match found {
        FoundUsers::One(view) => view,
        FoundUsers::Several(users) => {
            print_several(global, &pool, &users)?;
            return Ok(CommandStatus::Failure);
        }
    };
    let progress = progress_bar(None, "reading");
    let on_progress = |count, what| {
        progress.set_position(count);
        progress.set_message(what);
    };
    let report = read(&services, &pool, &view, &stop, &on_progress).await;
    progress.finish_and_clear();
    let mut report = report?;
    if options.fix && !stop.is_cancelled() {
        let actor = services.aws().caller_name().await;
        report.fix(&services, &actor).await?;
    } else if options.fix {
        report.set_stopped();
    }
    global.output.print(&report, || text(&report))?;
    Ok(CommandStatus::success_if(report.is_good()))
}

async fn read(
    services: &Services,
    pool: &PoolId,
    view: &UserView,
    stop: &CancellationToken,
    on_progress: OnProgress<'_>,
) -> Result<UserReport, InvalidConfig> {
    let mut report = UserReport::read(services, pool, view, stop, on_progress).await?;
    let sub = view.user.sub.as_ref();
    let dead_letters = DeadLetters::read(services, sub, stop, on_progress).await;
    report.set_dead_letters(dead_letters, &services.config);
    Ok(report)
}

/// Does not repeat the name: standard error may be a log.
fn describe(error: LookupError, pool: &PoolId) -> anyhow::Error {
    match error {
        LookupError::NotFound => {
            anyhow::anyhow!("no user of {pool} has this user name, sub or e-mail address")
        }
        LookupError::Ambiguous => anyhow::anyhow!("{}", explain("ambiguous_user")),
        LookupError::Failed(failure) => failure.into(),
    }
}

fn text(report: &UserReport) -> String {
    let is_queued = report.queued.as_ref().is_some_and(|adds| adds.profile);
    let profile = report.profile.describe(is_queued);
    let fields = [
        ("groups", group_lines(report)),
        ("profile", vec![profile]),
        ("dead letters", dead_letter_lines(&report.dead_letters)),
    ];
    let mut rows = user_rows(&report.user);
    for (name, mut lines) in fields {
        if lines.is_empty() {
            lines.push("none".to_owned());
        }
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        rows.extend(names.zip(lines).map(|(name, line)| [name.to_owned(), line]));
    }
    let label = |label: &'static str| move |line: &String| format!("{label}: {line}");
    let mut lines = vec![table(&rows, usize::MAX).trim_end().to_owned()];
    lines.extend(report.notes.iter().map(label("note")));
    if let Some(adds) = &report.queued {
        lines.push(format!("queued: the worker adds {}", adds.describe()));
    }
    lines.extend(report.not_queued.iter().map(label("not queued")));
    if report.is_complete() {
        lines.push("nothing is missing".to_owned());
    }
    lines.extend(report.next.iter().map(label("next")));
    lines.join("\n")
}

fn user_rows(user: &User) -> Vec<[String; 2]> {
    let state = if user.enabled { "enabled" } else { "disabled" };
    let sub = user.sub.as_ref().map_or("none", Sub::as_str);
    let rows = [
        ("user", printable(&user.name)),
        ("sub", printable(sub)),
        ("status", format!("{}, {state}", user.status)),
        (
            "created",
            user.created.map_or_else(|| "none".to_owned(), time),
        ),
    ];
    rows.map(|(name, value)| [name.to_owned(), value]).into()
}

fn dead_letter_lines(DeadLetters { not_read, found }: &DeadLetters) -> Vec<String> {
    let line = |letter: &DeadLetterSummary| {
        let (id, at) = (short_id(&letter.id), letter.dead_lettered_at.map(time));
        let at = at.unwrap_or_else(|| "-".to_owned());
        format!("{id}  {at}  {}", explain(&letter.reason))
    };
    let mut lines: Vec<String> = found.iter().take(MAX_DEAD_LETTERS).map(line).collect();
    if found.len() > MAX_DEAD_LETTERS {
        lines.push(format!("and {} more", found.len() - MAX_DEAD_LETTERS));
    }
    let not = if found.is_empty() { "not" } else { "not all" };
    lines.extend(not_read.iter().map(|cause| format!("{not} read: {cause}")));
    lines
}

/// `EVERYONE  missing  (groups.default)`
fn group_lines(report: &UserReport) -> Vec<String> {
    let rows = report.groups.iter().map(|line| {
        let queued = report.queued.as_ref();
        let is_queued = queued.is_some_and(|adds| adds.groups.contains(&line.group));
        let group = printable(line.group.as_str());
        let state = line.state.describe(is_queued).to_owned();
        [group, state, format!("({})", line.given_by())]
    });
    let rows: Vec<[String; 3]> = rows.collect();
    let text = table(&rows, MAX_GROUP_WIDTH);
    text.lines().map(str::to_owned).collect()
}

/// The users who have one address, so that one can be chosen.
fn print_several(global: &Global, pool: &PoolId, users: &[ListedUser]) -> anyhow::Result<()> {
    let users: Vec<(&str, Option<&str>)> = users
        .iter()
        .map(|user| (user.username.reveal(), user.sub.as_ref().map(Sub::as_str)))
        .collect();
    let matches = users
        .iter()
        .map(|(name, sub)| json!({"name": name, "sub": sub}));
    let several = json!({"pool": pool, "matches": matches.collect::<Vec<_>>()});
    global.output.print(&several, || {
        let rows = users
            .iter()
            .map(|(name, sub)| [format!("  {}", sub.unwrap_or("-")), printable(name)]);
        let rows: Vec<[String; 2]> = rows.collect();
        let count = plural(rows.len() as u64, "user");
        let table = table(&rows, usize::MAX);
        format!("e-mail address of {count}:\n{table}note: name one of them by the sub\n")
    })
}
