//! The person who is forgotten, and what names them.

use serde_json::Value;

use crate::aws::{Cognito, FindUserError, PoolUser};
use crate::config::OwnerAttribute;
use crate::dead_letter::DeadLetterSummary;
use crate::event::{PoolId, Sub, Username};
use crate::reason::Reason;
use crate::retry::retry_inline;

/// Attributes that a user may sign in with, and an admin command may name them by.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html#user-pool-settings-aliases>
const ALIASES: [&str; 3] = ["email", "phone_number", "preferred_username"];

#[derive(Debug)]
pub(super) struct Person {
    pub(super) pool: PoolId,
    pub(super) sub: Sub,
    /// As the pool showed the user at first; `None` if there was none.
    pub(super) user: Option<PoolUser>,
    /// Whether the user is gone: then another may have the name.
    pub(super) is_deleted: bool,
    /// Whether another pool may have a user of the same name, whose profile is in the same table.
    pub(super) shares_table: bool,
}

/// What a dead letter has to do with the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    None,
    /// It names the person, or someone of the same name, and may be about another.
    Doubtful,
    Theirs,
}

/// The user with this `sub`, never another one who has it as their user name.
///
/// # Errors
/// Any except the user's absence.
pub(super) async fn find_user(
    cognito: &Cognito,
    pool: &PoolId,
    sub: &Sub,
) -> Result<Option<PoolUser>, FindUserError> {
    let Some(asked) = Username::new(sub.as_str()) else {
        return Ok(None);
    };
    match retry_inline(|| cognito.find_user(pool, &asked)).await {
        Ok(user) => Ok(Some(user)),
        Err(FindUserError::Failed(it)) if it.reason == Reason::UserNotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Person {
    /// What is not found.
    pub(super) fn gap(&self) -> Option<&'static str> {
        self.user.is_none().then_some(
            "no such user, so the name is not known: dead letters that have only the name are not found",
        )
    }

    /// The values of the attribute that name the person as the owner of a profile. Without the
    /// user those that have no name, and of a deleted one those that have the `sub`.
    pub(super) fn owner_values(&self, owner: &OwnerAttribute) -> Vec<String> {
        let name = self.user.as_ref().map(|user| user.username.clone());
        let name = name.or_else(|| Username::new(self.sub.as_str()));
        let mut values = name.map_or_else(Vec::new, |it| owner.values(&self.pool, &self.sub, &it));
        values.retain(|value| !self.is_deleted || value.contains(self.sub.as_str()));
        values
    }

    /// Whether a profile with this owner may belong to a user of another pool.
    pub(super) fn is_doubtful_owner(&self, value: &str) -> bool {
        self.shares_table && !value.contains(self.sub.as_str())
    }

    /// `body` is that of the dead letter.
    pub(super) fn relation(&self, summary: &DeadLetterSummary, body: &str) -> Relation {
        let pool = summary.pool.as_deref();
        match summary.sub.as_deref() {
            Some(sub) if sub == self.sub.as_str() => Relation::Theirs,
            None if pool.is_none_or(|pool| pool == self.pool.as_str())
                && self.is_named_in(body) =>
            {
                Relation::Doubtful
            }
            _ => Relation::None,
        }
    }

    /// Whether a body has the `sub`, or the user name or an alias as a JSON string.
    fn is_named_in(&self, body: &str) -> bool {
        let names = self.user.iter().flat_map(|user| {
            let aliases = ALIASES.map(|name| user.attributes.get(name));
            let aliases = aliases.into_iter().flatten();
            std::iter::once(user.username.reveal()).chain(aliases)
        });
        let names: Vec<String> = names.map(str::to_lowercase).collect();
        // A malformed body may name the user too, and one with a member twice.
        let text = body.to_lowercase();
        let mut quoted = names.iter().map(|name| Value::from(name.as_str()));
        text.contains(self.sub.as_str())
            || quoted.any(|name| text.contains(&name.to_string()))
            || serde_json::from_str(body).is_ok_and(|body| has_string(&body, &names))
    }
}

/// Whether one of its strings is one of these names, in any case and however it is escaped.
fn has_string(value: &Value, names: &[String]) -> bool {
    match value {
        Value::String(text) => names.contains(&text.to_lowercase()),
        Value::Array(items) => items.iter().any(|item| has_string(item, names)),
        Value::Object(members) => members.values().any(|item| has_string(item, names)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::config::Template;

    const SUB: &str = "42296c21-5207-4a93-8e3b-d3fc17fff32d";
    const OTHER: &str = "073d058d-e46b-4a93-8e3b-d3fc17fff32e";
    const POOL: &str = "eu-west-1_x";

    fn person(has_user: bool) -> Person {
        let attributes = [
            ("sub", SUB),
            ("email", "Ada@mail.example"),
            ("preferred_username", "zoë/1"),
        ];
        let user = PoolUser {
            username: Username::new("ada").expect("a name"),
            sub: Sub::new(SUB),
            attributes: attributes.into_iter().collect(),
            status: "CONFIRMED".to_owned(),
            enabled: true,
            created: None,
        };
        Person {
            pool: PoolId::new(POOL).expect("an id"),
            sub: Sub::new(SUB).expect("a sub"),
            user: has_user.then_some(user),
            is_deleted: false,
            shares_table: false,
        }
    }

    fn relation(body: &str, has_user: bool) -> Relation {
        let summary = DeadLetterSummary::new("id", body, &BTreeMap::new());
        person(has_user).relation(&summary, body)
    }

    fn sign_up(pool: &str, name: &str, sub: Option<&str>) -> String {
        json!({
            "triggerSource": "PostConfirmation_ConfirmSignUp", "userPoolId": pool, "userName": name,
            "request": {"userAttributes": {"sub": sub}},
        })
        .to_string()
    }

    fn command(pool: &str, requested_by: &str, fields: &Value) -> String {
        let mut body = json!({
            "usher": 1, "requestId": "r", "requestedBy": {"sub": requested_by}, "userPoolId": pool,
        });
        for (field, value) in fields.as_object().expect("an object") {
            body[field] = value.clone();
        }
        body.to_string()
    }

    #[test]
    fn a_sign_up_is_theirs_by_the_sub_and_never_by_the_name() {
        for (pool, name, sub, expected) in [
            (POOL, "grace", Some(SUB), Relation::Theirs),
            ("eu-west-1_y", "ada", Some(SUB), Relation::Theirs),
            // The name is that of another user by now.
            (POOL, "ada", Some(OTHER), Relation::None),
            (POOL, "ada", None, Relation::Doubtful),
            (POOL, "ADA", None, Relation::Doubtful),
            (POOL, "adam", None, Relation::None),
            ("eu-west-1_y", "ada", None, Relation::None),
        ] {
            let relation = relation(&sign_up(pool, name, sub), true);
            assert_eq!(relation, expected, "{pool} {name} {sub:?}");
        }
    }

    #[test]
    fn the_name_of_a_deleted_user_is_no_owner() {
        let template = Template::parse("{sub}::{username}").expect("valid");
        let attributes = [("owner".to_owned(), template)].into_iter().collect();
        let owner = OwnerAttribute::find_in(&attributes).expect("an owner");
        let of_user = person(true).owner_values(&owner);
        let named = format!("{SUB}::ada");
        assert_eq!(of_user, [named.as_str(), SUB, "ada"]);
        let deleted = Person {
            is_deleted: true,
            ..person(true)
        };
        assert_eq!(deleted.owner_values(&owner), [named.as_str(), SUB]);
    }

    #[test]
    fn a_name_that_another_pool_may_have_is_no_proof() {
        let shared = Person {
            shares_table: true,
            ..person(true)
        };
        for (value, expected) in [("ada", true), (SUB, false), (&format!("{SUB}::ada"), false)] {
            assert_eq!(shared.is_doubtful_owner(value), expected, "{value}");
            assert!(!person(true).is_doubtful_owner(value), "{value}");
        }
    }

    #[test]
    fn a_command_that_names_the_user_is_in_doubt() {
        let add = |username: &str| json!({"command": "AddUserToGroup", "username": username, "groupName": "G"});
        let invite = |email: &str| json!({"command": "InviteUser", "email": email});
        for (pool, requester, fields, expected) in [
            (POOL, OTHER, add("ada"), Relation::Doubtful),
            (POOL, OTHER, add(SUB), Relation::Doubtful),
            (POOL, OTHER, invite("ada@mail.example"), Relation::Doubtful),
            (POOL, SUB, add("grace"), Relation::Doubtful),
            (POOL, OTHER, add("grace"), Relation::None),
            (POOL, OTHER, invite("grace@mail.example"), Relation::None),
            ("eu-west-1_y", OTHER, add("ada"), Relation::None),
        ] {
            let body = command(pool, requester, &fields);
            assert_eq!(relation(&body, true), expected, "{body}");
        }
        let by_sub = command(POOL, OTHER, &add(SUB));
        let by_name = command(POOL, OTHER, &add("ada"));
        assert_eq!(relation(&by_sub, false), Relation::Doubtful);
        assert_eq!(relation(&by_name, false), Relation::None, "not known");
    }

    #[test]
    fn a_name_is_found_however_it_is_written() {
        let add = |name: &str| {
            let body = command(POOL, OTHER, &json!({"command": "AddUserToGroup"}));
            body.replacen('{', &format!("{{\"username\": \"{name}\", "), 1)
        };
        for (name, expected) in [
            ("zoë/1", Relation::Doubtful),
            ("ZOË/1", Relation::Doubtful),
            (r"zo\u00eb\/1", Relation::Doubtful),
            (r"\u0061da", Relation::Doubtful),
            (r"ada\u0040mail.example", Relation::Doubtful),
            (r"zo\u00ea\/1", Relation::None),
        ] {
            assert_eq!(relation(&add(name), true), expected, "{name}");
        }
        let body = add("ada");
        let open = body.strip_suffix('}').expect("an object");
        let twice = format!("{open}, \"username\": \"grace\"}}");
        assert_eq!(relation(&twice, true), Relation::Doubtful);
        let nested = json!({"userPoolId": POOL, "request": {"list": [{"name": "Zoë/1"}]}});
        assert_eq!(relation(&nested.to_string(), true), Relation::Doubtful);
    }

    #[test]
    fn a_malformed_body_that_names_the_user_is_in_doubt() {
        for (body, expected) in [
            (&sign_up("p_1", "ada", Some(SUB))[..150], Relation::Doubtful),
            (r#"{"userName": "ada", "#, Relation::Doubtful),
            (r#"{"userName": "adam", "#, Relation::None),
            ("{", Relation::None),
        ] {
            assert_eq!(relation(body, true), expected, "{body}");
        }
    }

    #[test]
    fn a_debug_text_shows_no_name() {
        assert!(!format!("{:?}", person(true)).to_lowercase().contains("ada"));
    }
}
