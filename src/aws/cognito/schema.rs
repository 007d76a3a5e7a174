//! The attributes of a user pool's users, and how the pool invites people, from
//! `DescribeUserPool`.

use std::time::Duration;

use aws_sdk_cognitoidentityprovider::types::{
    AliasAttributeType, AttributeDataType, AuthFactorType, EmailSendingAccountType,
    NumberAttributeConstraintsType, SchemaAttributeType, SignInPolicyType,
    StringAttributeConstraintsType, UserPoolType, UsernameAttributeType,
};

use super::SignInName;

/// The length of the longest value, in characters.
const MAX_TEXT: usize = 2048;
/// Cognito's default, which also replaces a 0.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_PasswordPolicyType.html>
const DEFAULT_CODE_DAYS: i32 = 7;

/// The settings of a user pool that an invitation depends on.
#[derive(Debug, Clone)]
pub(crate) struct InvitationSettings {
    pub attributes: Vec<SchemaAttribute>,
    pub sign_in_name: SignInName,
    /// An e-mail address is an alias, and so cannot be the user name.
    pub has_email_alias: bool,
    /// How long a code may be used.
    pub code_lifetime: Duration,
    /// Mails come from Cognito's own address: at most 50 a day.
    pub has_default_email: bool,
    /// An invited user needs no password: they are confirmed at once, and get no mail.
    pub is_passwordless: bool,
}

/// An attribute of a pool's schema.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaAttribute {
    /// Such as `given_name` or `custom:plan`.
    pub name: String,
    /// What values it takes.
    pub kind: AttributeKind,
    /// Whether every user must have it.
    pub is_required: bool,
    /// Whether it can be changed after the user was created.
    pub is_mutable: bool,
}

/// The type of an attribute, with its limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttributeKind {
    /// A text: the limits of its length in characters.
    Text {
        /// The shortest length.
        min: usize,
        /// The longest length.
        max: usize,
    },
    /// A number, with its limits if it has some.
    Number {
        /// The lowest number.
        min: Option<f64>,
        /// The highest number.
        max: Option<f64>,
    },
    /// `true` or `false`.
    Boolean,
    /// A time.
    DateTime,
}

impl InvitationSettings {
    pub(super) fn from_sdk(pool: &UserPoolType) -> Self {
        let aliases = pool.alias_attributes();
        let factors = pool
            .policies()
            .and_then(|policies| policies.sign_in_policy())
            .map(SignInPolicyType::allowed_first_auth_factors)
            .unwrap_or_default();
        let is_code =
            |it: &AuthFactorType| matches!(it, AuthFactorType::EmailOtp | AuthFactorType::SmsOtp);
        let attributes = pool.schema_attributes().iter();
        Self {
            attributes: attributes.filter_map(SchemaAttribute::from_sdk).collect(),
            sign_in_name: sign_in_name(pool),
            has_email_alias: aliases.contains(&AliasAttributeType::Email),
            code_lifetime: code_lifetime(pool),
            has_default_email: has_default_email(pool),
            is_passwordless: factors.iter().any(is_code),
        }
    }
}

pub(super) fn sign_in_name(pool: &UserPoolType) -> SignInName {
    let names = pool.username_attributes();
    if names.contains(&UsernameAttributeType::Email) {
        SignInName::Email
    } else if names.contains(&UsernameAttributeType::PhoneNumber) {
        SignInName::Phone
    } else {
        SignInName::Any
    }
}

pub(super) fn has_default_email(pool: &UserPoolType) -> bool {
    let mails = pool.email_configuration();
    let account = mails.and_then(|mails| mails.email_sending_account());
    let lambdas = pool.lambda_config();
    let by_lambda = lambdas.is_some_and(|lambdas| lambdas.custom_email_sender().is_some());
    account != Some(&EmailSendingAccountType::Developer) && !by_lambda
}

fn code_lifetime(pool: &UserPoolType) -> Duration {
    let policy = pool.policies().and_then(|it| it.password_policy());
    let current = policy.map(|it| it.temporary_password_validity_days);
    let older = pool.admin_create_user_config();
    let older = older.map(|it| it.unused_account_validity_days);
    let mut given = [current, older].into_iter().flatten();
    let days = given.find(|days| *days > 0).unwrap_or(DEFAULT_CODE_DAYS);
    Duration::from_hours(24 * u64::try_from(days).unwrap_or_default())
}

