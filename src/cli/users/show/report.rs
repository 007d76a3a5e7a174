//! Prints the facts: one screen of text, or one object.

use serde::Serialize;

use super::facts::Facts;
use super::letters::DeadLetters;
use super::memberships::{GroupLine, Memberships};
use super::profile::State;
use super::repair::Fix;
use crate::aws::{ListedUser, PoolUser};
use crate::cli::{CommandStatus, Global, plural, table};
use crate::config::GroupName;
use crate::dead_letter::printable;
use crate::event::{PoolId, Sub};

/// A longer group name does not widen its column.
const MAX_GROUP_WIDTH: usize = 32;

#[derive(Serialize)]
struct Report<'a> {
    pool: &'a str,
    user: UserLine<'a>,
    groups: &'a [GroupLine],
    profile: State,
    dead_letters: &'a DeadLetters,
    /// Whether a group or the profile is missing.
    is_missing: bool,
    queued: Option<Queued<'a>>,
    /// Why `--fix` queued nothing.
    not_queued: Option<&'a str>,
    notes: &'a [String],
    next: &'a [String],
}

#[derive(Serialize)]
struct UserLine<'a> {
    name: &'a str,
    sub: Option<&'a str>,
    status: &'a str,
    enabled: bool,
    created: Option<jiff::Timestamp>,
}

/// What the queued sign-up adds.
#[derive(Serialize)]
struct Queued<'a> {
    groups: Vec<&'a str>,
    profile: bool,
}

pub(super) fn print(
    global: &Global,
    facts: &Facts<'_>,
    next: &[String],
) -> anyhow::Result<CommandStatus> {
    let notes = facts.notes();
    let report = Report::new(facts, &notes, next);
    global.output.print(&report, || text(facts, &notes, next))?;
    Ok(CommandStatus::success_if(facts.is_good()))
}

impl<'a> Report<'a> {
    fn new(facts: &Facts<'a>, notes: &'a [String], next: &'a [String]) -> Self {
        let plan = facts.plan;
        let user = facts.user;
        Self {
            pool: facts.pool.as_str(),
            user: UserLine {
                name: user.username.reveal(),
                sub: user.sub.as_ref().map(Sub::as_str),
                status: &user.status,
                enabled: user.enabled,
                created: user.created,
            },
            groups: &facts.memberships.lines,
            profile: facts.profile.state,
            dead_letters: facts.dead_letters,
            is_missing: facts.is_anything_missing(),
            queued: (*facts.fix == Fix::Queued).then(|| Queued {
                groups: plan.adds_groups.iter().map(GroupName::as_str).collect(),
                profile: plan.adds_profile,
            }),
            not_queued: match facts.fix {
                Fix::Refused(cause) => Some(cause),
                Fix::NotAsked | Fix::NotNeeded | Fix::Queued => None,
            },
            notes,
            next,
        }
    }
}

fn text(facts: &Facts<'_>, notes: &[String], next: &[String]) -> String {
    let mut lines = user_lines(facts.user);
    lines.extend(field("groups", group_rows(facts.memberships)));
    lines.extend(field("profile", [facts.profile.state.text().to_owned()]));
    lines.extend(field("dead letters", facts.dead_letters.lines()));
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    match facts.fix {
        Fix::NotAsked | Fix::NotNeeded => {}
        Fix::Queued => lines.push(format!("queued: the worker adds {}", facts.plan.describe())),
        Fix::Refused(cause) => lines.push(format!("not queued: {cause}")),
    }
    if !facts.is_anything_missing() && facts.dead_letters.found.is_empty() {
        let unread = facts.dead_letters.not_read.is_some();
        let unread = if unread {
            "; dead letters were not read"
        } else {
            ""
        };
        lines.push(format!("nothing is missing{unread}"));
    }
    lines.extend(next.iter().map(|step| format!("next: {step}")));
    lines.join("\n")
}

fn user_lines(user: &PoolUser) -> Vec<String> {
    let state = if user.enabled { "enabled" } else { "disabled" };
    let created = user
        .created
        .map(|time| time.strftime("%F %H:%M UTC").to_string());
    let fields = [
        ("user", printable(user.username.reveal())),
        (
            "sub",
            user.sub
                .as_ref()
                .map_or("-".to_owned(), |sub| printable(sub.as_str())),
        ),
        ("status", format!("{}, {state}", user.status)),
        ("created", created.unwrap_or_else(|| "-".to_owned())),
    ];
    let fields = fields.into_iter();
    fields
        .flat_map(|(name, value)| field(name, [value]))
        .collect()
}

/// The values in one column; only the first has the name before it.
fn field(name: &str, values: impl IntoIterator<Item = String>) -> Vec<String> {
    let name_of = |index| if index == 0 { name } else { "" };
    let values = values.into_iter().enumerate();
    values
        .map(|(index, value)| format!("{:<14}{value}", name_of(index)))
        .collect()
}

/// `EVERYONE  missing  (groups.default)`
fn group_rows(memberships: &Memberships) -> Vec<String> {
    let rows: Vec<[String; 3]> = memberships
        .lines
        .iter()
        .map(|line| {
            let sources = if line.sources.is_empty() {
                "by no rule".to_owned()
            } else {
                line.sources.join(", ")
            };
            [
                printable(&line.group),
                line.state.text().to_owned(),
                format!("({sources})"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return vec!["none".to_owned()];
    }
    table(&rows, MAX_GROUP_WIDTH)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[derive(Serialize)]
struct Several<'a> {
    pool: &'a str,
    matches: Vec<Match<'a>>,
}

#[derive(Serialize)]
struct Match<'a> {
    name: &'a str,
    sub: Option<&'a str>,
}

/// The users who have one address, so that one can be chosen.
pub(super) fn print_several(
    global: &Global,
    pool: &PoolId,
    users: &[ListedUser],
) -> anyhow::Result<()> {
    let matches = users.iter().map(|user| Match {
        name: user.username.reveal(),
        sub: user.sub.as_ref().map(Sub::as_str),
    });
    let several = Several {
        pool: pool.as_str(),
        matches: matches.collect(),
    };
    global.output.print(&several, || {
        let mut lines = vec![format!(
            "e-mail address of {}:",
            plural(users.len() as u64, "user")
        )];
        lines.extend(several.matches.iter().map(|user| {
            let sub = user.sub.unwrap_or("-");
            format!("  {sub}  {}", printable(user.name))
        }));
        lines.push("next: usher users show SUB".to_owned());
        lines.join("\n")
    })
}
