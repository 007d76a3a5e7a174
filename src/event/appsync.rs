//! The event of an `AppSync` resolver: the call and its caller.
//!
//! Amplify Gen 2 sends `{typeName, fieldName, arguments, identity, …}`, a direct
//! Lambda resolver `{info: {parentTypeName, fieldName}, arguments, identity, …}`.
//! `AppSync` has verified the token of a Cognito identity. This module checks whether the
//! identity is a Cognito one, and which user it is.
//!
//! <https://docs.aws.amazon.com/appsync/latest/devguide/resolver-context-reference.html>

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Caller;
use super::issuer::pool_of;

/// One call of a resolver.
#[derive(Debug)]
pub(crate) struct ResolverCall {
    /// The field of the schema, such as `addUserToGroup`.
    pub field: String,
    pub arguments: Map<String, Value>,
    /// `None` unless the caller is a user of a user pool.
    pub caller: Option<Caller>,
}

impl ResolverCall {
    /// `None` if the event is not a resolver's. A batch is refused, since mutations are never
    /// batched.
    pub(crate) fn parse(event: &Value) -> Option<Self> {
        let object = event.as_object()?;
        let info = object.get("info").and_then(Value::as_object);
        let named = |map: &Map<String, Value>, name: &str| {
            map.get(name).and_then(Value::as_str).map(str::to_owned)
        };
        let (parent, field) = match info {
            Some(info) => (named(info, "parentTypeName"), named(info, "fieldName")),
            None => (named(object, "typeName"), named(object, "fieldName")),
        };
        parent?;
        Some(Self {
            field: field?,
            arguments: object.get("arguments")?.as_object().cloned()?,
            caller: object.get("identity").and_then(parse_caller),
        })
    }
}

