//! The schema of a user pool: what `DescribeUserPool` shows of it, and which values of attributes
//! it takes.
//!
//! AWS documents neither the format of a number nor that of a time. Here a number has only
//! digits, a sign and a point, and a time is in ISO 8601.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::user::str_or_empty;
use super::{AwsErrorResponse, aws_error};

/// The standard attributes that are texts of up to 2048 characters.
const TEXTS: [&str; 15] = [
    "address",
    "email",
    "family_name",
    "gender",
    "given_name",
    "locale",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "picture",
    "preferred_username",
    "profile",
    "website",
    "zoneinfo",
];

/// All attributes of a pool, as `DescribeUserPool` shows them.
#[derive(Debug, Clone, Default)]
pub(super) struct PoolSchema(Vec<Value>);

impl PoolSchema {
    /// From the input of `CreateUserPool`.
    pub(super) fn from_input(input: &Value) -> Self {
        let mut attributes = vec![text("sub", 1, 2048)];
        attributes[0]["Required"] = json!(true);
        attributes[0]["Mutable"] = json!(false);
        attributes.extend(TEXTS.map(|name| text(name, 0, 2048)));
        attributes.push(text("birthdate", 10, 10));
        attributes.push(standard("updated_at", "Number"));
        attributes.push(standard("email_verified", "Boolean"));
        attributes.push(standard("phone_number_verified", "Boolean"));
        for given in input["Schema"].as_array().into_iter().flatten() {
            let known = attributes.iter_mut();
            match known.into_iter().find(|it| it["Name"] == given["Name"]) {
                Some(known) => known["Required"] = json!(given["Required"] == true),
                None => attributes.push(custom(given)),
            }
        }
        Self(attributes)
    }

    pub(super) fn attributes(&self) -> &[Value] {
        &self.0
    }

    /// Refuses values that do not fit. An invited user may lack attributes that are required.
    pub(super) fn check(&self, values: &BTreeMap<String, String>) -> Result<(), AwsErrorResponse> {
        let errors: Vec<String> = values
            .iter()
            .filter_map(|(name, value)| {
                let error = self.error(name, value)?;
                Some(format!("{name}: {error}\n"))
            })
            .collect();
        if errors.is_empty() {
            return Ok(());
        }
        let text = format!(
            "Attributes did not conform to the schema: {}",
            errors.concat()
        );
        Err(aws_error("InvalidParameterException", &text))
    }

    fn error(&self, name: &str, value: &str) -> Option<String> {
        let Some(attribute) = self.0.iter().find(|it| it["Name"] == name) else {
            // Events of files name others, such as `cognito:user_status`.
            let is_custom = name.starts_with("custom:") || name.starts_with("dev:");
            return is_custom.then(|| "Attribute does not exist in the schema.".to_owned());
        };
        let length = value.chars().count();
        let limits = &attribute["StringAttributeConstraints"];
        let limit = |limits: &Value, name: &str| str_or_empty(&limits[name]).parse::<f64>().ok();
        #[expect(clippy::cast_precision_loss, reason = "a length")]
        let length = length as f64;
        match str_or_empty(&attribute["AttributeDataType"]) {
            "String" if limit(limits, "MaxLength").is_some_and(|max| length > max) => {
                let max = str_or_empty(&limits["MaxLength"]);
                Some(format!("String must be no longer than {max} characters"))
            }
            "String" if limit(limits, "MinLength").is_some_and(|min| length < min) => {
                let min = str_or_empty(&limits["MinLength"]);
                Some(format!("String must be no shorter than {min} characters"))
            }
            "Number" => {
                let limits = &attribute["NumberAttributeConstraints"];
                let is_plain = value
                    .chars()
                    .all(|c| c.is_ascii_digit() || "+-.".contains(c));
                let number = value.parse::<f64>().ok().filter(|_| is_plain);
                let fits = number.is_some_and(|number| {
                    limit(limits, "MinValue").is_none_or(|min| number >= min)
                        && limit(limits, "MaxValue").is_none_or(|max| number <= max)
                });
                (!fits).then(|| "Number is not valid".to_owned())
            }
            "Boolean" if name.starts_with("custom:") => {
                (!matches!(value, "true" | "false")).then(|| "Boolean is not valid".to_owned())
            }
            "DateTime" => {
                let is_time = value.parse::<jiff::Timestamp>().is_ok()
                    || value.parse::<jiff::civil::Date>().is_ok();
                (!is_time).then(|| "Date is not valid".to_owned())
            }
            _ => None,
        }
    }
}

