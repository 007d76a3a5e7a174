//! The attribute that names the owner of a profile, for profiles under any key.

use std::collections::BTreeMap;

use super::{Segment, Template};
use crate::event::{PoolId, Sub, Username};

/// The attribute of a profile that names its owner, such as `profileOwner`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnerAttribute {
    name: String,
    template: Template,
}

impl OwnerAttribute {
    /// Finds the attribute whose template has `{sub}`, and prefers one with `{username}` as
    /// well. Another field is allowed only if it is `{pool}`. A user name without `{sub}` is
    /// not enough: users may edit such attributes.
    pub(crate) fn find_in(attributes: &BTreeMap<String, Template>) -> Option<Self> {
        let has = |template: &Template, name: &str| fields(template).any(|field| field == name);
        let is_known = |template: &Template| {
            fields(template).all(|field| ["sub", "username", "pool"].contains(&field))
        };
        let owners = attributes
            .iter()
            .filter(|(_, template)| has(template, "sub") && is_known(template));
        let (attribute, template) =
            owners.min_by_key(|(_, template)| !has(template, "username"))?;
        Some(Self {
            name: attribute.clone(),
            template: template.clone(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The values that name this user: first that of the template, then those that `AppSync`
    /// accepts for the same owner. Users may choose their names. So a name that may be
    /// another user's `sub`, or the owner of another profile, is left out.
    ///
    /// <https://docs.amplify.aws/react/build-a-backend/data/customize-authz/per-user-per-owner-data-access/>
    pub(crate) fn values(&self, pool: &PoolId, sub: &Sub, username: &Username) -> Vec<String> {
        let (sub, name) = (sub.as_str(), username.reveal());
        let segments = self.template.segments.iter();
        let templated: String = segments
            .map(|segment| match segment {
                Segment::Text(text) => text.as_str(),
                Segment::Field(field) if field == "sub" => sub,
                Segment::Field(field) if field == "username" => name,
                // The only other field is `{pool}`.
                Segment::Field(_) => pool.as_str(),
            })
            .collect();
        let is_doubtful = name != sub && (username.is_uuid() || name.contains("::"));
        let accepted = [
            templated,
            format!("{sub}::{name}"),
            sub.to_owned(),
            name.to_owned(),
        ];
        let mut values = Vec::new();
        for value in accepted {
            let is_accepted = value != name || !is_doubtful;
            if is_accepted && !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    /// Whether a profile has another id than the `sub` of its owner; false if the owner's
    /// value shows no `sub`.
    pub(crate) fn has_other_id(id: &str, value: &str) -> bool {
        let sub = value.split_once("::").map_or(value, |(sub, _)| sub);
        let sub = Username::new(sub).filter(Username::is_uuid);
        sub.is_some_and(|sub| sub.reveal() != id)
    }
}

fn fields(template: &Template) -> impl Iterator<Item = &str> {
    template
        .segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Field(name) => Some(name.as_str()),
            Segment::Text(_) => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(templates: &[(&str, &str)]) -> Option<OwnerAttribute> {
        let parsed = templates.iter().map(|(name, text)| {
            let template = Template::parse(text).expect("valid");
            ((*name).to_owned(), template)
        });
        OwnerAttribute::find_in(&parsed.collect())
    }

    #[test]
    fn the_owner_is_the_template_with_sub_and_user_name() {
        for (templates, expected) in [
            (
                &[("a", "{sub}"), ("b", "{sub}::{username}"), ("c", "{now}")][..],
                Some("b"),
            ),
            (&[("a", "{username}"), ("b", "USER#{sub}")], Some("b")),
            (&[("a", "{username}"), ("b", "{email}")], None),
            (&[("a", "{sub} at {now}"), ("b", "{email}")], None),
            (&[("a", "text"), ("b", "{pool}")], None),
            (&[], None),
        ] {
            let found = owner(templates);
            let found = found.as_ref().map(OwnerAttribute::name);
            assert_eq!(found, expected, "{templates:?}");
        }
    }

    const SUB: &str = "b662d2e4-d0a1-7098-4973-20a5d6ff5a12";
    const OTHER_SUB: &str = "b662d2e4-d0a1-7098-4973-20a5d6ff5a13";

    fn values(template: &str, username: &str) -> Vec<String> {
        let owner = owner(&[("owner", template)]).expect("an owner");
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let sub = Sub::new(SUB).expect("a sub");
        let username = Username::new(username).expect("a name");
        owner.values(&pool, &sub, &username)
    }

    #[test]
    fn owner_values_are_unique_and_start_with_the_template() {
        let pair = format!("{SUB}::ada");
        let pair = pair.as_str();
        assert_eq!(values("{sub}::{username}", "ada"), [pair, SUB, "ada"]);
        let own = format!("eu-west-1_x/USER#{SUB}");
        let all = [own.as_str(), pair, SUB, "ada"];
        assert_eq!(values("{pool}/USER#{sub}", "ada"), all);
    }

    #[test]
    fn a_name_that_may_belong_to_another_user_is_left_out() {
        let pair = |sub: &str, name: &str| format!("{sub}::{name}");
        for (username, owner, expected) in [
            ("ada", pair(SUB, "ada"), true),
            ("ada", SUB.to_owned(), true),
            ("ada", "ada".to_owned(), true),
            ("ada", pair(SUB, "grace"), false),
            ("ada", pair(OTHER_SUB, "ada"), false),
            ("ada", OTHER_SUB.to_owned(), false),
            ("ada", String::new(), false),
            // If the pool chooses the user names, they are the `sub`.
            (SUB, SUB.to_owned(), true),
            // The user chose a name that looks like the owner of another profile.
            (OTHER_SUB, pair(SUB, OTHER_SUB), true),
            (OTHER_SUB, OTHER_SUB.to_owned(), false),
            (&OTHER_SUB.to_uppercase(), OTHER_SUB.to_uppercase(), false),
            (&pair(OTHER_SUB, "grace"), pair(OTHER_SUB, "grace"), false),
        ] {
            for template in ["{sub}::{username}", "{sub}", "USER#{sub}"] {
                let is_own = values(template, username).contains(&owner);
                assert_eq!(is_own, expected, "{template}: {username} {owner}");
            }
        }
    }

    #[test]
    fn an_id_differs_if_the_owner_shows_another_sub() {
        let pair = format!("{SUB}::ada");
        for (template, id, value, expected) in [
            ("{sub}::{username}", SUB, pair.as_str(), false),
            ("{sub}::{username}", "073d058d", &pair, true),
            ("{sub}::{username}", OTHER_SUB, &pair, true),
            ("{sub}", SUB, SUB, false),
            ("{sub}", OTHER_SUB, SUB, true),
            ("{sub}::{username}", OTHER_SUB, "ada", false),
            ("USER#{sub}", SUB, &format!("USER#{SUB}"), false),
        ] {
            let found = OwnerAttribute::has_other_id(id, value);
            assert_eq!(found, expected, "{template}: {id} {value}");
        }
    }
}
