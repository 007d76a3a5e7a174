//! The `PreTokenGeneration` trigger, version 1, before tokens are signed.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-token-generation.html>

use serde_json::{Map, Value, json};

use super::event::{About, event};
use super::user::text;
use super::{CognitoFront, Refusal};
use crate::dev::constraints::check_answer;

/// What the trigger makes of the tokens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// `cognito:groups` of both tokens.
    pub(super) groups: Vec<String>,
    /// Version 1 changes claims of the ID token alone.
    add: Map<String, Value>,
    suppress: Vec<String>,
}

impl CognitoFront {
    /// Fails where Cognito cannot make tokens of the answer.
    pub(super) async fn before_tokens(
        &self,
        about: About<'_>,
        source: &str,
        groups: Vec<String>,
    ) -> Result<Wishes, Refusal> {
        let own = json!({"groupConfiguration": {
            "groupsToOverride": groups, "iamRolesToOverride": [], "preferredRole": null,
        }});
        let empty = json!({"claimsOverrideDetails": null});
        let response = self.hooks.call(&event(about, source, own, &empty)).await;
        check_answer("@PreTokenGeneration", &response)?;
        Ok(Wishes::of(&response["claimsOverrideDetails"], groups))
    }
}

impl Wishes {
    fn of(details: &Value, groups: Vec<String>) -> Self {
        let texts = |list: &Value| -> Vec<String> {
            let list = list.as_array().into_iter().flatten();
            list.map(|one| text(one).to_owned()).collect()
        };
        // An empty or a null object takes the groups away; only where there is
        // none, they stay.
        let groups = match details.get("groupOverrideDetails") {
            Some(wished) => texts(&wished["groupsToOverride"]),
            None => groups,
        };
        Self {
            groups,
            add: details["claimsToAddOrOverride"]
                .as_object()
                .cloned()
                .unwrap_or_default(),
            suppress: texts(&details["claimsToSuppress"]),
        }
    }

    pub(super) fn change(&self, claims: &mut Value) {
        let Some(claims) = claims.as_object_mut() else {
            return;
        };
        claims.extend(self.add.clone());
        claims.retain(|name, _| !self.suppress.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Wishes;

    #[test]
    fn groups_are_replaced_only_where_the_trigger_says_something_of_them() {
        let groups = |details: Value| Wishes::of(&details, vec!["OLD".to_owned()]).groups;
        assert_eq!(groups(json!(null)), ["OLD"]);
        assert_eq!(groups(json!({"claimsToSuppress": []})), ["OLD"]);
        let none: [&str; 0] = [];
        assert_eq!(groups(json!({"groupOverrideDetails": null})), none);
        assert_eq!(groups(json!({"groupOverrideDetails": {}})), none);
        let new = json!({"groupOverrideDetails": {"groupsToOverride": ["OLD", "NEW"]}});
        assert_eq!(groups(new), ["OLD", "NEW"]);
    }

    #[test]
    fn claims_are_added_and_suppressed() {
        let wishes = json!({
            "claimsToAddOrOverride": {"plan": "pro"}, "claimsToSuppress": ["email"],
        });
        let mut claims = json!({"sub": "1", "email": "ada@example.com"});
        Wishes::of(&wishes, Vec::new()).change(&mut claims);
        assert_eq!(claims, json!({"sub": "1", "plan": "pro"}));
    }
}
