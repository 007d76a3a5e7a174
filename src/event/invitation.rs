//! The fields of an invitation, and their checks.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use super::text_rule::{InvisibleCharacter, TextRule};
use super::{GroupName, Username};

/// A user to create in the pool, with attributes and groups, all checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The user name; without one, the e-mail address is used.
    pub username: Option<Username>,
    /// The recipient of the invitation, without surrounding white space.
    pub email: String,
    /// The other attributes, by Cognito's names.
    pub attributes: BTreeMap<String, String>,
    /// Groups in addition to those of the rules.
    pub groups: Vec<GroupName>,
    /// Whether a user who was already invited gets the mail again.
    pub resend: bool,
}

/// The unchecked fields of an invitation.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvitationDraft {
    pub email: String,
    /// For pools whose users sign in with a user name or a phone number.
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub given_name: Option<String>,
    #[serde(default)]
    pub family_name: Option<String>,
    /// An object, or its JSON text: `AWSJSON` may arrive as either.
    #[serde(default)]
    pub attributes: Option<Value>,
    #[serde(default)]
    pub groups: Option<Vec<String>>,
    #[serde(default)]
    pub resend: Option<bool>,
}

/// An invalid field of a request: its name and the rule that it breaks, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub(crate) struct FieldError {
    /// The name of the field in the request.
    pub field: &'static str,
    pub rule: TextRule,
}

/// Standard attributes that an administrator may set.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>
const STANDARD_ATTRIBUTES: [&str; 17] = [
    "address",
    "birthdate",
    "family_name",
    "gender",
    "given_name",
    "locale",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "phone_number_verified",
    "picture",
    "preferred_username",
    "profile",
    "updated_at",
    "website",
    "zoneinfo",
];

impl Invitation {
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>
    const MAX_GROUPS: usize = 100;

    /// The JSON members of an [`InvitationDraft`].
    pub(crate) const FIELDS: [&str; 7] = [
        "email",
        "username",
        "givenName",
        "familyName",
        "attributes",
        "groups",
        "resend",
    ];

    /// Checks every field. The error is the first invalid one.
    pub(crate) fn new(draft: InvitationDraft) -> Result<Self, FieldError> {
        let error_in = |field| move |rule| FieldError { field, rule };
        let invalid = |field, text| error_in(field)(TextRule::Message(text));
        let email = draft.email.trim().to_owned();
        if let Some(invisible) = InvisibleCharacter::find_in_name(&email) {
            return Err(error_in("email")(TextRule::InvisibleCharacter(invisible)));
        }
        if !is_email(&email) {
            return Err(invalid("email", "must be an e-mail address"));
        }
        let username = non_blank(draft.username)
            .map(|name| Username::parse(&name).map_err(error_in("username")))
            .transpose()?;
        let mut attributes = parse_attributes(draft.attributes)?;
        for (name, field, value) in [
            ("given_name", "givenName", draft.given_name),
            ("family_name", "familyName", draft.family_name),
        ] {
            let Some(value) = non_blank(value) else {
                continue;
            };
            Self::check_value(name, &value).map_err(error_in(field))?;
            if attributes.insert(name.to_owned(), value).is_some() {
                return Err(invalid(field, "is given twice, here and in attributes"));
            }
        }
        let mut groups: Vec<GroupName> = Vec::new();
        for (place, name) in (1..).zip(draft.groups.unwrap_or_default()) {
            let group = GroupName::parse(&name);
            let group = group.map_err(|rule| error_in("groups")(rule.for_group(place)))?;
            if groups.contains(&group) {
                continue;
            }
            // At once: the text may name very many.
            if groups.len() == Self::MAX_GROUPS {
                return Err(invalid("groups", "a user is in at most 100 groups"));
            }
            groups.push(group);
        }
        let preferred = attributes.get("preferred_username");
        if let (Some(preferred), Some(name)) = (preferred, &username)
            && preferred == name.reveal()
        {
            return Err(invalid(
                "attributes",
                "preferred_username must differ from the user name",
            ));
        }
        Ok(Self {
            username,
            email,
            attributes,
            groups,
            resend: draft.resend.unwrap_or_default(),
        })
    }

    /// Whether an administrator may set this attribute: standard ones and `custom:…`, but not
    /// `sub`, `email` or `email_verified`.
    pub(crate) fn may_set_attribute(name: &str) -> bool {
        let custom = name
            .strip_prefix("dev:custom:")
            .or_else(|| name.strip_prefix("custom:"));
        let fine = |c: char| !c.is_whitespace() && !c.is_control();
        STANDARD_ATTRIBUTES.contains(&name)
            || custom.is_some_and(|name| !name.is_empty() && name.chars().all(fine))
    }

