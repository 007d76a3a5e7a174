//! What users are called: by names of their own, beside which an address or a number may be
//! an alias, or by an address or a number only.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>

use std::collections::BTreeMap;

use serde_json::Value;

use super::user::EmbeddedUser;
use super::{AwsErrorResponse, aws_error};

/// The attributes that users may be called by, and what refusals call them.
const USERNAME_ATTRIBUTES: [(&str, &str); 2] =
    [("email", "email"), ("phone_number", "phone number")];

/// An alias of any form.
const PREFERRED_USERNAME: &str = "preferred_username";

#[derive(Debug, Clone, Default)]
pub(super) struct Naming {
    /// Users are named by these attributes, and the pool makes user names for them.
    username_attributes: Vec<&'static str>,
    /// These are other names of users: an e-mail address and a phone number once they are
    /// verified.
    alias_attributes: Vec<&'static str>,
}

impl Naming {
    /// What `CreateUserPool` said.
    pub(super) fn from_input(input: &Value) -> Self {
        let attributes = |member: &str| -> Vec<&'static str> {
            let given: Vec<&Value> = input[member].as_array().into_iter().flatten().collect();
            let called_by = USERNAME_ATTRIBUTES
                .into_iter()
                .map(|(attribute, _)| attribute);
            called_by
                .filter(|attribute| given.iter().any(|one| one.as_str() == Some(*attribute)))
                .collect()
        };
        let mut alias_attributes = attributes("AliasAttributes");
        let given = input["AliasAttributes"].as_array();
        if given.is_some_and(|given| given.iter().any(|one| one == PREFERRED_USERNAME)) {
            alias_attributes.push(PREFERRED_USERNAME);
        }
        Self {
            username_attributes: attributes("UsernameAttributes"),
            alias_attributes,
        }
    }

    /// Whether users have names of their own, and no other ones.
    pub(super) fn has_plain_usernames(&self) -> bool {
        self.username_attributes.is_empty() && self.alias_attributes.is_empty()
    }

    /// As `DescribeUserPool` shows it.
    pub(super) fn attribute_lists(&self) -> impl Iterator<Item = (&'static str, &[&'static str])> {
        let lists = [
            ("UsernameAttributes", &*self.username_attributes),
            ("AliasAttributes", &*self.alias_attributes),
        ];
        lists.into_iter().filter(|(_, list)| !list.is_empty())
    }

    /// The attribute that this is a value of, where the pool names users by it. Fails for a
    /// name that no user of the pool can have.
    pub(super) fn username_attribute(
        &self,
        name: &str,
    ) -> Result<Option<&'static str>, AwsErrorResponse> {
        let formed = USERNAME_ATTRIBUTES
            .into_iter()
            .find(|(of, _)| has_format(name, of));
        let wrong = |why: &str| Err(aws_error("InvalidParameterException", why));
        match formed {
            Some((attribute, _)) if self.username_attributes.contains(&attribute) => {
                Ok(Some(attribute))
            }
            Some((attribute, called)) if self.alias_attributes.contains(&attribute) => {
                wrong(&format!(
                    "Username cannot be of {called} format, since user pool is configured for \
                 {called} alias."
                ))
            }
            _ => match *self.username_attributes {
                [] => Ok(None),
                ["email"] => wrong("Username should be an email."),
                ["phone_number"] => wrong("Username should be a phone number."),
                _ => wrong("Username should be either an email or a phone number."),
            },
        }
    }

    /// Whether `name` is another name of this user.
    pub(super) fn has_alias(&self, user: &EmbeddedUser, name: &str) -> bool {
        let names = self
            .username_attributes
            .iter()
            .map(|name| user.attribute(name));
        let mut others = names.chain(self.aliases_in(&user.attributes));
        user.attribute("sub") == name
            || others.any(|other| !other.is_empty() && other.eq_ignore_ascii_case(name))
    }

    /// The aliases that these attributes are.
    pub(super) fn aliases_in<'a>(
        &self,
        attributes: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a str> {
        let get = move |name: &str| attributes.get(name).map_or("", String::as_str);
        // A preferred user name needs no verification.
        let verified = move |name: &&str| {
            *name == PREFERRED_USERNAME || get(&format!("{name}_verified")) == "true"
        };
        let aliases = self.alias_attributes.iter().copied().filter(verified);
        aliases.map(get).filter(|alias| !alias.is_empty())
    }

    /// The name that the user signs in with and knows.
    pub(super) fn sign_in_name<'a>(&self, user: &'a EmbeddedUser) -> &'a str {
        let mut names = self
            .username_attributes
            .iter()
            .map(|name| user.attribute(name));
        names.find(|name| !name.is_empty()).unwrap_or(&user.name)
    }
}

fn has_format(name: &str, attribute: &str) -> bool {
    match attribute {
        "email" => name.contains('@'),
        _ => name.strip_prefix('+').is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        }),
    }
}
