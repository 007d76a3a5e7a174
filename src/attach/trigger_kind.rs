//! Triggers of a user pool, and the functions that they call.

use std::str::FromStr;

use serde_json::{Value, json};

use crate::aws::JsonObject;

/// A trigger that usher can answer.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_LambdaConfigType.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TriggerKind {
    /// Forwards confirmed sign-ups.
    PostConfirmation,
    /// Writes the mail of an invitation.
    CustomMessage,
    /// Puts groups into tokens, and queues users of an identity provider.
    PreTokenGeneration,
    /// Queues users of an identity provider.
    PostAuthentication,
}

/// ARN of a Lambda function, including its version or alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionArn(String);

#[derive(Debug, thiserror::Error)]
#[error(
    "must be a function's ARN, such as arn:aws:lambda:eu-west-1:123456789012:function:usher-trigger"
)]
pub(crate) struct InvalidFunctionArn;

impl TriggerKind {
    pub(crate) const ALL: [Self; 4] = [
        Self::PostConfirmation,
        Self::CustomMessage,
        Self::PreTokenGeneration,
        Self::PostAuthentication,
    ];

    /// The name of the trigger in Cognito's `LambdaConfig`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PostConfirmation => "PostConfirmation",
            Self::CustomMessage => "CustomMessage",
            Self::PreTokenGeneration => "PreTokenGeneration",
            Self::PostAuthentication => "PostAuthentication",
        }
    }

    /// The ARN of the function that the trigger calls, if any.
    pub(crate) fn function(self, triggers: &JsonObject) -> Option<&str> {
        let versioned = || triggers.get(PRE_TOKEN_GENERATION_CONFIG)?.get("LambdaArn");
        let named = triggers.get(self.name());
        let arn = match self {
            Self::PreTokenGeneration => versioned().or(named),
            _ => named,
        };
        arn.and_then(Value::as_str).filter(|arn| !arn.is_empty())
    }

    pub(crate) fn set(self, triggers: &mut JsonObject, function: &FunctionArn) {
        triggers.insert(self.name().to_owned(), json!(function.0));
        if self == Self::PreTokenGeneration {
            // usher answers both versions; the first is available in every plan of Cognito.
            let version = triggers
                .get(PRE_TOKEN_GENERATION_CONFIG)
                .and_then(|config| config.get("LambdaVersion"))
                .cloned()
                .unwrap_or_else(|| json!("V1_0"));
            let versioned = json!({"LambdaArn": function.0, "LambdaVersion": version});
            triggers.insert(PRE_TOKEN_GENERATION_CONFIG.to_owned(), versioned);
        }
    }

    pub(crate) fn clear(self, triggers: &mut JsonObject) {
        triggers.remove(self.name());
        if self == Self::PreTokenGeneration {
            triggers.remove(PRE_TOKEN_GENERATION_CONFIG);
        }
    }
}

/// The newer member for the trigger that has versions. Where both members are set, they must
/// name the same function.
const PRE_TOKEN_GENERATION_CONFIG: &str = "PreTokenGenerationConfig";

impl FunctionArn {
    pub(crate) fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }

    /// Whether `other` is the same function by another version or alias.
    pub(crate) fn is_another_version_of(&self, other: &str) -> bool {
        let name = |arn: &str| arn.split(':').take(7).collect::<Vec<_>>().join(":");
        self.0 != other && name(&self.0) == name(other)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FunctionArn {
    type Err = InvalidFunctionArn;

    fn from_str(text: &str) -> Result<Self, InvalidFunctionArn> {
        let parts: Vec<&str> = text.split(':').collect();
        let plain = |part: &&str| {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_$".contains(c);
            !part.is_empty() && part.chars().all(is_allowed)
        };
        let is_valid = matches!(parts.len(), 7 | 8)
            && parts[0] == "arn"
            && parts[1].starts_with("aws")
            && parts[2] == "lambda"
            && parts[5] == "function"
            && parts.iter().all(plain)
            && parts[4].len() == 12
            && parts[4].chars().all(|c| c.is_ascii_digit());
        if is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidFunctionArn)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:usher-trigger";

    #[test]
    fn only_arns_of_functions_are_accepted() {
        for good in [
            ARN.to_owned(),
            format!("{ARN}:live"),
            ARN.replace(":aws:", ":aws-cn:"),
        ] {
            assert_eq!(good.parse::<FunctionArn>().expect("good").as_str(), good);
        }
        assert_eq!(
            ARN.parse::<FunctionArn>().expect("good").region(),
            "eu-west-1"
        );
        for bad in [
            "",
            "usher-trigger",
            "arn:aws:lambda:eu-west-1:123456789012:function:",
            "arn:aws:lambda::123456789012:function:x",
            "arn:aws:sqs:eu-west-1:123456789012:function:x",
            "arn:aws:lambda:eu-west-1:1234:function:x",
            "arn:aws:lambda:eu-west-1:123456789012:function:x y",
            "arn:aws:lambda:eu-west-1:123456789012:layer:x",
        ] {
            assert!(bad.parse::<FunctionArn>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_versioned_trigger_keeps_its_version() {
        let function: FunctionArn = ARN.parse().expect("an ARN");
        let trigger = TriggerKind::PreTokenGeneration;
        let mut triggers = JsonObject::new();
        trigger.set(&mut triggers, &function);
        assert_eq!(
            triggers[PRE_TOKEN_GENERATION_CONFIG]["LambdaVersion"],
            "V1_0"
        );
        assert_eq!(triggers["PreTokenGeneration"], ARN);
        triggers[PRE_TOKEN_GENERATION_CONFIG] =
            json!({"LambdaArn": "another", "LambdaVersion": "V2_0"});
        assert_eq!(trigger.function(&triggers), Some("another"));
        trigger.set(&mut triggers, &function);
        assert_eq!(
            triggers[PRE_TOKEN_GENERATION_CONFIG],
            json!({"LambdaArn": ARN, "LambdaVersion": "V2_0"})
        );
        trigger.clear(&mut triggers);
        assert!(triggers.is_empty());
    }
}
