//! The run's id, part of every name that the run creates, so that the clean-up finds
//! everything of the run and nothing else.
//!
//! Every body that the run sends holds such a name; a sign-up holds it in
//! `callerContext.awsSdkVersion`. So every dead letter of the run is recognised.

use std::fmt;
use std::str::FromStr;

/// Such as `20261121-142249-k3f9`: the UTC time and four random characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunId(String);

/// Begins the names of every run.
const RUN_NAME_PREFIX: &str = "usher-load-";

/// The user or message that a name of the run stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tag {
    /// The user with this number, and their sign-up.
    SignUp(u32),
    /// A user for whom no message is sent.
    Bystander(u32),
    /// A message that must not be provisioned.
    Poison(u32),
}

/// The text does not have the form of a run's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a run: one looks like 20261121-142249-k3f9, and a run prints its own")]
pub struct InvalidRunId;

impl RunId {
    /// The id of a run that begins at `now`.
    pub fn new(now: jiff::Timestamp) -> Self {
        let suffix: String = std::iter::repeat_with(fastrand::alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .take(4)
            .collect();
        Self(format!("{}-{suffix}", now.strftime("%Y%m%d-%H%M%S")))
    }

    /// Begins all names of this run, and of no other run.
    pub fn prefix(&self) -> String {
        format!("{RUN_NAME_PREFIX}{}-", self.0)
    }

    /// Whether the text holds a name of any run.
    pub(crate) fn contains_run_name(text: &str) -> bool {
        text.contains(RUN_NAME_PREFIX)
    }

    /// The run's name for this user or message.
    pub fn name(&self, tag: Tag) -> String {
        let prefix = self.prefix();
        match tag {
            Tag::SignUp(n) => format!("{prefix}{n}"),
            Tag::Bystander(n) => format!("{prefix}b{n}"),
            Tag::Poison(n) => format!("{prefix}p{n}"),
        }
    }

    /// Finds the first name of this run in the text.
    pub fn find(&self, text: &str) -> Option<Tag> {
        let prefix = self.prefix();
        text.match_indices(&prefix)
            .find_map(|(at, _)| parse_tag(&text[at + prefix.len()..]))
    }
}

fn parse_tag(rest: &str) -> Option<Tag> {
    let (kind, rest): (fn(u32) -> Tag, &str) = match rest.as_bytes().first()? {
        b'b' => (Tag::Bystander, &rest[1..]),
        b'p' => (Tag::Poison, &rest[1..]),
        _ => (Tag::SignUp, rest),
    };
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().ok().map(kind)
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    /// Strict, since a clean-up deletes by this id.
    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let parts: Vec<&str> = text.split('-').collect();
        let digits =
            |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
        let lower = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
        match parts[..] {
            [day, time, suffix]
                if digits(day, 8)
                    && digits(time, 6)
                    && suffix.len() == 4
                    && suffix.bytes().all(lower) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidRunId),
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_parses_and_malformed_ids_are_refused() {
        let id = RunId::new("2026-11-21T14:22:49Z".parse().expect("a time"));
        assert!(id.to_string().starts_with("20261121-142249-"), "{id}");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "2",
            "20261121-142249",
            "20261121-142249-",
            "20261121-142249-K3F9",
        ] {
            assert_eq!(text.parse::<RunId>(), Err(InvalidRunId), "{text}");
        }
    }

    #[test]
    fn find_matches_only_names_of_the_same_run() {
        let run: RunId = "20261121-142249-k3f9".parse().expect("an id");
        for tag in [Tag::SignUp(17), Tag::Bystander(2), Tag::Poison(0)] {
            let text = format!("{{\"a\": \"{}@example.com\"}}", run.name(tag));
            assert_eq!(run.find(&text), Some(tag), "{text}");
        }
        let other: RunId = "20261121-142249-k3f8".parse().expect("an id");
        assert_eq!(other.find(&run.name(Tag::SignUp(1))), None);
        assert_eq!(run.find(&run.prefix()), None, "a prefix is not a name");
    }
}