impl SchemaAttribute {
    /// `None` for one that only the developers of an app may use.
    fn from_sdk(attribute: &SchemaAttributeType) -> Option<Self> {
        if attribute.developer_only_attribute() == Some(true) {
            return None;
        }
        let kind = match attribute.attribute_data_type() {
            Some(AttributeDataType::Number) => {
                let limits = attribute.number_attribute_constraints();
                let limit = |text: Option<&str>| text?.parse().ok();
                AttributeKind::Number {
                    min: limit(limits.and_then(NumberAttributeConstraintsType::min_value)),
                    max: limit(limits.and_then(NumberAttributeConstraintsType::max_value)),
                }
            }
            Some(AttributeDataType::Boolean) => AttributeKind::Boolean,
            Some(AttributeDataType::Datetime) => AttributeKind::DateTime,
            _ => {
                let limits = attribute.string_attribute_constraints();
                let limit = |text: Option<&str>| text?.parse::<usize>().ok();
                let min = limits.and_then(StringAttributeConstraintsType::min_length);
                let max = limits.and_then(StringAttributeConstraintsType::max_length);
                AttributeKind::Text {
                    min: limit(min).unwrap_or(0),
                    max: limit(max).unwrap_or(MAX_TEXT).min(MAX_TEXT),
                }
            }
        };
        Some(Self {
            name: attribute.name()?.to_owned(),
            kind,
            is_required: attribute.required() == Some(true),
            is_mutable: attribute.mutable() != Some(false),
        })
    }

    /// For `CreateUserPool`, which puts `custom:` before the name.
    #[cfg(feature = "dev")]
    pub(in crate::aws) fn to_sdk(&self) -> SchemaAttributeType {
        let attribute = SchemaAttributeType::builder()
            .name(&self.name)
            .required(self.is_required)
            .mutable(self.is_mutable);
        let text = |limit: Option<f64>| limit.map(|limit| limit.to_string());
        let attribute = match self.kind {
            AttributeKind::Text { min, max } => {
                let limits = StringAttributeConstraintsType::builder();
                let limits = limits.min_length(min.to_string());
                attribute
                    .attribute_data_type(AttributeDataType::String)
                    .string_attribute_constraints(limits.max_length(max.to_string()).build())
            }
            AttributeKind::Number { min, max } => {
                let limits = NumberAttributeConstraintsType::builder();
                let limits = limits.set_min_value(text(min)).set_max_value(text(max));
                attribute
                    .attribute_data_type(AttributeDataType::Number)
                    .number_attribute_constraints(limits.build())
            }
            AttributeKind::Boolean => attribute.attribute_data_type(AttributeDataType::Boolean),
            AttributeKind::DateTime => attribute.attribute_data_type(AttributeDataType::Datetime),
        };
        attribute.build()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::aws::cognito::fake::fake_cognito;
    use crate::event::PoolId;

    async fn settings_of(pool: serde_json::Value) -> InvitationSettings {
        let respond =
            move |_: &str, _: &serde_json::Value| (Duration::ZERO, 200, json!({"UserPool": pool}));
        let services = fake_cognito(1, respond).await;
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let settings = services.cognito.invitation_settings(&pool).await;
        settings.expect("an answer")
    }

    #[tokio::test(start_paused = true)]
    async fn a_schema_has_types_and_limits() {
        let settings = settings_of(json!({"SchemaAttributes": [
            {"Name": "given_name", "AttributeDataType": "String", "Required": true,
                "Mutable": true, "StringAttributeConstraints": {"MinLength": "0", "MaxLength": "2048"}},
            {"Name": "custom:plan", "AttributeDataType": "String", "Mutable": false,
                "StringAttributeConstraints": {}},
            {"Name": "custom:seats", "AttributeDataType": "Number", "Mutable": true,
                "NumberAttributeConstraints": {"MinValue": "1", "MaxValue": "500"}},
            {"Name": "custom:trial", "AttributeDataType": "Boolean"},
            {"Name": "custom:renewal", "AttributeDataType": "DateTime"},
            {"Name": "dev:custom:x", "DeveloperOnlyAttribute": true},
        ]}))
        .await;
        let text = AttributeKind::Text { min: 0, max: 2048 };
        let number = AttributeKind::Number {
            min: Some(1.0),
            max: Some(500.0),
        };
        let found: Vec<_> = settings
            .attributes
            .iter()
            .map(|it| (it.name.as_str(), it.kind, it.is_required, it.is_mutable))
            .collect();
        let expected = [
            ("given_name", text, true, true),
            ("custom:plan", text, false, false),
            ("custom:seats", number, false, true),
            ("custom:trial", AttributeKind::Boolean, false, true),
            ("custom:renewal", AttributeKind::DateTime, false, true),
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_lifetime_of_a_code_has_two_names_and_a_default() {
        let policy = |days| json!({"PasswordPolicy": {"TemporaryPasswordValidityDays": days}});
        for (pool, days) in [
            (json!({}), 7),
            (json!({"Policies": policy(0)}), 7),
            (json!({"Policies": policy(3)}), 3),
            (
                json!({"AdminCreateUserConfig": {"UnusedAccountValidityDays": 30}}),
                30,
            ),
        ] {
            let lifetime = settings_of(pool).await.code_lifetime;
            assert_eq!(lifetime, Duration::from_hours(24 * days));
        }
    }
}
