//! Whether a profile record is the one that a sign-up asks for.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::aws::ProfileAttributes;
use crate::config::{Segment, Template};
use crate::event::{SignUp, Sub};
use crate::provision::render_profile;

/// The templates of the configuration. What a record holds beyond them is somebody
/// else's.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProfileMatcher<'a>(&'a BTreeMap<String, Template>);

/// Stands for the time of writing, which only the worker knows. No event holds it:
/// JSON has this character in escapes alone, and a user pool takes it in no value.
const NOW_PLACEHOLDER: &str = "\u{0}";

impl<'a> ProfileMatcher<'a> {
    pub(super) fn new(templates: &'a BTreeMap<String, Template>) -> Self {
        Self(templates)
    }

    /// The first attribute that is not as it must be.
    pub(super) fn first_mismatch(
        self,
        record: &ProfileAttributes,
        sign_up: &SignUp,
        sub: &Sub,
    ) -> Option<String> {
        let must = render_profile(self.0, sign_up, sub, NOW_PLACEHOLDER);
        let fits = |name: &String| match (record.get(name), must.get(name)) {
            (Some(is), Some(must)) => matches_rendered(is, must),
            // A value that the event lacks leaves the attribute out.
            (is, must) => is.is_none() && must.is_none(),
        };
        self.0.keys().find(|name| !fits(name)).cloned()
    }

    /// When the record says that it was written, where an attribute holds nothing
    /// else.
    pub(super) fn written_at(self, record: &ProfileAttributes) -> Option<jiff::Timestamp> {
        let is_now = |template: &Template| matches!(&template.segments[..], [Segment::Field(field)] if field == "now");
        let mut attributes = self.0.iter();
        let (name, _) = attributes.find(|(_, template)| is_now(template))?;
        record.get(name)?.parse().ok()
    }

    /// Of what the templates wrote, within this process.
    pub(super) fn fingerprint(self, record: &ProfileAttributes) -> u64 {
        let mut hasher = DefaultHasher::new();
        for name in self.0.keys() {
            record.get(name).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Whether a value is the one rendered, with any time where [`NOW_PLACEHOLDER`] stands.
fn matches_rendered(is: &str, must: &str) -> bool {
    let mut parts = must.split(NOW_PLACEHOLDER);
    let Some(mut rest) = parts.next().and_then(|first| is.strip_prefix(first)) else {
        return false;
    };
    for part in parts {
        // As long as every time that is written.
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
    fn a_time_fits_where_now_stands_and_nothing_else_does() {
        let time = "2026-08-07T12:00:00.000Z";
        for (is, must, right) in [
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
            assert_eq!(matches_rendered(is, must), right, "{is:?} for {must:?}");
        }
    }

    fn record(texts: &[(&str, &str)]) -> ProfileAttributes {
        let texts = texts.iter();
        texts
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_fingerprint_is_of_what_the_templates_wrote() {
        let template = |text: &str| Template::parse(text).expect("valid");
        let templates = BTreeMap::from([
            ("a".to_owned(), template("{email}")),
            ("at".to_owned(), template("{now}")),
        ]);
        let likeness = ProfileMatcher::new(&templates);
        let of = |texts: &[(&str, &str)]| likeness.fingerprint(&record(texts));
        assert_eq!(of(&[("a", "1")]), of(&[("a", "1"), ("plan", "pro")]));
        assert_ne!(of(&[("a", "1")]), of(&[("a", "2")]));
        assert_ne!(of(&[("a", "1")]), of(&[("a", "1"), ("at", "2")]));
        let at = "2026-08-07T12:00:00Z";
        assert_eq!(likeness.written_at(&record(&[("at", at)])), at.parse().ok());
    }

    #[test]
    fn the_first_wrong_attribute_is_named_and_others_attributes_are_let_be() {
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
            ProfileMatcher::new(&templates).first_mismatch(&record(texts), &sign_up, &sub)
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
