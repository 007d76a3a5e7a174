//! Adds the groups of `[groups]` to a token.
//!
//! The worker adds a new user to their groups shortly after the confirmation. A token that
//! is issued before that lacks them, so they are added here. Only the event is read, without
//! any call. Privileged groups come only from the pool.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-token-generation.html>

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::TriggerHandler;
use super::raw_object::RawObject;
use crate::config::GroupsConfig;
use crate::event::{PoolId, Scope, SignUp, Username};
use crate::provision::groups_for;

impl TriggerHandler {
    /// The event with the groups in its response; `None` if none is missing.
    pub(super) fn add_token_groups(&self, members: &RawObject<'_>) -> Option<Box<RawValue>> {
        let access = self.access_or_log("token issued without the groups of the rules")?;
        let groups = access.groups();
        let request = members.object("request");
        let user = SignUp {
            pool: PoolId::new(&members.text("userPoolId")?)?,
            username: Username::new(&members.text("userName")?)?,
            sub: None,
            // The event names the client of the sign-in, not that of the sign-up.
            client_id: None,
            attributes: request.object("userAttributes").texts().collect(),
            scope: Scope::Full,
        };
        if !access.pools().is_allowed(&user.pool) {
            return None;
        }
        let configured = request.object("groupConfiguration");
        // A value that is not a list of names is left unchanged.
        let mut all: Vec<String> = string_list(&configured, "groupsToOverride")?;
        let roles = string_list(&configured, "iamRolesToOverride")?;
        let before = all.len();
        for group in groups_for(&groups_of_tokens(groups), &user) {
            let is_new = !all.iter().any(|name| name == group.as_str());
            if is_new && !groups.privileged.contains(&group) {
                all.push(group.as_str().to_owned());
            }
        }
        if all.len() == before {
            return None;
        }
        let mut response: Map<String, Value> = members
            .get("response")
            .and_then(|response| serde_json::from_str(response.get()).ok())
            .unwrap_or_default();
        let name = details_name(members, &request);
        let details = response.entry(name).or_insert(Value::Null);
        if !details.is_object() {
            *details = json!({});
        }
        details["groupOverrideDetails"] = json!({
            "groupsToOverride": all,
            "iamRolesToOverride": roles,
            "preferredRole": configured.text("preferredRole"),
        });
        members.with("response", &to_raw_value(&response).ok()?)
    }
}

/// The groups of the user pool and those only in tokens. Rules on the app client concern the
/// client of the sign-up, which this event does not name. A user who signs in through another
/// client must not get its groups.
fn groups_of_tokens(groups: &GroupsConfig) -> GroupsConfig {
    let mut all = groups.clone();
    all.default.extend(groups.in_token.default.iter().cloned());
    all.rules.extend(groups.in_token.rules.iter().cloned());
    all.rules.retain(|rule| !rule.asks_for_client());
    all
}

/// The member of the response differs between V1 events, and V2 and V3 ones. The latter also
/// hold the scopes of the token.
fn details_name(members: &RawObject<'_>, request: &RawObject<'_>) -> &'static str {
    let version = members
        .get("version")
        .map(|version| version.get().trim_matches('"'));
    if matches!(version, Some("2" | "3")) || request.get("scopes").is_some() {
        "claimsAndScopeOverrideDetails"
    } else {
        "claimsOverrideDetails"
    }
}

