//! Whose a record is, whatever its key is.

use std::collections::{BTreeMap, BTreeSet};

use super::{Segment, Template};
use crate::event::{PoolId, Sub, Username};

/// The attribute of a record that names its owner, such as `profileOwner`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    attribute: String,
    template: Template,
}

impl Owner {
    /// The attribute whose template says most of who it is: with `{sub}` and `{username}`,
    /// with `{sub}`, or with `{username}`, and with nothing else that is filled in. `None`
    /// when there is no such template.
    pub(super) fn among(attributes: &BTreeMap<String, Template>) -> Option<Self> {
        let known = |template: &Template| {
            let has = |name: &str| fields(template).any(|field| field == name);
            let is_known = fields(template).all(|it| ["sub", "username", "pool"].contains(&it));
            is_known.then(|| (has("sub"), has("username")))
        };
        let ranked = [(true, true), (true, false), (false, true)];
        ranked.iter().find_map(|rank| {
            let mut named = attributes.iter();
            let (attribute, template) = named.find(|(_, it)| known(it) == Some(*rank))?;
            Some(Self {
                attribute: attribute.clone(),
                template: template.clone(),
            })
        })
    }

    /// The attribute's name.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// The values that name this user: what the template gives, and what `AppSync` takes for
    /// the same owner.
    ///
    /// <https://docs.amplify.aws/react/build-a-backend/data/customize-authz/per-user-per-owner-data-access/>
    pub fn values(&self, pool: &PoolId, sub: &Sub, username: &Username) -> BTreeSet<String> {
        let (sub, username) = (sub.as_str(), username.reveal());
        let segments = self.template.segments.iter();
        let templated: String = segments
            .map(|segment| match segment {
                Segment::Text(text) => text.as_str(),
                Segment::Field(name) if name == "sub" => sub,
                Segment::Field(name) if name == "username" => username,
                // No other field is in such a template.
                Segment::Field(_) => pool.as_str(),
            })
            .collect();
        let taken = [
            format!("{sub}::{username}"),
            sub.to_owned(),
            username.to_owned(),
        ];
        taken.into_iter().chain([templated]).collect()
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

    fn owner(templates: &[(&str, &str)]) -> Option<Owner> {
        let parsed = templates.iter().map(|(name, text)| {
            let template = Template::parse(text).expect("valid");
            ((*name).to_owned(), template)
        });
        Owner::among(&parsed.collect())
    }

    #[test]
    fn the_attribute_that_says_most_of_the_user_names_the_owner() {
        for (templates, expected) in [
            (
                &[("a", "{sub}"), ("b", "{sub}::{username}"), ("c", "{now}")][..],
                Some("b"),
            ),
            (&[("a", "{username}"), ("b", "USER#{sub}")], Some("b")),
            (&[("a", "{username}"), ("b", "{email}")], Some("a")),
            (&[("a", "{sub} at {now}"), ("b", "{email}")], None),
            (&[("a", "text"), ("b", "{pool}")], None),
            (&[], None),
        ] {
            let found = owner(templates);
            let found = found.as_ref().map(Owner::attribute);
            assert_eq!(found, expected, "{templates:?}");
        }
    }

    #[test]
    fn an_owner_is_known_in_each_form_that_appsync_takes() {
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let sub = Sub::new("1234").expect("a sub");
        let username = Username::new("ada").expect("a name");
        let values = |template| {
            let owner = owner(&[("owner", template)]).expect("an owner");
            owner.values(&pool, &sub, &username)
        };
        let taken = ["1234", "1234::ada", "ada"].map(str::to_owned);
        assert_eq!(values("{sub}::{username}"), taken.clone().into());
        let mut own: BTreeSet<String> = taken.into();
        own.insert("eu-west-1_x/USER#1234".to_owned());
        assert_eq!(values("{pool}/USER#{sub}"), own);
    }
}
