//! Lists in the value of a user attribute, such as the groups that an identity provider sends.
//!
//! A user attribute is one text. Cognito writes a SAML attribute with several values as `[A, B]`,
//! with other characters than letters, digits, `.`, `-`, `*` and `_` encoded as in a form. An OIDC
//! provider's list is JSON.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-specifying-attribute-mapping.html>

use serde_json::Value;

/// Whether `value` is this item, or a list with it.
pub(crate) fn has_item(value: &str, item: &str) -> bool {
    let value = value.trim();
    let Some(list) = value.strip_prefix('[') else {
        return value == item;
    };
    if list.trim_start().starts_with('"') {
        // Not JSON: it was cut off, and a comma in a name would end the name.
        let items: Vec<Value> = serde_json::from_str(value).unwrap_or_default();
        return items.iter().any(|it| it == item);
    }
    let items = list.strip_suffix(']').unwrap_or_default().split(',');
    items.map(str::trim).any(|text| is_item(text, item))
}

/// Whether `text` is `item` as a form encodes it, or as it is. `+` and `%` mean that it is encoded,
/// and an encoded text has no `=` and no `&`.
fn is_item(text: &str, item: &str) -> bool {
    if !text.contains(['+', '%']) {
        return text == item;
    }
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    !text.contains(['=', '&']) && pairs.next().is_some_and(|(name, _)| name == item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_saml_and_json_are_read() {
        for value in [
            "Staff",
            " Staff ",
            "[Staff]",
            "[Staff, Sales]",
            "[Sales,Staff]",
            r#"["Staff"]"#,
            r#"["Sales", "\u0053taff"]"#,
            r#"[ "Staff", null]"#,
        ] {
            assert!(has_item(value, "Staff"), "{value}");
        }
        for value in [
            "",
            "[]",
            "[",
            "]",
            "Staffing",
            "[Staffing, xStaff]",
            "staff",
            "[[Staff]]",
            r#"{"Staff": 1}"#,
            r#""Staff""#,
        ] {
            assert!(!has_item(value, "Staff"), "{value}");
        }
    }

    #[test]
    fn a_comma_in_a_name_does_not_make_another_name() {
        for value in [
            "Sales,Staff",
            "CN=x,OU=Staff",
            "[Sales%2CStaff]",
            "[Sales, Staff",
            r#"["Sales, Staff"]"#,
            r#"["x,Staff,y", null]"#,
            r#"["x,Staff,y""#,
            r#"["x","Staff"#,
        ] {
            assert!(!has_item(value, "Staff"), "{value}");
        }
        assert!(has_item("CN=x,OU=Staff", "CN=x,OU=Staff"));
    }

    #[test]
    fn encoded_and_plain_items_of_saml_are_the_same() {
        for (encoded, item) in [
            ("Everyone+in+Sales", "Everyone in Sales"),
            ("CN%3DStaff%2COU%3Dit", "CN=Staff,OU=it"),
            ("cn%3dstaff", "cn=staff"),
            ("B%C3%BCro", "Büro"),
            ("R%26D", "R&D"),
            ("A%2BB", "A+B"),
        ] {
            assert!(has_item(&format!("[Other, {encoded}]"), item), "{encoded}");
        }
        for plain in ["Everyone in Sales", "R&D", "cn=staff"] {
            assert!(has_item(&format!("[Other, {plain}]"), plain));
        }
        assert!(!has_item("[R%26D]", "R") && !has_item("[R&D]", "R"));
        // Another name, encoded.
        assert!(!has_item("[A+B]", "A+B") && has_item("[A+B]", "A B"));
    }
}
