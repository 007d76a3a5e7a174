//! What a user pool has, and what may be sent back to it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aws::Members;

/// A user pool as Cognito describes it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Settings {
    /// Of `DescribeUserPool`.
    pub pool: Members,
    /// Of `GetUserPoolMfaConfig`.
    pub mfa: Members,
}

/// A setting that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name.
    pub setting: String,
    /// `None` where it was not there.
    pub before: Option<Value>,
    /// `None` where it is not there.
    pub after: Option<Value>,
}

/// What `UpdateUserPool` takes and `DescribeUserPool` shows under the same name.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html>
const WRITABLE: [&str; 23] = [
    "AccountRecoverySetting",
    "AcrConfiguration",
    "AdminCreateUserConfig",
    "AutoVerifiedAttributes",
    REGISTRATION,
    "DeletionProtection",
    "DeviceConfiguration",
    "EmailConfiguration",
    "EmailVerificationMessage",
    "EmailVerificationSubject",
    "IssuerConfiguration",
    "KeyConfiguration",
    TRIGGERS,
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
/// What is set when the pool is made, elsewhere, or by Cognito itself. `Name` can be written,
/// as `PoolName`; Cognito keeps the name of a pool that is not given one.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UserPoolType.html>
const ELSEWHERE: [&str; 13] = [
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
/// What changes by itself.
const RESTLESS: [&str; 2] = ["EstimatedNumberOfUsers", "LastModifiedDate"];
const TRIGGERS: &str = "LambdaConfig";
/// Dynamic client registration: whether applications may register app clients of their own.
const REGISTRATION: &str = "DcrConfiguration";

impl Settings {
    /// The pool's triggers.
    pub fn triggers(&self) -> Members {
        let triggers = self.pool.get(TRIGGERS).and_then(Value::as_object);
        triggers.cloned().unwrap_or_default()
    }

    /// Its ARN.
    pub fn arn(&self) -> Option<&str> {
        self.pool.get("Arn")?.as_str()
    }

    /// Settings that this release does not know. Whether `UpdateUserPool` would have to be
    /// given them, nobody can tell.
    pub fn unknown(&self) -> Vec<&str> {
        let names = self.pool.iter().filter(|(_, value)| !is_nothing(value));
        names
            .map(|(name, _)| name.as_str())
            .filter(|name| {
                !WRITABLE.contains(name) && !ELSEWHERE.contains(name) && !RESTLESS.contains(name)
            })
            .collect()
    }

    /// What `UpdateUserPool` is to be given so that the pool has these triggers and is
    /// as it is in all else.
    pub fn with_triggers(&self, triggers: &Members) -> Members {
        let mut sent: Members = self
            .pool
            .iter()
            .filter(|(name, value)| WRITABLE.contains(&name.as_str()) && !is_nothing(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        sent.insert(TRIGGERS.to_owned(), Value::Object(triggers.clone()));
        // Tags of AWS's own are not for others to write.
        // https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
        if let Some(Value::Object(tags)) = sent.get_mut("UserPoolTags") {
            tags.retain(|name, _| !name.starts_with("aws:"));
        }
        // Cognito shows the validity of temporary passwords under both names and takes
        // it under the newer alone.
        // https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUserConfigType.html
        if self.has_validity_by_policy() {
            drop_older_validity(&mut sent);
        }
        // Without EnableStatus, Cognito would switch the registration on. It keeps what it
        // is not given at all.
        // https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html
        let registration = sent.get(REGISTRATION);
        if registration.is_some_and(|registration| is_nothing(&registration["EnableStatus"])) {
            sent.remove(REGISTRATION);
        }
        sent
    }

    /// What of `wanted` could be written here: what was made with the pool, or is set
    /// elsewhere, stays as it is.
    #[must_use]
    pub fn taking(&self, wanted: &Self) -> Self {
        let is_ours = |name: &String| WRITABLE.contains(&name.as_str());
        let mut pool = self.pool.clone();
        pool.retain(|name, _| !is_ours(name));
        let ours = wanted.pool.iter().filter(|(name, _)| is_ours(name));
        pool.extend(ours.map(|(name, value)| (name.clone(), value.clone())));
        // Tags of AWS's own are not written either.
        let of_aws = |name: &str| name.starts_with("aws:");
        if let Some(Value::Object(tags)) = pool.get_mut("UserPoolTags") {
            tags.retain(|name, _| !of_aws(name));
        }
        if let Some(Value::Object(now)) = self.pool.get("UserPoolTags") {
            let tags = pool
                .entry("UserPoolTags")
                .or_insert_with(|| Value::Object(Members::new()));
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

    /// Whether people are asked for a second factor.
    pub fn asks(&self) -> bool {
        let asked = self.mfa.get("MfaConfiguration").and_then(Value::as_str);
        asked.is_some_and(|asked| asked != "OFF")
    }

    /// Whether a second factor goes without text messages, which some versions of
    /// `UpdateUserPool` are reported not to take.
    pub fn asks_without_messages(&self) -> bool {
        let messages = self.pool.get("SmsConfiguration");
        self.asks() && messages.is_none_or(is_nothing)
    }

    /// Where `after` differs, but for the triggers and what changes by itself.
    pub fn differences(&self, after: &Self) -> Vec<Difference> {
        let (mut old, mut new) = (self.pool.clone(), after.pool.clone());
        if self.has_validity_by_policy() || after.has_validity_by_policy() {
            drop_older_validity(&mut old);
            drop_older_validity(&mut new);
        }
        let mut found = differences(&old, &new, "");
        found.retain(|one| one.setting != TRIGGERS && !RESTLESS.contains(&one.setting.as_str()));
        found.extend(differences(&self.mfa, &after.mfa, "GetUserPoolMfaConfig: "));
        found
    }

    /// Whether the second factor is asked for in the same way.
    pub fn asks_like(&self, other: &Self) -> bool {
        differences(&self.mfa, &other.mfa, "").is_empty()
    }

    /// Whether the validity of temporary passwords is where it belongs today.
    fn has_validity_by_policy(&self) -> bool {
        let policies = self.pool.get("Policies");
        let days = policies
            .and_then(|policies| policies.pointer("/PasswordPolicy/TemporaryPasswordValidityDays"));
        days.is_some()
    }
}

fn drop_older_validity(settings: &mut Members) {
    if let Some(Value::Object(invitations)) = settings.get_mut("AdminCreateUserConfig") {
        invitations.remove("UnusedAccountValidityDays");
    }
}

fn differences(before: &Members, after: &Members, prefix: &str) -> Vec<Difference> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let there = |of: &Members, name: &str| of.get(name).filter(|value| !is_nothing(value)).cloned();
    names
        .into_iter()
        .map(|name| Difference {
            setting: format!("{prefix}{name}"),
            before: there(before, name),
            after: there(after, name),
        })
        .filter(|one| one.before.as_ref().map(orderless) != one.after.as_ref().map(orderless))
        .collect()
}

/// Not set, however Cognito says so.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Lists of a pool's settings are sets.
fn orderless(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(orderless).collect();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, value)| !is_nothing(value))
                .map(|(name, value)| (name.clone(), orderless(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(pool: &Value, mfa: &Value) -> Settings {
        serde_json::from_value(json!({"pool": pool, "mfa": mfa})).expect("settings")
    }

    #[test]
    fn all_that_can_be_written_is_sent_and_nothing_else() {
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
        let triggers = Members::from_iter([("PostConfirmation".to_owned(), json!("arn:usher"))]);
        assert_eq!(
            Value::Object(before.with_triggers(&triggers)),
            json!({
                "Policies": {"PasswordPolicy": {"MinimumLength": 12, "TemporaryPasswordValidityDays": 3}},
                "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": true},
                "UserPoolTags": {"team": "a"}, "MfaConfiguration": "OPTIONAL",
                "LambdaConfig": {"PostConfirmation": "arn:usher"},
            })
        );
        assert!(before.unknown().is_empty());
    }

    #[test]
    fn client_registration_is_sent_whole_or_not_at_all() {
        let sent = |registration: Value| {
            let pool = json!({"Id": "x", "DcrConfiguration": registration});
            let settings = settings(&pool, &json!({}));
            assert!(settings.unknown().is_empty());
            let mut sent = settings.with_triggers(&Members::new());
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
    fn what_is_put_back_is_what_can_be_written() {
        let now = settings(
            &json!({"Domain": "new", "UserPoolTags": {"aws:x": "1", "a": "2"}, "DeletionProtection": "ACTIVE"}),
            &json!({"MfaConfiguration": "OFF"}),
        );
        let recorded = settings(
            &json!({"Domain": "old", "UserPoolTags": {"aws:x": "0", "a": "1"}, "UserPoolTier": "PLUS"}),
            &json!({"MfaConfiguration": "ON"}),
        );
        let wanted = now.taking(&recorded);
        let pool = json!({"Domain": "new", "UserPoolTags": {"aws:x": "1", "a": "1"}, "UserPoolTier": "PLUS"});
        assert_eq!(Value::Object(wanted.pool.clone()), pool);
        assert_eq!(wanted.mfa, recorded.mfa);
        assert!(wanted.asks_without_messages() && !now.asks());
    }

    #[test]
    fn a_setting_that_nobody_knows_is_noticed() {
        let pool =
            json!({"Id": "x", "PasskeyPolicy": {"Required": true}, "Empty": {}, "None": null});
        assert_eq!(settings(&pool, &json!({})).unknown(), ["PasskeyPolicy"]);
    }

    #[test]
    fn differences_are_what_somebody_would_miss() {
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
        assert!(before.asks_like(&same) && !before.asks_like(&other));
    }
}
