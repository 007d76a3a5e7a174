//! Selects dead letters by reason, date, user pool and user.

use std::collections::HashSet;

use super::received_dead_letter::{DeadLetterSummary, MIN_ID_CHARS};

/// A dead letter must match every given field. An empty filter matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Ids, on either queue, or the beginnings of ids; empty matches every id.
    pub ids: Vec<String>,
    /// Whole ids on the dead-letter queue; empty matches every id.
    pub exact_ids: HashSet<String>,
    /// Matches any of these reason codes; empty matches every reason.
    pub reasons: Vec<String>,
    /// Dead-lettered at this time or later.
    pub since: Option<jiff::Timestamp>,
    /// Dead-lettered earlier than this time.
    pub before: Option<jiff::Timestamp>,
    /// Id of the user pool that the event names.
    pub pool: Option<String>,
    /// The `sub` of the user in the event.
    pub sub: Option<String>,
    /// The largest number of dead letters to return.
    pub limit: Option<u64>,
}

impl Filter {
    /// Whether every dead letter matches. A limit does not count here: it does not
    /// say which dead letters are selected.
    pub fn matches_all(&self) -> bool {
        self.ids.is_empty()
            && self.exact_ids.is_empty()
            && self.reasons.is_empty()
            && self.since.is_none()
            && self.before.is_none()
            && self.pool.is_none()
            && self.sub.is_none()
    }

    /// Whether the dead letter matches, without regard to the limit. One without a
    /// date matches neither `since` nor `before`.
    pub(crate) fn matches(&self, dead_letter: &DeadLetterSummary) -> bool {
        let at = dead_letter.dead_lettered_at;
        (self.ids.is_empty() || self.ids.iter().any(|id| dead_letter.has_id(id)))
            && (self.exact_ids.is_empty() || self.exact_ids.contains(&dead_letter.id))
            && (self.reasons.is_empty() || self.reasons.contains(&dead_letter.reason))
            && self
                .since
                .is_none_or(|since| at.is_some_and(|at| at >= since))
            && self
                .before
                .is_none_or(|before| at.is_some_and(|at| at < before))
            && (self.pool.is_none() || self.pool == dead_letter.pool)
            && (self.sub.is_none() || self.sub == dead_letter.sub)
    }
}

/// A sub, as an operator gives it.
pub(crate) fn parse_sub(text: &str) -> Result<String, String> {
    if text.contains('@') {
        return Err("is an address: give the sub of the user, a UUID".to_owned());
    }
    Ok(text.to_owned())
}

/// An id, or its beginning.
pub(crate) fn parse_id(text: &str) -> Result<String, String> {
    if text.len() < MIN_ID_CHARS {
        return Err(format!("must have {MIN_ID_CHARS} characters or more"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> DeadLetterSummary {
        DeadLetterSummary {
            id: "m".to_owned(),
            reason: "throttled".to_owned(),
            class: None,
            error: None,
            attempts: None,
            replays: 0,
            first_received_at: None,
            dead_lettered_at: "2026-08-07T12:00:00Z".parse().ok(),
            source_message_id: None,
            version: None,
            pool: Some("eu-west-1_x".to_owned()),
            sub: Some("1".to_owned()),
            receives: 1,
            bytes: 0,
        }
    }

    #[test]
    fn a_dead_letter_must_match_every_given_field() {
        let all = Filter::default();
        assert!(all.matches_all() && all.matches(&summary()));
        let time = |text: &str| text.parse().ok();
        for (filter, matches) in [
            (
                Filter {
                    reasons: vec!["timeout".into(), "throttled".into()],
                    ..Filter::default()
                },
                true,
            ),
            (
                Filter {
                    reasons: vec!["timeout".into()],
                    ..Filter::default()
                },
                false,
            ),
            (
                Filter {
                    since: time("2026-08-07T12:00:00Z"),
                    ..Filter::default()
                },
                true,
            ),
            (
                Filter {
                    since: time("2026-08-07T12:00:01Z"),
                    ..Filter::default()
                },
                false,
            ),
            (
                Filter {
                    before: time("2026-08-07T12:00:00Z"),
                    ..Filter::default()
                },
                false,
            ),
            (
                Filter {
                    before: time("2026-08-08T00:00:00Z"),
                    ..Filter::default()
                },
                true,
            ),
            (
                Filter {
                    pool: Some("eu-west-1_y".into()),
                    ..Filter::default()
                },
                false,
            ),
            (
                Filter {
                    sub: Some("1".into()),
                    ..Filter::default()
                },
                true,
            ),
            (
                Filter {
                    sub: Some("1".into()),
                    reasons: vec!["x".into()],
                    ..Filter::default()
                },
                false,
            ),
        ] {
            assert!(!filter.matches_all());
            assert_eq!(filter.matches(&summary()), matches, "{filter:?}");
        }
        let exact = |id: &str| Filter {
            exact_ids: [id.to_owned()].into(),
            ..Filter::default()
        };
        let moved = DeadLetterSummary {
            source_message_id: Some("seen-by-an-operator".to_owned()),
            ..summary()
        };
        assert!(exact("m").matches(&moved) && !exact("m").matches_all());
        assert!(!exact("seen-by-an-operator").matches(&moved));
        let dateless = DeadLetterSummary {
            dead_lettered_at: None,
            ..summary()
        };
        let since = Filter {
            since: time("2000-01-01T00:00:00Z"),
            ..Filter::default()
        };
        assert!(!since.matches(&dateless));
    }
}
