//! Durations, counts and confirmations, as the arguments of commands.

use std::io::IsTerminal;
use std::time::Duration;

use super::Usage;

/// Parses a time of at least a second.
pub(super) fn parse_wait(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| *time >= Duration::from_secs(1))
        .ok_or_else(|| "must be a second or longer, such as 10m".to_owned())
}

/// Parses a number of things, at least one.
pub(super) fn parse_count(text: &str) -> Result<u64, &'static str> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or("must be a whole number of 1 or more")
}

/// A usage error where no one can be asked.
pub(super) fn require_terminal_or_yes(yes: bool) -> anyhow::Result<()> {
    if yes || std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Usage::error("not a terminal: confirm with --yes"))
}
