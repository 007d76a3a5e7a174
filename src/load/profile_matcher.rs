//! Checks that a profile is the one that its sign-up asks for.
//!
//! A profile that is written twice is found by its fingerprint: taken when it was
//! first seen, compared at the end. A second write before that is not noticed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::aws::ProfileAttributes;
use crate::config::{Segment, Template};
use crate::event::{SignUp, Sub};
use crate::provision::render_profile;

/// The templates of the configuration. Other attributes of a profile are ignored:
/// they belong to other writers.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProfileMatcher<'a>(&'a BTreeMap<String, Template>);

/// Stands for the time of writing, which only the worker knows. No event holds it:
/// JSON has this character only as an escape, and a user pool accepts it in no value.
const NOW_PLACEHOLDER: &str = "\u{0}";

impl<'a> ProfileMatcher<'a> {
    pub(super) fn new(templates: &'a BTreeMap<String, Template>) -> Self {
        Self(templates)
    }

    /// The first attribute that differs from the rendered template.
    pub(super) fn first_mismatch(
        self,
        profile: &ProfileAttributes,
        sign_up: &SignUp,
        sub: &Sub,
    ) -> Option<String> {
        let expected = render_profile(self.0, sign_up, sub, NOW_PLACEHOLDER);
        let matches = |name: &String| match (profile.get(name), expected.get(name)) {
            (Some(actual), Some(expected)) => matches_rendered(actual, expected),
            // A value that the event lacks leaves the attribute out.
            (actual, expected) => actual.is_none() && expected.is_none(),
        };
        self.0.keys().find(|name| !matches(name)).cloned()
    }

    /// The time of writing, where the template of an attribute is only `{now}`.
    pub(super) fn written_at(self, profile: &ProfileAttributes) -> Option<jiff::Timestamp> {
        let is_now = |template: &Template| matches!(&template.segments[..], [Segment::Field(field)] if field == "now");
        let mut attributes = self.0.iter();
        let (name, _) = attributes.find(|(_, template)| is_now(template))?;
        profile.get(name)?.parse().ok()
    }

    /// Hashes the attributes that the templates write; comparable within one process.
    pub(super) fn fingerprint(self, profile: &ProfileAttributes) -> u64 {
        let mut hasher = DefaultHasher::new();
        for name in self.0.keys() {
            profile.get(name).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Compares a value with a rendered one; [`NOW_PLACEHOLDER`] matches any time.
fn matches_rendered(actual: &str, expected: &str) -> bool {
    let mut parts = expected.split(NOW_PLACEHOLDER);
    let Some(mut rest) = parts.next().and_then(|first| actual.strip_prefix(first)) else {
        return false;
    };
    for part in parts {
        // The worker writes every time in this length.
        let Some((time, after)) = rest.split_at_checked(TIMESTAMP_LENGTH) else {
            return false;
        };
        if time.parse::<jiff::Timestamp>().is_err() {
            return false;
        }
        let Some(after) = after.strip_prefix(part) else {
            return false;
        };
        rest = after;
    }
    rest.is_empty()
}

const TIMESTAMP_LENGTH: usize = "2026-08-07T12:00:00.000Z".len();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{PoolId, Scope, UserAttributes, Username};

    #[test]
    fn only_a_time_matches_the_now_placeholder() {
        let time = "2026-08-07T12:00:00.000Z";
        for (actual, expected, right) in [
            ("a", "a", true),
            ("a", "b", false),
            ("ab", "a", false),
            (time, NOW_PLACEHOLDER, true),
            ("yesterday", NOW_PLACEHOLDER, false),
            ("", NOW_PLACEHOLDER, false),
            (
                &format!("at {time}!"),
                &format!("at {NOW_PLACEHOLDER}!"),
                true,
            ),
            (
                &format!("at {time}"),
                &format!("at {NOW_PLACEHOLDER}!"),
                false,
            ),
            (
                &format!("{time}{time}"),
                &format!("{NOW_PLACEHOLDER}{NOW_PLACEHOLDER}"),
                true,
            ),
            ("ä2026-08-07T12:00:00.000Z", NOW_PLACEHOLDER, false),
        ] {
            assert_eq!(
                matches_rendered(actual, expected),
                right,
                "{actual:?} for {expected:?}"
            );
        }
    }

    fn profile(texts: &[(&str, &str)]) -> ProfileAttributes {
        let texts = texts.iter();
        texts
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_fingerprint_covers_only_templated_attributes() {
        let template = |text: &str| Template::parse(text).expect("valid");
        let templates = BTreeMap::from([
            ("a".to_owned(), template("{email}")),
            ("at".to_owned(), template("{now}")),
        ]);
        let matcher = ProfileMatcher::new(&templates);
        let of = |texts: &[(&str, &str)]| matcher.fingerprint(&profile(texts));
        assert_eq!(of(&[("a", "1")]), of(&[("a", "1"), ("plan", "pro")]));
        assert_ne!(of(&[("a", "1")]), of(&[("a", "2")]));
        assert_ne!(of(&[("a", "1")]), of(&[("a", "1"), ("at", "2")]));
        let at = "2026-08-07T12:00:00Z";
        assert_eq!(matcher.written_at(&profile(&[("at", at)])), at.parse().ok());
    }

    #[test]
    fn first_mismatch_names_it_and_ignores_other_attributes() {
        let template = |text: &str| Template::parse(text).expect("valid");
        let templates = BTreeMap::from([
            ("createdAt".to_owned(), template("{now}")),
            ("email".to_owned(), template("{email}")),
            ("phone".to_owned(), template("{phone_number}")),
        ]);
        let sign_up = SignUp {
            pool: PoolId::new("eu-west-1_x").expect("not empty"),
            username: Username::new("ada").expect("not empty"),
            sub: None,
            client_id: None,
            attributes: [("email", "a@b.example")]
                .into_iter()
                .collect::<UserAttributes>(),
            scope: Scope::Full,
        };
        let sub = Sub::new("1").expect("not empty");
        let wrong = |texts: &[(&str, &str)]| {
            ProfileMatcher::new(&templates).first_mismatch(&profile(texts), &sign_up, &sub)
        };
        let (at, email) = (
            ("createdAt", "2026-08-07T12:00:00.000Z"),
            ("email", "a@b.example"),
        );
        assert_eq!(wrong(&[at, email, ("extra", "x")]), None);
        let phone = wrong(&[at, email, ("phone", "+1")]);
        assert_eq!(phone, Some("phone".to_owned()), "the event has none");
        assert_eq!(wrong(&[at]), Some("email".to_owned()));
        assert_eq!(
            wrong(&[("createdAt", ""), email]),
            Some("createdAt".to_owned())
        );
    }
}
