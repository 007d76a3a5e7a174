//! The settings of a user pool, and those that may be sent back to it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aws::JsonObject;

/// A user pool as Cognito describes it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(expecting = "struct Settings")]
pub struct UserPoolSettings {
    /// The pool that `DescribeUserPool` shows.
    pub pool: JsonObject,
    /// The answer of `GetUserPoolMfaConfig`.
    pub mfa: JsonObject,
}

/// A setting whose value has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingDifference {
    /// The name, with a prefix for MFA settings.
    pub setting: String,
    /// `None` where it was not set.
    pub before: Option<Value>,
    /// `None` where it is not set.
    pub after: Option<Value>,
}

/// Settings that `UpdateUserPool` takes and `DescribeUserPool` shows under the same name.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html>
const WRITABLE_SETTINGS: [&str; 23] = [
    "AccountRecoverySetting",
    "AcrConfiguration",
    "AdminCreateUserConfig",
    "AutoVerifiedAttributes",
    DCR_CONFIGURATION,
    "DeletionProtection",
    "DeviceConfiguration",
    "EmailConfiguration",
    "EmailVerificationMessage",
    "EmailVerificationSubject",
    "IssuerConfiguration",
    "KeyConfiguration",
    LAMBDA_CONFIG,
    "MfaConfiguration",
    "Policies",
    "SmsAuthenticationMessage",
    "SmsConfiguration",
    "SmsVerificationMessage",
    "UserAttributeUpdateSettings",
    "UserPoolAddOns",
    "UserPoolTags",
    "UserPoolTier",
    "VerificationMessageTemplate",
];
/// Settings that are set when the pool is created, elsewhere, or by Cognito itself. `Name` can be
/// written, as `PoolName`; without it, Cognito does not change the name.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UserPoolType.html>
const READ_ONLY_SETTINGS: [&str; 13] = [
    "AliasAttributes",
    "Arn",
    "CreationDate",
    "CustomDomain",
    "Domain",
    "EmailConfigurationFailure",
    "Id",
    "Name",
    "SchemaAttributes",
    "SmsConfigurationFailure",
    "Status",
    "UsernameAttributes",
    "UsernameConfiguration",
];
/// Settings that change by themselves.
const VOLATILE_SETTINGS: [&str; 2] = ["EstimatedNumberOfUsers", "LastModifiedDate"];
const LAMBDA_CONFIG: &str = "LambdaConfig";
/// Dynamic client registration: whether applications may register app clients of their own.
const DCR_CONFIGURATION: &str = "DcrConfiguration";

impl UserPoolSettings {
    /// The pool's triggers; empty where it has none.
    pub fn triggers(&self) -> JsonObject {
        let triggers = self.pool.get(LAMBDA_CONFIG).and_then(Value::as_object);
        triggers.cloned().unwrap_or_default()
    }

    /// The pool's ARN, if it is shown.
    pub fn arn(&self) -> Option<&str> {
        self.pool.get("Arn")?.as_str()
    }

    /// Settings that this release does not know, so `UpdateUserPool` may reset them if they are
    /// not sent.
    pub(crate) fn unknown_settings(&self) -> Vec<&str> {
        let names = self.pool.iter().filter(|(_, value)| !is_unset(value));
        names
            .map(|(name, _)| name.as_str())
            .filter(|name| {
                !WRITABLE_SETTINGS.contains(name)
                    && !READ_ONLY_SETTINGS.contains(name)
                    && !VOLATILE_SETTINGS.contains(name)
            })
            .collect()
    }

