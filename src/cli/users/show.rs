//! `usher users show`: draws what one user has and lacks, and queues their sign-up.

use serde_json::json;

use crate::admin::{FoundUsers, LookupError};
use crate::app::Services;
use crate::aws::ListedUser;
use crate::cli::dead_letters::short_id;
use crate::cli::reasons::explain;
use crate::cli::{CommandStatus, Global, Usage, operator, plural, progress_bar, table};
use crate::config::Required;
use crate::dead_letter::printable;
use crate::event::{PoolId, Sub, Username};
use crate::shutdown;
use crate::users::{GroupState, Profile, UserReport};

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
    /// Queue a sign-up that adds what is missing, also a default group that someone removed
    #[arg(long)]
    fix: bool,
}

/// A longer group name does not widen its column.
const MAX_GROUP_WIDTH: usize = 32;

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let required: &[Required] = if options.fix {
        &[Required::Queue, Required::Profiles]
    } else {
        &[Required::Profiles]
    };
    let config = global.config(required)?;
    let pool = operator::pool(options.pool.as_deref(), &config)?;
    let asked = Username::parse(&options.user).map_err(|rule| Usage::error(rule.to_string()))?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = Services::from_environment(config).await?;
    let found = tokio::select! {
        found = async { services.user_lookup()?.find(&pool, &asked).await.map_err(|error| describe(error, &pool)) } => found?,
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
    let report = UserReport::read(&services, &pool, &view, &stop, &on_progress).await;
    progress.finish_and_clear();
    let mut report = report?;
    if options.fix && !stop.is_cancelled() {
        let actor = operator::actor(services.aws()).await;
        report.fix(&services, &actor).await?;
    }
    global.output.print(&report, || text(&report))?;
    Ok(CommandStatus::success_if(report.is_good()))
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
    let user = &report.user;
    let state = if user.enabled { "enabled" } else { "disabled" };
    let time = |time: Option<jiff::Timestamp>| {
        time.map_or_else(
            || "-".to_owned(),
            |time| time.strftime("%F %H:%M UTC").to_string(),
        )
    };
    let sub = user.sub.as_ref().map_or("-", Sub::as_str);
    let mut rows = vec![
        ["user".to_owned(), printable(&user.name)],
        ["sub".to_owned(), printable(sub)],
        ["status".to_owned(), format!("{}, {state}", user.status)],
        ["created".to_owned(), time(user.created)],
    ];
    let letters = &report.dead_letters;
    let mut letter_lines: Vec<String> = letters
        .found
        .iter()
        .map(|letter| {
            let (id, at) = (short_id(&letter.id), time(letter.dead_lettered_at));
            format!("{id}  {at}  {}", explain(&letter.reason))
        })
        .collect();
    letter_lines.extend(letters.not_read.as_ref().map(|cause| {
        let all = if letters.found.is_empty() { "" } else { "all " };
        format!("not {all}read: {cause}")
    }));
    let fields = [
        ("groups", group_lines(report)),
        ("profile", vec![profile_line(report)]),
        ("dead letters", letter_lines),
    ];
    for (name, mut lines) in fields {
        if lines.is_empty() {
            lines.push("none".to_owned());
        }
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        rows.extend(names.zip(lines).map(|(name, line)| [name.to_owned(), line]));
    }
    let mut text = table(&rows, usize::MAX);
    let mut push = |label: &str, line: &str| {
        text.push_str(&format!("{label}{line}\n"));
    };
    for note in &report.notes {
        push("note: ", note);
    }
    if let Some(adds) = &report.queued {
        let groups = adds.groups.iter().map(ToString::to_string);
        let profile = adds.profile.then(|| "the profile".to_owned());
        let adds: Vec<String> = groups.chain(profile).collect();
        push("queued: the worker adds ", &adds.join(", "));
    }
    if let Some(why) = &report.not_queued {
        push("not queued: ", why);
    }
    if report.is_complete() {
        push("nothing is missing", "");
    }
    for step in &report.next {
        push("next: ", step);
    }
    text
}

/// `EVERYONE  missing  (groups.default)`
fn group_lines(report: &UserReport) -> Vec<String> {
    let rows = report.groups.iter().map(|line| {
        let queued = report.queued.as_ref();
        let is_queued = queued.is_some_and(|adds| adds.groups.contains(&line.group));
        let state = match line.state {
            GroupState::Member => "member",
            GroupState::Missing if is_queued => "missing, queued",
            GroupState::Missing => "missing",
            GroupState::NotJudged => "not judged",
        };
        let sources = if line.sources.is_empty() {
            "by no rule".to_owned()
        } else {
            line.sources.join(", ")
        };
        let group = printable(line.group.as_str());
        [group, state.to_owned(), format!("({sources})")]
    });
    let rows: Vec<[String; 3]> = rows.collect();
    let text = table(&rows, MAX_GROUP_WIDTH);
    text.lines().map(str::to_owned).collect()
}

fn profile_line(report: &UserReport) -> String {
    match &report.profile {
        Profile::Exists => "exists".to_owned(),
        Profile::Missing if report.queued.as_ref().is_some_and(|adds| adds.profile) => {
            "missing, queued".to_owned()
        }
        Profile::Missing => "missing".to_owned(),
        Profile::Off => "off (profiles.enabled = false)".to_owned(),
        Profile::UnderAnotherId => "under another id than the sub".to_owned(),
        Profile::NotKnown(cause) => {
            format!("not under the sub; under another id not known: {cause}")
        }
    }
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
