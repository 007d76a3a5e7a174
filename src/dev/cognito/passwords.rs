//! Passwords: the policy of a pool, and generated passwords.

use serde_json::{Value, json};

use super::{AwsErrorResponse, aws_error};
use crate::dev::constraints::AwsService;

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";
/// A space inside a password also counts as a symbol.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/managing-users-passwords.html>
const SYMBOLS: &[u8] = b"^$*.[]{}()?-\"!@#%&/\\,><':;|_~`+=";

/// Characters, their name in a pool's settings, and their name in errors.
const CHARACTER_CLASSES: [(&[u8], &str, &str); 4] = [
    (UPPER, "RequireUppercase", "uppercase"),
    (LOWER, "RequireLowercase", "lowercase"),
    (DIGITS, "RequireNumbers", "numeric"),
    (SYMBOLS, "RequireSymbols", "symbol"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PasswordPolicy {
    min_length: usize,
    /// One flag for each of `CHARACTER_CLASSES`.
    required_classes: [bool; CHARACTER_CLASSES.len()],
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            min_length: 8,
            required_classes: [true; CHARACTER_CLASSES.len()],
        }
    }
}

impl PasswordPolicy {
    /// From `Policies.PasswordPolicy` of `CreateUserPool`.
    pub(super) fn from_settings(given: &Value) -> Self {
        if !given.is_object() {
            return Self::default();
        }
        let length = given["MinimumLength"].as_u64();
        Self {
            min_length: length.map_or(8, |length| usize::try_from(length).unwrap_or(usize::MAX)),
            required_classes: CHARACTER_CLASSES.map(|(_, setting, _)| given[setting] == true),
        }
    }

    /// As `Policies.PasswordPolicy` of `DescribeUserPool`.
    pub(super) fn to_settings(self) -> Value {
        let mut settings = json!({"MinimumLength": self.min_length});
        for ((_, setting, _), is_required) in CHARACTER_CLASSES.iter().zip(self.required_classes) {
            settings[*setting] = json!(is_required);
        }
        settings
    }

    pub(super) fn check(self, password: &str) -> Result<(), AwsErrorResponse> {
        let refused = |message: &str| {
            let message = format!("Password did not conform with policy: {message}");
            Err(aws_error("InvalidPasswordException", &message))
        };
        // Applies to every pool, before its policy. The new password of a challenge is a
        // value in a map, which the check of the request does not cover.
        AwsService::Cognito.check_value("@NewPassword", &json!({"password": password}))?;
        if password.chars().count() < self.min_length {
            return refused("Password not long enough");
        }
        for ((class, _, name), required) in CHARACTER_CLASSES.into_iter().zip(self.required_classes)
        {
            let is_one = |byte| class.contains(&byte) || class == SYMBOLS && byte == b' ';
            if required && !password.bytes().any(is_one) {
                return refused(&format!("Password must have {name} characters"));
            }
        }
        Ok(())
    }

    /// Fits every policy of its length. It may hold any symbol that Cognito allows,
    /// so links and pages must escape it.
    pub(super) fn generate_temporary(self) -> String {
        let all = CHARACTER_CLASSES.map(|(class, _, _)| class);
        let rest = self.min_length.clamp(8, 99) - all.len();
        let mut password: Vec<char> = all
            .into_iter()
            .chain(std::iter::repeat_n(&*all.concat(), rest))
            .filter_map(fastrand::choice)
            .map(|byte| char::from(*byte))
            .collect();
        fastrand::shuffle(&mut password);
        password.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{PasswordPolicy, SYMBOLS};

    #[test]
    fn policy_error_names_the_first_missing_requirement() {
        for (password, expected) in [
            ("Short-1", "Password not long enough"),
            ("long-enough-1", "Password must have uppercase characters"),
            ("LONG-ENOUGH-1", "Password must have lowercase characters"),
            ("Long-enough", "Password must have numeric characters"),
            ("Longenough1", "Password must have symbol characters"),
        ] {
            let refusal = PasswordPolicy::default()
                .check(password)
                .expect_err(password);
            let refusal: serde_json::Value = serde_json::from_slice(&refusal.body).expect("JSON");
            assert_eq!(refusal["__type"], "InvalidPasswordException");
            let message = format!("Password did not conform with policy: {expected}");
            assert_eq!(refusal["message"], message);
        }
        assert!(PasswordPolicy::default().check("Long-enough-1").is_ok());
        let short =
            PasswordPolicy::from_settings(&json!({"MinimumLength": 6, "RequireNumbers": true}));
        let described = json!({
            "MinimumLength": 6, "RequireUppercase": false, "RequireLowercase": false,
            "RequireNumbers": true, "RequireSymbols": false,
        });
        assert_eq!(short.to_settings(), described);
        assert!(short.check("abcde1").is_ok());
        assert!(short.check("abcdef").is_err());
    }

    #[test]
    fn space_at_either_end_is_refused_by_any_policy() {
        let any = PasswordPolicy::from_settings(&json!({"MinimumLength": 6}));
        for password in [" ", " long-enough", "long-enough ", "long-enough\t"] {
            let refusal = any.check(password).expect_err(password);
            let refusal: serde_json::Value = serde_json::from_slice(&refusal.body).expect("JSON");
            assert_eq!(refusal["__type"], "InvalidParameterException");
        }
        assert!(any.check("long enough").is_ok());
        assert!(PasswordPolicy::default().check("Long enough 1").is_ok());
    }

    #[test]
    fn temporary_passwords_fit_the_policy_and_use_every_symbol() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2000 {
            let password = PasswordPolicy::default().generate_temporary();
            assert_eq!(password.len(), 8);
            assert!(
                PasswordPolicy::default().check(&password).is_ok(),
                "{password}"
            );
            seen.extend(password.bytes());
        }
        assert!(SYMBOLS.iter().all(|symbol| seen.contains(symbol)));
    }
}