fn standard(name: &str, kind: &str) -> Value {
    json!({
        "Name": name, "AttributeDataType": kind, "DeveloperOnlyAttribute": false,
        "Mutable": true, "Required": false,
    })
}

fn text(name: &str, min: u32, max: u32) -> Value {
    let mut attribute = standard(name, "String");
    attribute["StringAttributeConstraints"] =
        json!({"MinLength": min.to_string(), "MaxLength": max.to_string()});
    attribute
}

/// Cognito puts a prefix before the name, and fills in what is missing.
fn custom(given: &Value) -> Value {
    let is_developers = given["DeveloperOnlyAttribute"] == true;
    let prefix = if is_developers {
        "dev:custom:"
    } else {
        "custom:"
    };
    let name = format!("{prefix}{}", str_or_empty(&given["Name"]));
    let kind = given["AttributeDataType"].as_str().unwrap_or("String");
    let mut attribute = standard(&name, kind);
    attribute["DeveloperOnlyAttribute"] = json!(is_developers);
    attribute["Mutable"] = json!(given["Mutable"] != false);
    for limits in ["StringAttributeConstraints", "NumberAttributeConstraints"] {
        if given[limits].is_object() {
            attribute[limits] = given[limits].clone();
        }
    }
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_of_the_schema_are_refused_as_by_cognito() {
        let schema = PoolSchema::from_input(&json!({"Schema": [
            {"Name": "given_name", "Required": true},
            {"Name": "plan", "AttributeDataType": "String",
                "StringAttributeConstraints": {"MinLength": "2", "MaxLength": "20"}},
            {"Name": "seats", "AttributeDataType": "Number",
                "NumberAttributeConstraints": {"MinValue": "1", "MaxValue": "500"}},
            {"Name": "trial", "AttributeDataType": "Boolean"},
            {"Name": "renewal", "AttributeDataType": "DateTime"},
        ]}));
        let given = schema
            .attributes()
            .iter()
            .find(|it| it["Name"] == "given_name");
        assert_eq!(given.expect("there")["Required"], true);
        let check = |name: &str, value: &str| {
            let values = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let refused = schema.check(&values).err()?;
            let refused: Value = serde_json::from_slice(&refused.body).expect("JSON");
            Some(str_or_empty(&refused["message"]).to_owned())
        };
        let long = "x".repeat(21);
        for (name, right, wrong, error) in [
            (
                "custom:plan",
                "pro",
                "p",
                "custom:plan: String must be no shorter than 2 characters",
            ),
            (
                "custom:plan",
                "pro",
                &long,
                "String must be no longer than 20 characters",
            ),
            ("custom:seats", "500", "501", "Number is not valid"),
            ("custom:seats", "1.5", "1e1", "Number is not valid"),
            ("custom:trial", "true", "yes", "Boolean is not valid"),
            ("custom:renewal", "2026-12-31", "soon", "Date is not valid"),
            (
                "custom:renewal",
                "2026-12-31T00:00:00Z",
                "31.12.2026",
                "Date is not valid",
            ),
            (
                "birthdate",
                "1990-12-31",
                "1990",
                "birthdate: String must be no shorter than 10",
            ),
            (
                "email",
                "a@b.example",
                &"x".repeat(2049),
                "no longer than 2048",
            ),
            ("cognito:user_status", "x", "", ""),
            ("custom:plan", "pro", "", "no shorter"),
        ] {
            assert_eq!(check(name, right), None, "{name} {right}");
            if !error.is_empty() {
                let found = check(name, wrong).expect(wrong);
                assert!(found.contains(error), "{found}");
            }
        }
        let unknown = check("custom:other", "x").expect("refused");
        let text = "custom:other: Attribute does not exist in the schema.";
        assert!(unknown.contains(text), "{unknown}");
    }
}
