//! Numbers and times for people.

use std::time::Duration;

use jiff::Timestamp;

use crate::reason::explain;
use crate::status::State;

/// A time on a page. The script shows it in the reader's time zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(pub(super) Timestamp);

impl Moment {
    pub(super) fn iso(self) -> String {
        self.0.strftime("%FT%H:%M:%SZ").to_string()
    }

    pub(super) fn utc(self) -> String {
        format!("{} UTC", self.0.strftime("%F %H:%M"))
    }

    /// Such as `2 min ago`.
    pub(super) fn age(self) -> String {
        let age = Timestamp::now().duration_since(self.0);
        match Duration::try_from(age).unwrap_or_default() {
            age if age < Duration::from_mins(1) => "just now".to_owned(),
            age => format!("{} ago", duration(age)),
        }
    }
}

/// `4,000`
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 dead letter`, `4,000 dead letters`
pub(super) fn dead_letters(number: u64) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} dead letter{ending}", count(number))
}

/// An id as a part of a path or a query.
pub(super) fn segment(id: &str) -> String {
    form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

/// What a reason means; empty if it is not known.
pub(super) fn meaning(reason: &str) -> String {
    let text = explain(reason);
    let meaning = text.strip_prefix(&format!("{reason}: "));
    meaning.unwrap_or_default().to_owned()
}

/// The style of a finding's state, and its word in the commands.
pub(super) fn mark(state: State) -> (&'static str, &'static str) {
    match state {
        State::Ok => ("ok", "ok"),
        State::Warn => ("warn", "WARN"),
        State::Fail => ("fail", "FAIL"),
        State::Skipped => ("unknown", "skip"),
    }
}

/// In the two largest units: `3 min 20 s`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let largest = units.iter().position(|(size, _)| seconds >= *size);
    let Some(largest) = largest else {
        return "0 s".to_owned();
    };
    let mut parts = Vec::new();
    let mut rest = seconds;
    for (size, name) in units.iter().skip(largest).take(2) {
        if rest >= *size {
            parts.push(format!("{} {name}", rest / size));
        }
        rest %= size;
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_easy_to_read() {
        let counts = [0, 999, 1000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (200, "3 min 20 s"),
            (3600, "1 h"),
            (3605, "1 h"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