/// Empty if absent or null; `None` if it is not a list of strings.
fn string_list(object: &RawObject<'_>, name: &str) -> Option<Vec<String>> {
    let Some(list) = object.get(name) else {
        return Some(Vec::new());
    };
    let list: Option<Vec<String>> = serde_json::from_str(list.get()).ok()?;
    Some(list.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Layers};

    const RULES: &str = r#"
        [groups]
        default = ["EVERYONE"]
        [[groups.rules]]
        groups = ["PRO"]
        attribute = "custom:plan"
        equals = "pro"
        [[groups.rules]]
        groups = ["ADMINS"]
        attribute = "custom:plan"
        equals = "pro"
        trusted = true
        [[groups.rules]]
        groups = ["PARTNERS"]
        client_id = "partner-app"
    "#;

    fn trigger(text: &str) -> TriggerHandler {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("usher.toml");
        std::fs::write(&file, text).expect("written");
        let layers = Layers::defaults().file(&file);
        TriggerHandler::new(
            Err("none".to_owned()),
            config::TriggerConfig::from_layers(&layers).access,
        )
    }

    fn event() -> Value {
        json!({
            "version": "1", "triggerSource": "TokenGeneration_Authentication",
            "userPoolId": "eu-west-1_x", "userName": "ada",
            "callerContext": {"clientId": "partner-app"},
            "request": {
                "userAttributes": {"custom:plan": "pro"},
                "groupConfiguration": {
                    "groupsToOverride": ["OLD"],
                    "iamRolesToOverride": ["arn:aws:iam::1:role/r"],
                    "preferredRole": "arn:aws:iam::1:role/r",
                },
            },
            "response": {"claimsOverrideDetails": null},
        })
    }

    async fn response(trigger: &TriggerHandler, event: &Value) -> Option<Value> {
        let raw = to_raw_value(event).expect("JSON");
        let answer = trigger
            .handle(&raw, &crate::event::Trace::default())
            .await
            .response
            .expect("never refused")?;
        let mut answer: Value = serde_json::from_str(answer.get()).expect("JSON");
        let response = answer["response"].take();
        answer["response"] = event["response"].clone();
        assert_eq!(answer, *event, "nothing else has changed");
        Some(response)
    }

    #[tokio::test]
    async fn groups_of_rules_are_added_to_existing_groups() {
        let groups = json!({
            "groupsToOverride": ["OLD", "EVERYONE", "PRO"],
            "iamRolesToOverride": ["arn:aws:iam::1:role/r"],
            "preferredRole": "arn:aws:iam::1:role/r",
        });
        let v1 = response(&trigger(RULES), &event()).await.expect("groups");
        assert_eq!(v1["claimsOverrideDetails"]["groupOverrideDetails"], groups);

        let mut v2 = event();
        v2["version"] = json!("2");
        v2["response"] = json!({"claimsAndScopeOverrideDetails": {"x": 1}});
        let answer = response(&trigger(RULES), &v2).await.expect("groups");
        let details = &answer["claimsAndScopeOverrideDetails"];
        assert_eq!(details["groupOverrideDetails"], groups);
        assert_eq!(details["x"], 1);

        let mut by_scopes = event();
        by_scopes["request"]["scopes"] = json!(["openid"]);
        let answer = response(&trigger(RULES), &by_scopes).await.expect("groups");
        assert!(answer.get("claimsAndScopeOverrideDetails").is_some());
    }

    #[tokio::test]
    async fn token_without_missing_groups_is_unchanged() {
        let mut event = event();
        event["request"]["groupConfiguration"]["groupsToOverride"] = json!(["PRO", "EVERYONE"]);
        assert_eq!(response(&trigger(RULES), &event).await, None);
        for odd in [json!("OLD"), json!([7])] {
            event = self::event();
            event["request"]["groupConfiguration"]["groupsToOverride"] = odd;
            assert_eq!(response(&trigger(RULES), &event).await, None);
        }
        event = self::event();
        event["triggerSource"] = json!("TokenGeneration_ClientCredentials");
        assert_eq!(response(&trigger(RULES), &event).await, None);
        let foreign = format!("{RULES}\n[pools]\nallowed = [\"eu-west-1_other\"]");
        assert_eq!(response(&trigger(&foreign), &self::event()).await, None);
        assert_eq!(
            response(&trigger("[groups]\ndefault = 5"), &self::event()).await,
            None
        );
    }

    #[tokio::test]
    async fn groups_only_in_tokens_are_added() {
        let rules = RULES.replace(
            "default = [\"EVERYONE\"]",
            "default = [\"EVERYONE\", \"NEWS\"]\nin_token = [\"EVERYONE\", \"PRO\"]",
        );
        let answer = response(&trigger(&rules), &event()).await.expect("groups");
        let details = &answer["claimsOverrideDetails"]["groupOverrideDetails"];
        assert_eq!(
            details["groupsToOverride"],
            json!(["OLD", "NEWS", "EVERYONE", "PRO"])
        );
    }

    #[tokio::test]
    async fn event_without_group_configuration_gets_the_groups() {
        for bare in [
            json!({}),
            json!({"groupConfiguration": null}),
            json!({"groupConfiguration": {}}),
        ] {
            let mut event = event();
            event["request"] = bare;
            event["response"] = json!({});
            let answer = response(&trigger(RULES), &event).await.expect("groups");
            let details = &answer["claimsOverrideDetails"]["groupOverrideDetails"];
            assert_eq!(details["groupsToOverride"], json!(["EVERYONE"]));
        }
    }
}
