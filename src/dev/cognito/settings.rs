//! The settings of a user pool: kept as they were sent, and reset where they were not,
//! which is Cognito's way.
//!
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html>

use serde_json::{Map, Value, json};

use super::user::text;
use super::{Answer, CognitoFront, ok, refuse};
use crate::event::IssuerType;

/// What a pool was given, and how it asks for a second factor.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    settings: Map<String, Value>,
    mfa: Map<String, Value>,
}

/// What `CreateUserPool` takes and `UpdateUserPool` does not.
const LASTING: [&str; 5] = [
    "AliasAttributes",
    "PoolName",
    "Schema",
    "UsernameAttributes",
    "UsernameConfiguration",
];

const REGISTRATION: &str = "DcrConfiguration";

impl Given {
    /// Of what a pool is made with.
    pub(super) fn at_first(input: &Value) -> Self {
        let mut given = Self::default();
        given.update(input);
        given
    }

    /// Which issuer new tokens name.
    pub(super) fn issuer(&self) -> IssuerType {
        let configuration = self.settings.get("IssuerConfiguration");
        let name = configuration.map(|configuration| text(&configuration["Type"]));
        name.and_then(IssuerType::named)
            .unwrap_or(IssuerType::Original)
    }

    /// All of it again.
    pub(super) fn update(&mut self, input: &Value) {
        let mut settings = input.as_object().cloned().unwrap_or_default();
        settings.retain(|name, _| name != "UserPoolId" && !LASTING.contains(&name.as_str()));
        // Kept when it is not given, and switched on when it does not say otherwise.
        if let Some(registration) = settings.get_mut(REGISTRATION) {
            if registration["EnableStatus"].is_null() {
                registration["EnableStatus"] = json!("Enabled");
            }
        } else if let Some(registration) = self.settings.remove(REGISTRATION) {
            settings.insert(REGISTRATION.to_owned(), registration);
        }
        // Cognito shows one validity under two names.
        let days = &input["Policies"]["PasswordPolicy"]["TemporaryPasswordValidityDays"];
        if days.is_number() {
            let invitations = settings.entry("AdminCreateUserConfig").or_insert(json!({}));
            invitations["UnusedAccountValidityDays"] = days.clone();
        }
        let mfa = settings.get("MfaConfiguration").cloned();
        // A text message is the one factor that this call knows.
        self.mfa.clear();
        self.mfa
            .insert("MfaConfiguration".to_owned(), mfa.unwrap_or(json!("OFF")));
        self.settings = settings;
    }
}

impl CognitoFront {
    pub(super) async fn create_pool(&self, input: &Value) -> Answer {
        let answer = self.ask("CreateUserPool", input).await?;
        self.pools
            .pool_created(text(&answer["UserPool"]["Id"]), input);
        Ok(ok(&answer))
    }

    pub(super) async fn describe_pool(&self, input: &Value) -> Answer {
        let mut answer = self.ask("DescribeUserPool", input).await?;
        let pool = text(&input["UserPoolId"]);
        if let (Some(shown), Some(given)) =
            (answer["UserPool"].as_object_mut(), self.pools.given(pool))
        {
            shown.extend(given.settings);
            shown.insert(
                "MfaConfiguration".to_owned(),
                given.mfa["MfaConfiguration"].clone(),
            );
        }
        let settings = self.pools.settings(pool).unwrap_or_default();
        for (member, attributes) in settings.naming.shown() {
            answer["UserPool"][member] = json!(attributes);
        }
        Ok(ok(&answer))
    }

    pub(super) async fn update_pool(&self, input: &Value) -> Answer {
        self.ask(
            "DescribeUserPool",
            &json!({"UserPoolId": input["UserPoolId"]}),
        )
        .await?;
        let days = "UnusedAccountValidityDays";
        if !input["AdminCreateUserConfig"][days].is_null()
            && !input["Policies"]["PasswordPolicy"]["TemporaryPasswordValidityDays"].is_null()
        {
            return Err(refuse(
                "InvalidParameterException",
                "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of \
                 UnusedAccountValidityDays",
            ));
        }
        self.pools.pool_updated(text(&input["UserPoolId"]), input);
        Ok(ok(&json!({})))
    }

    pub(super) fn mfa(&self, operation: &str, input: &Value) -> Answer {
        let pool = text(&input["UserPoolId"]);
        let mut given = self.pools.given(pool).ok_or_else(|| {
            refuse(
                "ResourceNotFoundException",
                &format!("User pool {pool} does not exist."),
            )
        })?;
        if operation == "SetUserPoolMfaConfig" {
            given.mfa = input.as_object().cloned().unwrap_or_default();
            given.mfa.remove("UserPoolId");
            self.pools.given_now(pool, given.clone());
        }
        Ok(ok(&Value::Object(given.mfa)))
    }
}
