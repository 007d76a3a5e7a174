//! The checked id of a user pool.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A user pool id, such as `eu-west-1_AbCdEf123`: 1 to 55 of `A-Za-z0-9_-`. Emulators use
/// other forms of these characters; Cognito checks the rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PoolId(String);

impl TryFrom<String> for PoolId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::new(&id).ok_or("a user pool id has 1 to 55 of A-Z a-z 0-9 _ -")
    }
}

impl From<PoolId> for String {
    fn from(id: PoolId) -> Self {
        id.0
    }
}

impl PoolId {
    /// `None` for an invalid id, since logs and requests hold it.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UserPoolType.html>
    pub fn new(id: &str) -> Option<Self> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let fits = (1..=Self::MAX_CHARACTERS).contains(&id.len()) && id.chars().all(is_part);
        fits.then(|| Self(id.to_owned()))
    }

    const MAX_CHARACTERS: usize = 55;

    /// The id, as requests to Cognito hold it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_pool_id_is_none() {
        for id in ["eu-west-1_AbC123", "local_x", "x"] {
            assert!(PoolId::new(id).is_some(), "{id}");
        }
        let long = "x".repeat(56);
        for id in [
            "",
            "a b",
            "ada@mail.example",
            "eu-west-1_x\n",
            "pööl_1",
            &long,
        ] {
            assert!(PoolId::new(id).is_none(), "{id}");
        }
    }
}