    /// Checks the value of an attribute by Cognito's rules. The error is the rule that it
    /// breaks. Of `custom:…` attributes only the length is checked.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>,
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AttributeType.html>
    pub(crate) fn check_value(name: &str, value: &str) -> Result<(), TextRule> {
        if value.chars().count() > 2048 {
            return Err(TextRule::Message("a value has at most 2048 characters"));
        }
        if let Some(invisible) = InvisibleCharacter::find_in_value(value)
            && STANDARD_ATTRIBUTES.contains(&name)
        {
            return Err(TextRule::InvisibleCharacter(invisible));
        }
        match name {
            _ if value.is_empty() => Ok(()),
            "phone_number" if !is_phone_number(value) => Err(TextRule::Message(
                "must be + and digits, such as +15551234567",
            )),
            "birthdate" if !is_date(value) => {
                Err(TextRule::Message("must be a date such as 1990-12-31"))
            }
            _ => Ok(()),
        }
    }

    /// The `Username` for `AdminCreateUser`.
    pub(crate) fn sign_in_name(&self) -> Option<Username> {
        self.username.clone().or_else(|| Username::new(&self.email))
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "email": self.email,
            "username": self.username.as_ref().map(Username::reveal),
            "attributes": self.attributes,
            "groups": self.groups.iter().map(GroupName::as_str).collect::<Vec<_>>(),
            "resend": self.resend,
        })
    }
}

/// Prints groups and the number of attributes: the rest is personal data.
impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("attributes", &self.attributes.len())
            .field("groups", &self.groups)
            .field("resend", &self.resend)
            .finish_non_exhaustive()
    }
}

fn non_blank(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

/// E.164: a plus sign and 1 to 15 digits.
fn is_phone_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (1..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// Checks only the form `YYYY-MM-DD`: a birthdate is not always a day of the calendar.
fn is_date(text: &str) -> bool {
    let is_like = |(is, like): (u8, u8)| is == like || (like == b'0' && is.is_ascii_digit());
    text.len() == 10 && text.bytes().zip(*b"0000-00-00").all(is_like)
}

/// Checks only the coarse form; Cognito checks the rest.
fn is_email(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\"\\".contains(c);
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    }) && text.len() <= 254
        && !text.contains(odd)
}

