//! The settings of a user pool. As in Cognito, an update stores the settings that it sends
//! and resets all others.
//!
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html>

use serde_json::{Map, Value, json};

use super::user::str_or_empty;
use super::{CognitoResult, EmbeddedCognito, aws_error, ok_response};
use crate::event::IssuerType;

/// The settings of a pool as they were sent, and its MFA configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct RawPoolSettings {
    settings: Map<String, Value>,
    mfa: Map<String, Value>,
}

/// Settings that `CreateUserPool` takes and `UpdateUserPool` does not.
const CREATE_ONLY_SETTINGS: [&str; 5] = [
    "AliasAttributes",
    "PoolName",
    "Schema",
    "UsernameAttributes",
    "UsernameConfiguration",
];

const CLIENT_REGISTRATION_SETTING: &str = "DcrConfiguration";

impl RawPoolSettings {
    /// From the input of `CreateUserPool`.
    pub(super) fn from_input(input: &Value) -> Self {
        let mut given = Self::default();
        given.update(input);
        given
    }

    /// The issuer that new tokens name.
    pub(super) fn issuer(&self) -> IssuerType {
        let configuration = self.settings.get("IssuerConfiguration");
        let name = configuration.map(|configuration| str_or_empty(&configuration["Type"]));
        name.and_then(IssuerType::from_name)
            .unwrap_or(IssuerType::Original)
    }

    /// Replaces all settings by those of a request.
    pub(super) fn update(&mut self, input: &Value) {
        let mut settings = input.as_object().cloned().unwrap_or_default();
        settings.retain(|name, _| {
            name != "UserPoolId" && !CREATE_ONLY_SETTINGS.contains(&name.as_str())
        });
        // Unchanged when it is not sent, and enabled unless it says otherwise.
        if let Some(registration) = settings.get_mut(CLIENT_REGISTRATION_SETTING) {
            if registration["EnableStatus"].is_null() {
                registration["EnableStatus"] = json!("Enabled");
            }
        } else if let Some(registration) = self.settings.remove(CLIENT_REGISTRATION_SETTING) {
            settings.insert(CLIENT_REGISTRATION_SETTING.to_owned(), registration);
        }
        // Cognito shows one validity under two names.
        let days = &input["Policies"]["PasswordPolicy"]["TemporaryPasswordValidityDays"];
        if days.is_number() {
            let invitations = settings.entry("AdminCreateUserConfig").or_insert(json!({}));
            invitations["UnusedAccountValidityDays"] = days.clone();
        }
        let mfa = settings.get("MfaConfiguration").cloned();
        // This call supports no other factor than text messages.
        self.mfa.clear();
        self.mfa
            .insert("MfaConfiguration".to_owned(), mfa.unwrap_or(json!("OFF")));
        self.settings = settings;
    }
}

impl EmbeddedCognito {
    pub(super) async fn create_pool(&self, input: &Value) -> CognitoResult {
        let answer = self.call_json("CreateUserPool", input).await?;
        self.pools
            .add_pool(str_or_empty(&answer["UserPool"]["Id"]), input);
        Ok(ok_response(&answer))
    }

    pub(super) async fn describe_pool(&self, input: &Value) -> CognitoResult {
        let mut answer = self.call_json("DescribeUserPool", input).await?;
        let pool = str_or_empty(&input["UserPoolId"]);
        if let (Some(described), Some(given)) = (
            answer["UserPool"].as_object_mut(),
            self.pools.raw_settings(pool),
        ) {
            // The library's default is not the policy that passwords are checked against.
            described.remove("Policies");
            described.extend(given.settings);
            described.insert(
                "MfaConfiguration".to_owned(),
                given.mfa["MfaConfiguration"].clone(),
            );
        }
        let settings = self.pools.settings(pool).unwrap_or_default();
        let policy = &mut answer["UserPool"]["Policies"]["PasswordPolicy"];
        if policy.is_null() {
            *policy = settings.password_policy.to_settings();
        }
        answer["UserPool"]["SchemaAttributes"] = json!(settings.schema.attributes());
        for (member, attributes) in settings.naming.attribute_lists() {
            answer["UserPool"][member] = json!(attributes);
        }
        Ok(ok_response(&answer))
    }

    pub(super) async fn update_pool(&self, input: &Value) -> CognitoResult {
        self.call_json(
            "DescribeUserPool",
            &json!({"UserPoolId": input["UserPoolId"]}),
        )
        .await?;
        let days = "UnusedAccountValidityDays";
        if !input["AdminCreateUserConfig"][days].is_null()
            && !input["Policies"]["PasswordPolicy"]["TemporaryPasswordValidityDays"].is_null()
        {
            return Err(aws_error(
                "InvalidParameterException",
                "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of \
                 UnusedAccountValidityDays",
            ));
        }
        self.pools
            .update_pool(str_or_empty(&input["UserPoolId"]), input);
        Ok(ok_response(&json!({})))
    }

    pub(super) fn mfa_config(&self, operation: &str, input: &Value) -> CognitoResult {
        let pool = str_or_empty(&input["UserPoolId"]);
        let mut given = self.pools.raw_settings(pool).ok_or_else(|| {
            aws_error(
                "ResourceNotFoundException",
                &format!("User pool {pool} does not exist."),
            )
        })?;
        if operation == "SetUserPoolMfaConfig" {
            given.mfa = input.as_object().cloned().unwrap_or_default();
            given.mfa.remove("UserPoolId");
            self.pools.set_raw_settings(pool, given.clone());
        }
        Ok(ok_response(&Value::Object(given.mfa)))
    }
}
