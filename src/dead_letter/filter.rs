//! Which letters are meant.

use super::held_dead_letter::DeadLetterSummary;

/// All of what is given must hold; an empty filter means every letter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// One of these reasons.
    pub reasons: Vec<String>,
    /// Dead-lettered then or later.
    pub since: Option<jiff::Timestamp>,
    /// Dead-lettered earlier.
    pub before: Option<jiff::Timestamp>,
    /// The event's user pool.
    pub pool: Option<String>,
    /// The user.
    pub sub: Option<String>,
    /// No more letters than this.
    pub limit: Option<u64>,
}

impl Filter {
    /// Whether it says nothing of the letters themselves: a limit alone leaves open
    /// which are meant.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
            && self.since.is_none()
            && self.before.is_none()
            && self.pool.is_none()
            && self.sub.is_none()
    }

    /// Whether the letter is meant, the limit left aside. A letter without a
    /// date is neither before nor after anything.
    pub(crate) fn matches(&self, letter: &DeadLetterSummary) -> bool {
        let at = letter.dead_lettered_at;
        (self.reasons.is_empty() || self.reasons.contains(&letter.reason))
            && self
                .since
                .is_none_or(|since| at.is_some_and(|at| at >= since))
            && self
                .before
                .is_none_or(|before| at.is_some_and(|at| at < before))
            && (self.pool.is_none() || self.pool == letter.pool)
            && (self.sub.is_none() || self.sub == letter.sub)
    }
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
    fn everything_that_is_given_must_hold() {
        let all = Filter::default();
        assert!(all.is_empty() && all.matches(&summary()));
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
            assert!(!filter.is_empty());
            assert_eq!(filter.matches(&summary()), matches, "{filter:?}");
        }
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
