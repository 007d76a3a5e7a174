//! Commands that repair a user, to copy.

use crate::config::{Config, GroupName, in_shell_quotes};
use crate::dead_letter::{DeadLetterSummary, needs_only_replay, short_id};
use crate::event::PoolId;

/// Commands for dead letters that need more than a replay.
const MAX_SHOWN: usize = 10;

/// ` --pool ID`, unless it is the only one of `pools.allowed`.
pub(crate) fn pool_option(config: &Config, pool: &PoolId) -> String {
    match config.pools.allowed.len() {
        1 => String::new(),
        _ => format!(" --pool {pool}"),
    }
}

/// `usher groups add` or `remove`, also for a group that is not grantable.
pub(crate) fn groups_command(
    config: &Config,
    pool: &PoolId,
    verb: &str,
    sub: &str,
    groups: &[GroupName],
) -> String {
    let options: String = groups.iter().map(group_option).collect();
    let grantable = &config.admin.grantable;
    let privileged = if groups.iter().all(|group| grantable.allows(group)) {
        ""
    } else {
        " --privileged"
    };
    let pool = pool_option(config, pool);
    format!("usher groups {verb} --user {sub}{pool}{options}{privileged}")
}

/// `--group STAFF`, as a shell takes it.
fn group_option(group: &GroupName) -> String {
    let quoted = in_shell_quotes(group.as_str());
    // After a blank it would be another option.
    let gap = if group.as_str().starts_with('-') {
        "="
    } else {
        " "
    };
    format!(" --group{gap}{quoted}")
}

/// Replays those that need no more, and shows the others: `usher dead-letters show` says what each
/// of them needs.
pub(super) fn dead_letter_steps(found: &[DeadLetterSummary]) -> Vec<String> {
    let (replayable, others): (Vec<_>, Vec<_>) = found.iter().partition(|it| needs_only_replay(it));
    let ids: Vec<&str> = replayable.iter().map(|it| short_id(&it.id)).collect();
    let replay = (!ids.is_empty()).then(|| format!("usher dead-letters replay {}", ids.join(" ")));
    let show = others.into_iter().take(MAX_SHOWN);
    let show = show.map(|it| format!("usher dead-letters show {}", short_id(&it.id)));
    replay.into_iter().chain(show).collect()
}