/// The user of a user pool, if every member of the identity agrees. Identities of IAM, OIDC
/// and Lambda authorizers share some members, so each member is checked.
fn parse_caller(identity: &Value) -> Option<Caller> {
    let identity = identity.as_object()?;
    // An IAM identity, which a user of an identity pool also has.
    if ["accountId", "userArn", "cognitoIdentityId"]
        .iter()
        .any(|name| identity.get(*name).is_some_and(|value| !value.is_null()))
    {
        return None;
    }
    let claims = identity.get("claims")?.as_object()?;
    let text = |map: &Map<String, Value>, name: &str| {
        map.get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let issuer = text(identity, "issuer")?;
    let sub = text(identity, "sub")?;
    let username = text(identity, "username")?;
    let client = match text(claims, "token_use")?.as_str() {
        "access" => {
            (text(claims, "username")? == username).then(|| text(claims, "client_id"))??
        }
        "id" => (text(claims, "cognito:username").is_none_or(|name| name == username))
            .then(|| text(claims, "aud"))??,
        _ => return None,
    };
    if text(claims, "iss")? != issuer || text(claims, "sub")? != sub {
        return None;
    }
    // AppSync copies the groups of the token into the identity. A difference means forgery.
    let groups = parse_groups(identity.get("groups"))?;
    if groups != self::parse_groups(claims.get("cognito:groups"))? {
        return None;
    }
    Some(Caller {
        pool: pool_of(&issuer)?,
        sub,
        username,
        client_id: client,
        groups,
    })
}

/// Empty if absent or null; `None` if it is not a list of strings.
fn parse_groups(value: Option<&Value>) -> Option<BTreeSet<String>> {
    match value {
        None | Some(Value::Null) => Some(BTreeSet::new()),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> Value {
        json!({
            "typeName": "Mutation", "fieldName": "addUserToGroup",
            "arguments": {"userId": "x", "groupName": "STAFF"},
            "identity": {
                "claims": {
                    "sub": "b662d2e4", "cognito:groups": ["ADMINS"],
                    "iss": "https://cognito-idp.eu-west-2.amazonaws.com/eu-west-2_abc",
                    "client_id": "c1", "token_use": "access", "username": "ada",
                },
                "defaultAuthStrategy": "ALLOW", "groups": ["ADMINS"],
                "issuer": "https://cognito-idp.eu-west-2.amazonaws.com/eu-west-2_abc",
                "sourceIp": ["192.0.2.1"], "sub": "b662d2e4", "username": "ada",
            },
            "source": null, "request": {"headers": {}}, "prev": {"result": {}},
        })
    }

    #[test]
    fn gen2_and_direct_resolver_events_are_parsed() {
        let gen2 = ResolverCall::parse(&event()).expect("a resolver");
        let mut direct = event();
        direct
            .as_object_mut()
            .expect("an object")
            .remove("typeName");
        direct
            .as_object_mut()
            .expect("an object")
            .remove("fieldName");
        direct["info"] = json!({"parentTypeName": "Mutation", "fieldName": "addUserToGroup"});
        direct["stash"] = json!({});
        let direct = ResolverCall::parse(&direct).expect("a resolver");
        assert_eq!(gen2.field, direct.field);
        assert_eq!(gen2.caller, direct.caller);
        let caller = gen2.caller.expect("a user");
        assert_eq!(caller.pool.as_str(), "eu-west-2_abc");
        assert_eq!(
            (caller.sub.as_str(), caller.client_id.as_str()),
            ("b662d2e4", "c1")
        );
        assert!(caller.groups.contains("ADMINS"));
    }

    #[test]
    fn id_token_names_client_and_user_in_other_claims() {
        let mut event = event();
        let claims = &mut event["identity"]["claims"];
        claims["token_use"] = json!("id");
        claims["aud"] = json!("c2");
        claims["cognito:username"] = json!("ada");
        let caller = ResolverCall::parse(&event).and_then(|call| call.caller);
        assert_eq!(caller.map(|caller| caller.client_id), Some("c2".to_owned()));
    }

    /// The caller's pool if the identity names `issuer`, and the token `claimed`.
    fn pool(issuer: &str, claimed: &str) -> Option<String> {
        let mut event = event();
        event["identity"]["issuer"] = json!(issuer);
        event["identity"]["claims"]["iss"] = json!(claimed);
        let caller = ResolverCall::parse(&event).and_then(|call| call.caller);
        caller.map(|caller| caller.pool.as_str().to_owned())
    }

    #[test]
    fn both_issuers_of_a_pool_name_it_in_every_partition() {
        for (domain, id) in [
            ("eu-west-2.amazonaws.com", "eu-west-2_abc"),
            ("cn-north-1.amazonaws.com.cn", "cn-north-1_abc"),
            ("us-gov-west-1.amazonaws.com", "us-gov-west-1_abc"),
        ] {
            let original = format!("https://cognito-idp.{domain}/{id}");
            let updated = format!("https://issuer-cognito-idp.{domain}/{id}");
            assert_eq!(pool(&original, &original).as_deref(), Some(id));
            assert_eq!(pool(&updated, &updated).as_deref(), Some(id));
            assert_eq!(
                pool(&original, &updated),
                None,
                "two issuers in one identity"
            );
        }
    }

    #[test]
    fn incomplete_or_foreign_identity_is_no_caller() {
        let oidc = json!("https://example.com/eu-west-2_abc");
        let alike = json!("https://cognito-idp.evil.example/x.amazonaws.com/eu-west-2_a");
        let changes: [(&str, &[(&str, Value)]); 18] = [
            ("API key", &[("identity", Value::Null)]),
            ("IAM", &[("userArn", json!("arn:aws:iam::1:user/x"))]),
            ("identity pool", &[("cognitoIdentityId", json!("x"))]),
            ("account", &[("accountId", json!("1"))]),
            ("no claims", &[("claims", Value::Null)]),
            ("groups differ", &[("groups", json!(["ADMINS", "X"]))]),
            (
                "groups only beside",
                &[("claims/cognito:groups", Value::Null)],
            ),
            ("groups only in claims", &[("groups", Value::Null)]),
            ("groups are a text", &[("groups", json!("ADMINS"))]),
            ("another issuer beside", &[("issuer", oidc.clone())]),
            ("no issuer in claims", &[("claims/iss", Value::Null)]),
            (
                "OIDC",
                &[("issuer", oidc.clone()), ("claims/iss", oidc.clone())],
            ),
            (
                "a host that ends alike",
                &[("issuer", alike.clone()), ("claims/iss", alike.clone())],
            ),
            ("another sub", &[("sub", json!("other"))]),
            ("another name", &[("username", json!("other"))]),
            ("no use", &[("claims/token_use", Value::Null)]),
            ("no client", &[("claims/client_id", Value::Null)]),
            ("a refresh token", &[("claims/token_use", json!("refresh"))]),
        ];
        for (what, members) in changes {
            let mut event = event();
            for (path, value) in members {
                let mut place = &mut event;
                if *path != "identity" {
                    place = &mut place["identity"];
                }
                for name in path.split('/') {
                    place = &mut place[name];
                }
                *place = value.clone();
            }
            let call = ResolverCall::parse(&event).expect("still a resolver");
            assert_eq!(call.caller, None, "{what}");
        }
    }

    #[test]
    fn other_events_are_no_resolver_calls() {
        for event in [
            json!({"triggerSource": "PostConfirmation_ConfirmSignUp", "userName": "a"}),
            json!([event()]),
            json!({"typeName": "Mutation", "fieldName": "x"}),
            json!({"fieldName": "x", "arguments": {}}),
            json!(null),
        ] {
            assert!(ResolverCall::parse(&event).is_none(), "{event}");
        }
    }
}
