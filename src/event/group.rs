//! The checked name of a Cognito group.

use std::fmt;

use super::text_rule::{TextRule, check_name};

/// The name of a Cognito group: 1 to 128 visible characters, no white space.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateGroup.html>
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct GroupName(String);

impl GroupName {
    /// The error text for a name that breaks the rule.
    pub(crate) const RULE: &str = "a group name has 1 to 128 visible characters and no white space";

    /// `None` if Cognito would refuse the name.
    pub fn new(name: &str) -> Option<Self> {
        Self::parse(name).ok()
    }

    /// As [`Self::new`], but the error is the rule that the name breaks.
    pub(crate) fn parse(name: &str) -> Result<Self, TextRule> {
        check_name(name, Self::RULE)?;
        Ok(Self(name.to_owned()))
    }

    /// The name, as requests to Cognito hold it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
