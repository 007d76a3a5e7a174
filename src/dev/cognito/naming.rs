//! What users are called: by names of their own, beside which an address or a number may be
//! an alias, or by an address or a number only.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>

use std::collections::BTreeMap;

use serde_json::Value;

use super::user::User;
use super::{Refusal, refuse};

/// The attributes that users may be called by, and what refusals call them.
const CALLED_BY: [(&str, &str); 2] = [("email", "email"), ("phone_number", "phone number")];

/// An alias of any form.
const PREFERRED: &str = "preferred_username";

#[derive(Debug, Clone, Default)]
pub(super) struct Naming {
    /// Users are named by these attributes, and the pool makes user names for them.
    names: Vec<&'static str>,
    /// These are other names of users: an e-mail address and a phone number once they are
    /// verified.
    aliases: Vec<&'static str>,
}

impl Naming {
    /// What `CreateUserPool` said.
    pub(super) fn of(input: &Value) -> Self {
        let attributes = |member: &str| -> Vec<&'static str> {
            let given: Vec<&Value> = input[member].as_array().into_iter().flatten().collect();
            let called_by = CALLED_BY.into_iter().map(|(attribute, _)| attribute);
            called_by
                .filter(|attribute| given.iter().any(|one| one.as_str() == Some(*attribute)))
                .collect()
        };
        let mut aliases = attributes("AliasAttributes");
        let given = input["AliasAttributes"].as_array();
        if given.is_some_and(|given| given.iter().any(|one| one == PREFERRED)) {
            aliases.push(PREFERRED);
        }
        Self {
            names: attributes("UsernameAttributes"),
            aliases,
        }
    }

    /// Whether users have names of their own, and no other ones.
    pub(super) fn is_plain(&self) -> bool {
        self.names.is_empty() && self.aliases.is_empty()
    }

    /// As `DescribeUserPool` shows it.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&'static str, &[&'static str])> {
        let lists = [
            ("UsernameAttributes", &*self.names),
            ("AliasAttributes", &*self.aliases),
        ];
        lists.into_iter().filter(|(_, list)| !list.is_empty())
    }

    /// The attribute that this is a value of, where the pool names users by it. Fails for a
    /// name that no user of the pool can have.
    pub(super) fn attribute_of(&self, name: &str) -> Result<Option<&'static str>, Refusal> {
        let formed = CALLED_BY.into_iter().find(|(of, _)| has_form(name, of));
        let wrong = |why: &str| Err(refuse("InvalidParameterException", why));
        match formed {
            Some((attribute, _)) if self.names.contains(&attribute) => Ok(Some(attribute)),
            Some((attribute, called)) if self.aliases.contains(&attribute) => wrong(&format!(
                "Username cannot be of {called} format, since user pool is configured for \
                 {called} alias."
            )),
            _ => match *self.names {
                [] => Ok(None),
                ["email"] => wrong("Username should be an email."),
                ["phone_number"] => wrong("Username should be a phone number."),
                _ => wrong("Username should be either an email or a phone number."),
            },
        }
    }

    /// Whether `name` is another name of this user.
    pub(super) fn answers_to(&self, user: &User, name: &str) -> bool {
        let names = self.names.iter().map(|name| user.attribute(name));
        let mut others = names.chain(self.aliases_among(&user.attributes));
        user.attribute("sub") == name
            || others.any(|other| !other.is_empty() && other.eq_ignore_ascii_case(name))
    }

    /// The aliases that these attributes are.
    pub(super) fn aliases_among<'a>(
        &self,
        attributes: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a str> {
        let get = move |name: &str| attributes.get(name).map_or("", String::as_str);
        // A preferred user name needs no verification.
        let verified =
            move |name: &&str| *name == PREFERRED || get(&format!("{name}_verified")) == "true";
        let aliases = self.aliases.iter().copied().filter(verified);
        aliases.map(get).filter(|alias| !alias.is_empty())
    }

    /// The name that the user signs in with and knows.
    pub(super) fn known_to<'a>(&self, user: &'a User) -> &'a str {
        let mut names = self.names.iter().map(|name| user.attribute(name));
        names.find(|name| !name.is_empty()).unwrap_or(&user.name)
    }
}

fn has_form(name: &str, attribute: &str) -> bool {
    match attribute {
        "email" => name.contains('@'),
        _ => name.strip_prefix('+').is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        }),
    }
}
