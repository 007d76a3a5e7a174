//! A user as the underlying service describes them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EmbeddedUser {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) enabled: bool,
    pub(super) attributes: BTreeMap<String, String>,
}

impl EmbeddedUser {
    /// From the response of `AdminGetUser` or the `User` of another response,
    /// which name the attributes differently.
    pub(super) fn from_response(answer: &Value) -> Self {
        let attributes = [&answer["UserAttributes"], &answer["Attributes"]];
        Self {
            name: str_or_empty(&answer["Username"]).to_owned(),
            status: str_or_empty(&answer["UserStatus"]).to_owned(),
            enabled: answer["Enabled"] != false,
            attributes: attributes
                .into_iter()
                .filter_map(Value::as_array)
                .flatten()
                .map(|one| {
                    (
                        str_or_empty(&one["Name"]).to_owned(),
                        str_or_empty(&one["Value"]).to_owned(),
                    )
                })
                .collect(),
        }
    }

    pub(super) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// The list form of attributes in a request.
pub(super) fn attribute_list<'a>(
    attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Value {
    attributes
        .into_iter()
        .map(|(name, value)| json!({"Name": name, "Value": value}))
        .collect()
}

pub(super) fn str_or_empty(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
