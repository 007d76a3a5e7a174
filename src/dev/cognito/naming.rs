//! Names of users. A pool has user names, to which an address or a phone number may be an
//! alias; or it names users only by an address or a phone number.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>

use std::collections::BTreeMap;

use serde_json::Value;

use super::user::EmbeddedUser;
use super::{AwsErrorResponse, aws_error};

/// Attributes that may name users, and their names in error messages.
const USERNAME_ATTRIBUTES: [(&str, &str); 2] =
    [("email", "email"), ("phone_number", "phone number")];

/// An alias that may have any format.
const PREFERRED_USERNAME: &str = "preferred_username";

#[derive(Debug, Clone, Default)]
pub(super) struct Naming {
    /// These attributes name users, and the pool generates their user names.
    username_attributes: Vec<&'static str>,
    /// These are aliases of users: an e-mail address and a phone number only once they are
    /// verified.
    alias_attributes: Vec<&'static str>,
}

impl Naming {
    /// From the input of `CreateUserPool`.
    pub(super) fn from_input(input: &Value) -> Self {
        let attributes = |member: &str| -> Vec<&'static str> {
            let given: Vec<&Value> = input[member].as_array().into_iter().flatten().collect();
            let known_attributes = USERNAME_ATTRIBUTES
                .into_iter()
                .map(|(attribute, _)| attribute);
            known_attributes
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

    /// Whether users have user names and no aliases.
    pub(super) fn has_plain_usernames(&self) -> bool {
        self.username_attributes.is_empty() && self.alias_attributes.is_empty()
    }

    /// The lists that `DescribeUserPool` shows, without empty ones.
    pub(super) fn attribute_lists(&self) -> impl Iterator<Item = (&'static str, &[&'static str])> {
        let lists = [
            ("UsernameAttributes", &*self.username_attributes),
            ("AliasAttributes", &*self.alias_attributes),
        ];
        lists.into_iter().filter(|(_, list)| !list.is_empty())
    }

    /// The attribute whose value `name` is, if that attribute names the pool's users. Fails
    /// for a name that no user of the pool can have.
    pub(super) fn username_attribute(
        &self,
        name: &str,
    ) -> Result<Option<&'static str>, AwsErrorResponse> {
        let by_format = USERNAME_ATTRIBUTES
            .into_iter()
            .find(|(of, _)| has_format(name, of));
        let invalid = |message: &str| Err(aws_error("InvalidParameterException", message));
        match by_format {
            Some((attribute, _)) if self.username_attributes.contains(&attribute) => {
                Ok(Some(attribute))
            }
            Some((attribute, label)) if self.alias_attributes.contains(&attribute) => {
                invalid(&format!(
                    "Username cannot be of {label} format, since user pool is configured for \
                 {label} alias."
                ))
            }
            _ => match *self.username_attributes {
                [] => Ok(None),
                ["email"] => invalid("Username should be an email."),
                ["phone_number"] => invalid("Username should be a phone number."),
                _ => invalid("Username should be either an email or a phone number."),
            },
        }
    }

    /// Whether `name` is the `sub` or an alias of this user.
    pub(super) fn has_alias(&self, user: &EmbeddedUser, name: &str) -> bool {
        let names = self
            .username_attributes
            .iter()
            .map(|name| user.attribute(name));
        let mut others = names.chain(self.aliases_in(&user.attributes));
        user.attribute("sub") == name
            || others.any(|other| !other.is_empty() && other.eq_ignore_ascii_case(name))
    }

    /// The values among these attributes that are aliases.
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

    /// The name that the user signs in with.
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
