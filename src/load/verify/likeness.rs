//! Whether a profile record is the one that a sign-up asks for.

use std::collections::BTreeMap;

use crate::aws::Record;
use crate::config::Template;
use crate::event::{SignUp, Sub};
use crate::provision::render;

/// The templates of the configuration.
#[derive(Debug)]
pub(super) struct Likeness<'a>(&'a BTreeMap<String, Template>);

/// Stands for the time of writing, which only the worker knows. No event holds it:
/// JSON has this character in escapes alone, and a user pool takes it in no value.
const NOW: &str = "\u{0}";

impl<'a> Likeness<'a> {
    pub(super) fn new(templates: &'a BTreeMap<String, Template>) -> Self {
        Self(templates)
    }

    /// The first attribute that is not as it must be. What the record holds beyond
    /// the templates is somebody else's.
    pub(super) fn wrong(&self, record: &Record, sign_up: &SignUp, sub: &Sub) -> Option<String> {
        let must = render(self.0, sign_up, sub, NOW);
        let wrong = must.into_iter().find(|(name, must)| {
            let is = record.texts.get(name).map(String::as_str);
            !is.is_some_and(|is| fits(is, must))
        });
        wrong.map(|(name, _)| name)
    }
}

/// Whether a value is the one rendered, with any time where [`NOW`] stands.
fn fits(is: &str, must: &str) -> bool {
    let mut parts = must.split(NOW);
    let Some(mut rest) = parts.next().and_then(|first| is.strip_prefix(first)) else {
        return false;
    };
    for part in parts {
        // As long as every time that is written.
        let Some((time, after)) = rest.split_at_checked(LENGTH) else {
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

const LENGTH: usize = "2026-08-07T12:00:00.000Z".len();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Attributes, PoolId, Username};

    #[test]
    fn a_time_fits_where_now_stands_and_nothing_else_does() {
        let time = "2026-08-07T12:00:00.000Z";
        for (is, must, right) in [
            ("a", "a", true),
            ("a", "b", false),
            ("ab", "a", false),
            (time, NOW, true),
            ("yesterday", NOW, false),
            ("", NOW, false),
            (&format!("at {time}!"), &format!("at {NOW}!"), true),
            (&format!("at {time}"), &format!("at {NOW}!"), false),
            (&format!("{time}{time}"), &format!("{NOW}{NOW}"), true),
            ("ä2026-08-07T12:00:00.000Z", NOW, false),
        ] {
            assert_eq!(fits(is, must), right, "{is:?} for {must:?}");
        }
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
                .collect::<Attributes>(),
        };
        let sub = Sub::new("1").expect("not empty");
        let wrong = |texts: &[(&str, &str)]| {
            let texts = texts
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            let record = Record {
                texts: texts.collect(),
                fingerprint: 0,
            };
            Likeness::new(&templates).wrong(&record, &sign_up, &sub)
        };
        let (at, email) = (
            ("createdAt", "2026-08-07T12:00:00.000Z"),
            ("email", "a@b.example"),
        );
        assert_eq!(wrong(&[at, email, ("extra", "x")]), None);
        assert_eq!(wrong(&[at]), Some("email".to_owned()));
        assert_eq!(
            wrong(&[("createdAt", ""), email]),
            Some("createdAt".to_owned())
        );
    }
}