    /// The input of `UpdateUserPool` that sets these triggers and changes nothing else.
    pub(crate) fn update_input(&self, triggers: &JsonObject) -> JsonObject {
        let mut sent: JsonObject = self
            .pool
            .iter()
            .filter(|(name, value)| WRITABLE_SETTINGS.contains(&name.as_str()) && !is_unset(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        sent.insert(LAMBDA_CONFIG.to_owned(), Value::Object(triggers.clone()));
        // Only AWS can write its own tags.
        // https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
        if let Some(Value::Object(tags)) = sent.get_mut("UserPoolTags") {
            tags.retain(|name, _| !name.starts_with("aws:"));
        }
        // Cognito shows the validity of temporary passwords under both names and takes
        // only the newer one.
        // https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUserConfigType.html
        if self.has_validity_by_policy() {
            drop_older_validity(&mut sent);
        }
        // Without EnableStatus, Cognito would switch the registration on. It does not change
        // a configuration that is not sent.
        // https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html
        let registration = sent.get(DCR_CONFIGURATION);
        if registration.is_some_and(|registration| is_unset(&registration["EnableStatus"])) {
            sent.remove(DCR_CONFIGURATION);
        }
        sent
    }

    /// These settings, with the writable ones of `wanted`. Those that were set at creation, or
    /// elsewhere, stay as they are.
    #[must_use]
    pub(crate) fn with_writable_from(&self, wanted: &Self) -> Self {
        let is_ours = |name: &String| WRITABLE_SETTINGS.contains(&name.as_str());
        let mut pool = self.pool.clone();
        pool.retain(|name, _| !is_ours(name));
        let ours = wanted.pool.iter().filter(|(name, _)| is_ours(name));
        pool.extend(ours.map(|(name, value)| (name.clone(), value.clone())));
        // AWS's own tags stay as they are.
        let of_aws = |name: &str| name.starts_with("aws:");
        if let Some(Value::Object(tags)) = pool.get_mut("UserPoolTags") {
            tags.retain(|name, _| !of_aws(name));
        }
        if let Some(Value::Object(now)) = self.pool.get("UserPoolTags") {
            let tags = pool
                .entry("UserPoolTags")
                .or_insert_with(|| Value::Object(JsonObject::new()));
            if let Value::Object(tags) = tags {
                let theirs = now.iter().filter(|(name, _)| of_aws(name));
                tags.extend(theirs.map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        Self {
            pool,
            mfa: wanted.mfa.clone(),
        }
    }

    /// Whether users are asked for a second factor.
    pub(crate) fn has_mfa(&self) -> bool {
        let asked = self.mfa.get("MfaConfiguration").and_then(Value::as_str);
        asked.is_some_and(|asked| asked != "OFF")
    }

    /// Whether there is a second factor without text messages, which some versions of
    /// `UpdateUserPool` are reported to refuse.
    pub(crate) fn has_mfa_without_sms(&self) -> bool {
        let messages = self.pool.get("SmsConfiguration");
        self.has_mfa() && messages.is_none_or(is_unset)
    }

    /// Where `after` differs, except for triggers and settings that change by themselves.
    pub fn differences(&self, after: &Self) -> Vec<SettingDifference> {
        let (mut old, mut new) = (self.pool.clone(), after.pool.clone());
        if self.has_validity_by_policy() || after.has_validity_by_policy() {
            drop_older_validity(&mut old);
            drop_older_validity(&mut new);
        }
        let mut found = diff_settings(&old, &new, "");
        found.retain(|one| {
            one.setting != LAMBDA_CONFIG && !VOLATILE_SETTINGS.contains(&one.setting.as_str())
        });
        found.extend(diff_settings(
            &self.mfa,
            &after.mfa,
            "GetUserPoolMfaConfig: ",
        ));
        found
    }

    /// Whether the settings of the second factor are equal.
    pub(crate) fn has_same_mfa(&self, other: &Self) -> bool {
        diff_settings(&self.mfa, &other.mfa, "").is_empty()
    }

    /// Whether the password policy has the validity of temporary passwords, its newer place.
    fn has_validity_by_policy(&self) -> bool {
        let policies = self.pool.get("Policies");
        let days = policies
            .and_then(|policies| policies.pointer("/PasswordPolicy/TemporaryPasswordValidityDays"));
        days.is_some()
    }
}

fn drop_older_validity(settings: &mut JsonObject) {
    if let Some(Value::Object(invitations)) = settings.get_mut("AdminCreateUserConfig") {
        invitations.remove("UnusedAccountValidityDays");
    }
}

fn diff_settings(before: &JsonObject, after: &JsonObject, prefix: &str) -> Vec<SettingDifference> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let value_of =
        |of: &JsonObject, name: &str| of.get(name).filter(|value| !is_unset(value)).cloned();
    names
        .into_iter()
        .map(|name| SettingDifference {
            setting: format!("{prefix}{name}"),
            before: value_of(before, name),
            after: value_of(after, name),
        })
        .filter(|one| {
            one.before.as_ref().map(with_sorted_lists) != one.after.as_ref().map(with_sorted_lists)
        })
        .collect()
}

/// Cognito shows an unset value as null, an empty list, or an object of unset members.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.values().all(is_unset),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The lists of a pool's settings are sets, so their order means nothing.
fn with_sorted_lists(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(with_sorted_lists).collect();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, value)| !is_unset(value))
                .map(|(name, value)| (name.clone(), with_sorted_lists(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(pool: &Value, mfa: &Value) -> UserPoolSettings {
        serde_json::from_value(json!({"pool": pool, "mfa": mfa})).expect("settings")
    }

    #[test]
    fn all_writable_settings_are_sent_and_nothing_else() {
        let before = settings(
            &json!({
                "Id": "eu-west-1_x", "Name": "people", "EstimatedNumberOfUsers": 3,
                "SchemaAttributes": [{"Name": "sub"}],
                "Policies": {"PasswordPolicy": {"MinimumLength": 12, "TemporaryPasswordValidityDays": 3}},
                "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": true, "UnusedAccountValidityDays": 3},
                "UserPoolTags": {"team": "a", "aws:cloudformation:stack-name": "b"},
                "MfaConfiguration": "OPTIONAL", "SmsConfiguration": null,
                "LambdaConfig": {"PreSignUp": "arn:other"},
            }),
            &json!({}),
        );
        let triggers = JsonObject::from_iter([("PostConfirmation".to_owned(), json!("arn:usher"))]);
        assert_eq!(
            Value::Object(before.update_input(&triggers)),
            json!({
                "Policies": {"PasswordPolicy": {"MinimumLength": 12, "TemporaryPasswordValidityDays": 3}},
                "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": true},
                "UserPoolTags": {"team": "a"}, "MfaConfiguration": "OPTIONAL",
                "LambdaConfig": {"PostConfirmation": "arn:usher"},
            })
        );
        assert!(before.unknown_settings().is_empty());
    }

    #[test]
    fn client_registration_is_sent_whole_or_not_at_all() {
        let sent = |registration: Value| {
            let pool = json!({"Id": "x", "DcrConfiguration": registration});
            let settings = settings(&pool, &json!({}));
            assert!(settings.unknown_settings().is_empty());
            let mut sent = settings.update_input(&JsonObject::new());
            sent.remove("DcrConfiguration")
        };
        let whole = json!({"EnableStatus": "Disabled", "AuthenticatedGrantTypes": []});
        assert_eq!(sent(whole.clone()), Some(whole));
        for part in [
            json!({"OpenDcrEnabled": false}),
            json!({"OpenDcrEnabled": false, "EnableStatus": null}),
            json!({}),
        ] {
            assert_eq!(sent(part.clone()), None, "{part}");
        }
    }

    #[test]
    fn only_writable_settings_are_restored() {
        let now = settings(
            &json!({"Domain": "new", "UserPoolTags": {"aws:x": "1", "a": "2"}, "DeletionProtection": "ACTIVE"}),
            &json!({"MfaConfiguration": "OFF"}),
        );
        let saved = settings(
            &json!({"Domain": "old", "UserPoolTags": {"aws:x": "0", "a": "1"}, "UserPoolTier": "PLUS"}),
            &json!({"MfaConfiguration": "ON"}),
        );
        let wanted = now.with_writable_from(&saved);
        let pool = json!({"Domain": "new", "UserPoolTags": {"aws:x": "1", "a": "1"}, "UserPoolTier": "PLUS"});
        assert_eq!(Value::Object(wanted.pool.clone()), pool);
        assert_eq!(wanted.mfa, saved.mfa);
        assert!(wanted.has_mfa_without_sms() && !now.has_mfa());
    }

    #[test]
    fn an_unknown_setting_is_reported() {
        let pool =
            json!({"Id": "x", "PasskeyPolicy": {"Required": true}, "Empty": {}, "None": null});
        assert_eq!(
            settings(&pool, &json!({})).unknown_settings(),
            ["PasskeyPolicy"]
        );
    }

    #[test]
    fn differences_ignore_order_and_volatile_settings() {
        let before = settings(
            &json!({
                "AutoVerifiedAttributes": ["email", "phone_number"], "LastModifiedDate": 1,
                "UserPoolTags": {"a": "1"}, "LambdaConfig": {}, "SmsConfiguration": null,
            }),
            &json!({"SoftwareTokenMfaConfiguration": {"Enabled": true}}),
        );
        let same = settings(
            &json!({
                "AutoVerifiedAttributes": ["phone_number", "email"], "LastModifiedDate": 2,
                "UserPoolTags": {"a": "1"}, "LambdaConfig": {"PostConfirmation": "arn"},
            }),
            &json!({"SoftwareTokenMfaConfiguration": {"Enabled": true}, "EmailMfaConfiguration": null}),
        );
        assert_eq!(before.differences(&same), []);
        let other = settings(
            &json!({"AutoVerifiedAttributes": ["email"], "UserPoolTags": {}}),
            &json!({"SoftwareTokenMfaConfiguration": {"Enabled": false}}),
        );
        let names: Vec<String> = before
            .differences(&other)
            .into_iter()
            .map(|one| one.setting)
            .collect();
        let mfa = "GetUserPoolMfaConfig: SoftwareTokenMfaConfiguration";
        assert_eq!(names, ["AutoVerifiedAttributes", "UserPoolTags", mfa]);
        assert!(before.has_same_mfa(&same) && !before.has_same_mfa(&other));
    }
}
