//! `ListUsers` with its filter, its pages and its choice of attributes, which the underlying
//! service ignores.
//!
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUsers.html>

use serde_json::{Value, json};

use super::user::{EmbeddedUser, str_or_empty};
use super::{CognitoResult, EmbeddedCognito, aws_error, ok_response};

const DEFAULT_PAGE: u64 = 60;

/// `name = "value"`, or `^=` for a prefix.
struct UserFilter {
    attribute: String,
    value: String,
    is_prefix: bool,
}

impl EmbeddedCognito {
    pub(super) async fn list_users(&self, input: &Value) -> CognitoResult {
        let invalid = |message| aws_error("InvalidParameterException", message);
        let filter = match str_or_empty(&input["Filter"]) {
            "" => None,
            text => Some(
                UserFilter::parse(text).ok_or_else(|| invalid("Error while parsing filter."))?,
            ),
        };
        let begin: usize = match &input["PaginationToken"] {
            Value::Null => 0,
            token => str_or_empty(token)
                .parse()
                .map_err(|_| invalid("Invalid pagination token."))?,
        };
        let limit = input["Limit"].as_u64().unwrap_or(DEFAULT_PAGE);
        let page_size = usize::try_from(limit).unwrap_or_default();
        let all = self.call_json("ListUsers", input).await?;
        let mut matching: Vec<&Value> = all["Users"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|user| filter.as_ref().is_none_or(|filter| filter.matches(user)))
            .collect();
        // The service lists them in any order, and pages need one.
        matching.sort_by_key(|user| str_or_empty(&user["Username"]));
        let end = begin.saturating_add(page_size).min(matching.len());
        let page = matching.get(begin..end).unwrap_or_default();
        let users: Vec<Value> = page
            .iter()
            .map(|user| with_attributes(user, &input["AttributesToGet"]))
            .map(|user| self.with_code_time(str_or_empty(&input["UserPoolId"]), user))
            .collect();
        let mut answer = json!({"Users": users});
        if end < matching.len() {
            answer["PaginationToken"] = json!(end.to_string());
        }
        Ok(ok_response(&answer))
    }

    /// A new temporary password changes the user.
    fn with_code_time(&self, pool: &str, mut user: Value) -> Value {
        if let Some(second) = self.pools.code_time(pool, str_or_empty(&user["Username"])) {
            user["UserLastModifiedDate"] = json!(second);
        }
        user
    }
}

impl UserFilter {
    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('=')?;
        let (name, is_prefix) = match name.strip_suffix('^') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let value = rest.trim().strip_prefix('"')?.strip_suffix('"')?;
        let is_searchable = |name: &str| {
            [
                "username",
                "email",
                "phone_number",
                "name",
                "given_name",
                "family_name",
                "preferred_username",
                "cognito:user_status",
                "status",
                "sub",
            ]
            .contains(&name)
        };
        let attribute = name.trim().trim_matches('"');
        is_searchable(attribute).then(|| Self {
            attribute: attribute.to_owned(),
            value: value.replace("\\\"", "\""),
            is_prefix,
        })
    }

    fn matches(&self, user: &Value) -> bool {
        let fields = EmbeddedUser::from_response(user);
        let (found, ignores_case) = match self.attribute.as_str() {
            "username" => (fields.name.as_str(), false),
            "status" if fields.enabled => ("Enabled", false),
            "status" => ("Disabled", false),
            "cognito:user_status" => (fields.status.as_str(), true),
            name => (fields.attribute(name), false),
        };
        let (found, wanted) = if ignores_case {
            (found.to_lowercase(), self.value.to_lowercase())
        } else {
            (found.to_owned(), self.value.clone())
        };
        if self.is_prefix {
            found.starts_with(&wanted)
        } else {
            found == wanted
        }
    }
}

/// The user with only the attributes of `AttributesToGet`, if that is given.
fn with_attributes(user: &Value, wanted: &Value) -> Value {
    let mut user = user.clone();
    if let (Some(wanted), Some(attributes)) = (wanted.as_array(), user["Attributes"].as_array_mut())
    {
        attributes.retain(|attribute| wanted.contains(&attribute["Name"]));
    }
    user
}
