//! The `PreTokenGeneration` trigger, version 1, before tokens are signed.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-token-generation.html>

use serde_json::{Map, Value, json};

use super::event::{TriggerContext, trigger_event};
use super::user::str_or_empty;
use super::{AwsErrorResponse, EmbeddedCognito};
use crate::dev::constraints::check_trigger_response;

/// The trigger's changes to the tokens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TokenOverrides {
    /// `cognito:groups` of both tokens.
    pub(super) groups: Vec<String>,
    /// Version 1 changes only claims of the ID token.
    added_claims: Map<String, Value>,
    suppressed_claims: Vec<String>,
}

impl EmbeddedCognito {
    /// Fails when Cognito cannot read the trigger's response.
    pub(super) async fn call_pre_token_generation(
        &self,
        context: TriggerContext<'_>,
        source: &str,
        groups: Vec<String>,
    ) -> Result<TokenOverrides, AwsErrorResponse> {
        let parameters = json!({"groupConfiguration": {
            "groupsToOverride": groups, "iamRolesToOverride": [], "preferredRole": null,
        }});
        let empty = json!({"claimsOverrideDetails": null});
        let response = self
            .hooks
            .call_trigger(&trigger_event(context, source, parameters, &empty))
            .await;
        check_trigger_response("@PreTokenGeneration", &response)?;
        Ok(TokenOverrides::from_details(
            &response["claimsOverrideDetails"],
            groups,
        ))
    }
}

impl TokenOverrides {
    fn from_details(details: &Value, groups: Vec<String>) -> Self {
        let texts = |list: &Value| -> Vec<String> {
            let list = list.as_array().into_iter().flatten();
            list.map(|one| str_or_empty(one).to_owned()).collect()
        };
        // An empty or a null object removes the groups. They stay only when the
        // member is missing.
        let groups = match details.get("groupOverrideDetails") {
            Some(group_details) => texts(&group_details["groupsToOverride"]),
            None => groups,
        };
        Self {
            groups,
            added_claims: details["claimsToAddOrOverride"]
                .as_object()
                .cloned()
                .unwrap_or_default(),
            suppressed_claims: texts(&details["claimsToSuppress"]),
        }
    }

    pub(super) fn apply(&self, claims: &mut Value) {
        let Some(claims) = claims.as_object_mut() else {
            return;
        };
        claims.extend(self.added_claims.clone());
        claims.retain(|name, _| !self.suppressed_claims.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::TokenOverrides;

    #[test]
    fn groups_change_only_with_group_override_details() {
        let groups =
            |details: Value| TokenOverrides::from_details(&details, vec!["OLD".to_owned()]).groups;
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
        let details = json!({
            "claimsToAddOrOverride": {"plan": "pro"}, "claimsToSuppress": ["email"],
        });
        let mut claims = json!({"sub": "1", "email": "ada@example.com"});
        TokenOverrides::from_details(&details, Vec::new()).apply(&mut claims);
        assert_eq!(claims, json!({"sub": "1", "plan": "pro"}));
    }
}