fn parse_attributes(given: Option<Value>) -> Result<BTreeMap<String, String>, FieldError> {
    const FIELD: &str = "attributes";
    let invalid = |text| FieldError {
        field: FIELD,
        rule: TextRule::Message(text),
    };
    let not_an_object = invalid("must be an object of attribute names and values");
    let object = match given {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(object)) => object,
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(BTreeMap::new()),
        Some(Value::String(text)) => serde_json::from_str(&text).map_err(|_| not_an_object)?,
        Some(_) => return Err(not_an_object),
    };
    let mut attributes = BTreeMap::new();
    for (name, value) in object {
        if !Invitation::may_set_attribute(&name) {
            return Err(invalid(
                "takes standard attributes such as given_name and custom:… ones, but not sub, \
                 email or email_verified",
            ));
        }
        let value = match value {
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(invalid("values are texts, numbers, true or false"));
            }
        };
        Invitation::check_value(&name, &value).map_err(|rule| FieldError {
            field: FIELD,
            rule: rule.for_attribute(STANDARD_ATTRIBUTES.into_iter().find(|known| *known == name)),
        })?;
        attributes.insert(name, value);
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(email: &str) -> InvitationDraft {
        InvitationDraft {
            email: email.to_owned(),
            ..InvitationDraft::default()
        }
    }

    fn field(draft: InvitationDraft) -> Option<&'static str> {
        Invitation::new(draft).err().map(|error| error.field)
    }

    #[test]
    fn invitation_needs_only_an_email_address() {
        let invitation = Invitation::new(draft(" ada@example.com ")).expect("valid");
        assert_eq!(invitation.email, "ada@example.com");
        let name = invitation.sign_in_name().expect("a name");
        assert_eq!(name.reveal(), "ada@example.com");
        for wrong in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a@b@c",
            "a b@example.com",
            "Ada <ada@example.com>",
            "a@example.com,b@example.com",
            "ada@exam\u{200b}ple.com",
        ] {
            assert_eq!(field(draft(wrong)), Some("email"), "{wrong}");
        }
    }

    #[test]
    fn attributes_are_an_object_or_its_json_text() {
        let object = json!({"custom:plan": "pro", "custom:n": 7, "locale": null, "gender": ""});
        for given in [object.clone(), Value::String(object.to_string())] {
            let draft = InvitationDraft {
                attributes: Some(given),
                given_name: Some("Ada".to_owned()),
                family_name: Some(" ".to_owned()),
                ..draft("ada@example.com")
            };
            let attributes = Invitation::new(draft).expect("valid").attributes;
            let expected = [
                ("custom:n", "7"),
                ("custom:plan", "pro"),
                ("given_name", "Ada"),
            ];
            let read: Vec<(&str, &str)> = attributes
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_hundred_groups_are_the_most() {
        let with = |count: usize| InvitationDraft {
            groups: Some((0..count).map(|n| format!("G{}", n % 101)).collect()),
            ..draft("ada@example.com")
        };
        let invitation = Invitation::new(with(100)).expect("valid");
        assert_eq!(invitation.groups.len(), 100);
        // The 101st ends the reading of very many.
        let error = Invitation::new(with(1_000_000)).expect_err("too many");
        assert_eq!(error.field, "groups");
    }

    #[test]
    fn reserved_attributes_and_invalid_values_are_refused() {
        for wrong in [
            json!({"sub": "x"}),
            json!({"email": "b@example.com"}),
            json!({"email_verified": "false"}),
            json!({"cognito:user_status": "CONFIRMED"}),
            json!({"custom:": "x"}),
            json!({"custom:a b": "x"}),
            json!({"name": ["x"]}),
            json!({"name": "x".repeat(2049)}),
            json!([]),
            json!("x"),
        ] {
            let draft = InvitationDraft {
                attributes: Some(wrong.clone()),
                ..draft("ada@example.com")
            };
            assert_eq!(field(draft), Some("attributes"), "{wrong}");
        }
        let same = InvitationDraft {
            username: Some("ada".to_owned()),
            attributes: Some(json!({"preferred_username": "ada"})),
            ..draft("ada@example.com")
        };
        assert_eq!(field(same), Some("attributes"));
        let twice = InvitationDraft {
            attributes: Some(json!({"given_name": "A"})),
            given_name: Some("B".to_owned()),
            ..draft("ada@example.com")
        };
        assert_eq!(field(twice), Some("givenName"));
        let group = InvitationDraft {
            groups: Some(vec!["a b".to_owned()]),
            ..draft("ada@example.com")
        };
        assert_eq!(field(group), Some("groups"));
    }

    #[test]
    fn phone_numbers_and_dates_have_the_form_that_cognito_takes() {
        for (name, fine) in [
            ("phone_number", "+15551234567"),
            ("phone_number", "+442079460958"),
            ("birthdate", "1990-12-31"),
            ("birthdate", "0000-12-31"),
            ("custom:phone", "020 7946"),
            ("birthdate", ""),
        ] {
            assert_eq!(Invitation::check_value(name, fine), Ok(()), "{name}");
        }
        for (name, wrong) in [
            ("phone_number", "020 7946 0958"),
            ("phone_number", "+44 20 7946"),
            ("phone_number", "+"),
            ("phone_number", "+1234567890123456"),
            ("birthdate", "1/2/90"),
            ("birthdate", "31-12-1990"),
        ] {
            let draft = InvitationDraft {
                attributes: Some(json!({name: wrong})),
                ..draft("ada@example.com")
            };
            let message = Invitation::new(draft).expect_err(wrong).to_string();
            let place = format!("attributes: {name}: must be");
            assert!(message.starts_with(&place), "{message}");
        }
    }

    #[test]
    fn error_names_field_and_place_of_an_invisible_character() {
        let message = |draft| Invitation::new(draft).expect_err("wrong").to_string();
        let ada = || draft("ada@example.com");
        let named = |name: &str| InvitationDraft {
            username: Some(name.to_owned()),
            ..ada()
        };
        let given = |name: &str| InvitationDraft {
            given_name: Some(name.to_owned()),
            ..ada()
        };
        let phone = |number: &str| InvitationDraft {
            attributes: Some(json!({"phone_number": number})),
            ..ada()
        };
        let group = |name: &str| InvitationDraft {
            groups: Some(vec!["TEAM".to_owned(), name.to_owned()]),
            ..ada()
        };
        for (draft, place) in [
            (draft("ada@\u{200b}example.com"), "email: character 5 is"),
            (draft("ada@example.com\u{200b}"), "email: character 16 is"),
            (named("ad\u{200b}a"), "username: character 3 is"),
            (named("ada\u{200d}"), "username: character 4 is"),
            (given("Ada\u{feff}"), "givenName: character 4 is"),
            (
                phone("\u{202a}+44"),
                "attributes: phone_number: character 1 is",
            ),
            (group("ST\u{ad}AFF"), "groups: group 2: character 3 is"),
        ] {
            let message = message(draft);
            assert!(message.starts_with(place), "{message}");
            assert!(message.contains("invisible (U+"), "{message}");
        }
        let mut fine = given("می\u{200c}خواهم");
        fine.attributes = Some(json!({"custom:note": "a\u{200b}b"}));
        assert!(Invitation::new(fine).is_ok());
    }

    #[test]
    fn debug_output_hides_personal_data() {
        let invitation = Invitation::new(draft("zoltan@example.com")).expect("valid");
        assert!(!format!("{invitation:?}").contains("zoltan"));
    }
}
