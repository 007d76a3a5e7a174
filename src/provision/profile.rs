//! The profile: written once, never changed.

use std::collections::BTreeMap;

use super::{AlreadyDone, Outcome};
use crate::aws::{ProfileTable, PutResult};
use crate::config::{Segment, Template};
use crate::event::{SignUp, Sub};
use crate::retry::retry_inline;

#[derive(Debug)]
pub(super) struct ProfileStep {
    table: ProfileTable,
    templates: BTreeMap<String, Template>,
}

impl ProfileStep {
    pub(super) fn new(table: ProfileTable, templates: BTreeMap<String, Template>) -> Self {
        Self { table, templates }
    }

    pub(super) fn table(&self) -> &ProfileTable {
        &self.table
    }

    /// Writes the profile unless the table has an item under this `sub`.
    pub(super) async fn ensure(&self, sign_up: &SignUp, sub: &Sub) -> Outcome {
        let now = format!("{:.3}", jiff::Timestamp::now());
        let profile = render_profile(&self.templates, sign_up, sub, &now);
        let put = retry_inline(|| self.table.put_if_absent(sub.as_str(), profile.clone())).await;
        match put {
            Ok(PutResult::Created) => Outcome::Done,
            Ok(PutResult::Existed(old)) => {
                let missing: Vec<&str> = old
                    .iter()
                    .flat_map(|old| {
                        profile
                            .keys()
                            .filter(|name| !old.contains(*name))
                            .map(String::as_str)
                    })
                    .collect();
                if !missing.is_empty() {
                    // AppSync cannot read an item without its required fields, and usher
                    // changes no profile: an operator has to do it.
                    tracing::warn!(
                        user.sub = sub.loggable(),
                        profile.lacks = missing.join(","),
                        "existing profile lacks attributes; left unchanged",
                    );
                }
                Outcome::AlreadyDone(AlreadyDone::ProfileExists)
            }
            Err(failure) => failure.into(),
        }
    }
}

/// The profile of a sign-up without the table's key. An attribute is left out where one of
/// its values is missing, or its text is empty.
pub(crate) fn render_profile(
    templates: &BTreeMap<String, Template>,
    sign_up: &SignUp,
    sub: &Sub,
    now: &str,
) -> BTreeMap<String, String> {
    let value = |name: &str| match name {
        "sub" => Some(sub.as_str()),
        "username" => Some(sign_up.username.reveal()),
        "pool" => Some(sign_up.pool.as_str()),
        "now" => Some(now),
        attribute => sign_up.attributes.get(attribute),
    };
    templates
        .iter()
        .filter_map(|(name, template)| {
            let text: Option<String> = template
                .segments
                .iter()
                .map(|segment| match segment {
                    Segment::Text(text) => Some(text.as_str()),
                    Segment::Field(field) => value(field),
                })
                .collect();
            Some((name.clone(), text.filter(|text| !text.is_empty())?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{PoolId, Scope, UserAttributes, Username};

    fn rendered(
        templates: &[(&str, &str)],
        attributes: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        let templates = templates
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Template::parse(text).expect("valid")))
            .collect();
        let sign_up = SignUp {
            pool: PoolId::new("eu-west-1_x").expect("not empty"),
            username: Username::new("ada").expect("not empty"),
            sub: None,
            client_id: None,
            attributes: attributes.iter().copied().collect::<UserAttributes>(),
            scope: Scope::Full,
        };
        let sub = Sub::new("1234").expect("not empty");
        render_profile(&templates, &sign_up, &sub, "2026-08-07T12:00:00.000Z")
    }

    #[test]
    fn fields_are_filled_from_the_user() {
        let profile = rendered(
            &[
                ("owner", "{sub}::{username}"),
                ("at", "{now}"),
                ("pool", "{pool}"),
                ("plan", "plan: {custom:plan}"),
                ("braces", "{{{sub}}}"),
            ],
            &[("custom:plan", "pro")],
        );
        assert_eq!(profile["owner"], "1234::ada");
        assert_eq!(profile["at"], "2026-08-07T12:00:00.000Z");
        assert_eq!(profile["pool"], "eu-west-1_x");
        assert_eq!(profile["plan"], "plan: pro");
        assert_eq!(profile["braces"], "{1234}");
    }

    #[test]
    fn a_missing_value_leaves_its_attribute_out() {
        let profile = rendered(
            &[("name", "{given_name} {family_name}"), ("type", "X")],
            &[("given_name", "Ada")],
        );
        assert_eq!(profile.keys().collect::<Vec<_>>(), ["type"]);
    }

    #[test]
    fn the_time_is_written_with_milliseconds_and_z() {
        let time = jiff::Timestamp::from_millisecond(1_786_104_000_000).expect("in range");
        assert_eq!(format!("{time:.3}"), "2026-08-07T12:00:00.000Z");
    }
}
