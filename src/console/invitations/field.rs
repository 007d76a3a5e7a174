//! A field of the form. The page shows its rule and lets the browser check it; the server checks
//! the same rule again.

use crate::aws::{AttributeKind, InvitationSettings, SchemaAttribute, SignInName};
use crate::console::form::Form;
use crate::event::{Invitation, InvitationDraft, Username};

/// A longer text of an app gets several lines.
const MAX_LINE: usize = 256;
/// Cognito's limit for a value, in characters.
const MAX_TEXT: usize = 2048;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct FormField {
    /// The name of the attribute, `email` or `username`. Also the id on the page.
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: FieldKind,
    pub(super) is_required: bool,
    /// What to know besides the rule.
    note: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FieldKind {
    Email,
    Phone,
    /// The limits of its length in characters.
    Text {
        min: usize,
        max: usize,
        has_lines: bool,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    YesNo,
    Birthdate,
    /// A time. The form asks only for its day.
    Day,
}

/// All fields for a pool, in the order of the page.
pub(super) fn fields(settings: &InvitationSettings) -> Vec<FormField> {
    let email = FormField {
        kind: FieldKind::Email,
        label: "E-mail address".to_owned(),
        is_required: true,
        note: "The invitation goes to this address.",
        ..FormField::optional_text("email")
    };
    let attributes = &settings.attributes;
    let names = ["given_name", "family_name"].map(|name| {
        let attribute = attributes.iter().find(|it| it.name == name);
        attribute.map_or_else(|| FormField::optional_text(name), FormField::new)
    });
    let is_username = |it: &SchemaAttribute| {
        settings.sign_in_name == SignInName::Phone && it.name == "phone_number"
    };
    let others = attributes.iter().filter(|it| {
        let is_asked = it.is_required || it.name.starts_with("custom:");
        let is_name = ["given_name", "family_name"].contains(&it.name.as_str());
        is_asked && !is_name && !is_username(it) && Invitation::may_set_attribute(&it.name)
    });
    let mut fields = vec![email];
    fields.extend(username(settings));
    fields.extend(names);
    fields.extend(others.map(FormField::new));
    fields
}

/// `None` where the pool generates the name.
fn username(settings: &InvitationSettings) -> Option<FormField> {
    let is_phone = settings.sign_in_name == SignInName::Phone;
    let note = match settings.sign_in_name {
        SignInName::Email => return None,
        SignInName::Phone => "The person signs in with it.",
        SignInName::Any if settings.has_email_alias => "It must not be an e-mail address.",
        SignInName::Any => "Without one, the e-mail address is the user name.",
    };
    Some(FormField {
        kind: if is_phone {
            FieldKind::Phone
        } else {
            FieldKind::text(1, 128, false)
        },
        label: "User name".to_owned(),
        is_required: is_phone || settings.has_email_alias,
        note,
        ..FormField::optional_text("username")
    })
}

impl FormField {
    fn optional_text(name: &str) -> Self {
        let plain = name.strip_prefix("custom:").unwrap_or(name);
        Self {
            name: name.to_owned(),
            label: capitalized(plain.replace(['_', '-'], " ")),
            kind: FieldKind::text(0, MAX_TEXT, false),
            is_required: false,
            note: "",
        }
    }

    fn new(attribute: &SchemaAttribute) -> Self {
        let name = attribute.name.as_str();
        let kind = match (name, attribute.kind) {
            ("phone_number", _) => FieldKind::Phone,
            ("birthdate", _) => FieldKind::Birthdate,
            (_, AttributeKind::Text { min, max }) => {
                let is_long = name.starts_with("custom:") && max > MAX_LINE;
                FieldKind::text(min, max, is_long || name == "address")
            }
            (_, AttributeKind::Number { min, max }) => FieldKind::Number { min, max },
            (_, AttributeKind::Boolean) => FieldKind::YesNo,
            (_, AttributeKind::DateTime) => FieldKind::Day,
        };
        let note = if attribute.is_mutable {
            ""
        } else {
            "It cannot be changed later."
        };
        Self {
            kind,
            is_required: attribute.is_required,
            note,
            ..Self::optional_text(name)
        }
    }

    /// What was typed, with the line ends of Unix.
    pub(super) fn value(&self, form: &Form) -> String {
        form.get(&self.name).replace("\r\n", "\n")
    }

    /// The value that Cognito gets.
    pub(super) fn attribute_value(&self, typed: String) -> String {
        match self.kind {
            FieldKind::Day => format!("{typed}T00:00:00Z"),
            _ => typed,
        }
    }

    /// The error is the rule that the value breaks.
    pub(super) fn check(&self, typed: &str) -> Result<(), String> {
        match typed {
            "" if self.is_required => Err("is required".to_owned()),
            "" => Ok(()),
            _ => self.check_name(typed).and_then(|()| self.kind.check(typed)),
        }
    }

    /// Checks what Cognito demands of an attribute with this name in every pool.
    fn check_name(&self, typed: &str) -> Result<(), String> {
        match self.name.as_str() {
            "email" => {
                let email = typed.to_owned();
                let draft = InvitationDraft {
                    email,
                    ..InvitationDraft::default()
                };
                let checked = Invitation::new(draft).map(|_| ());
                checked.map_err(|invalid| invalid.rule.to_string())
            }
            "username" => {
                let checked = Username::parse(typed).map(|_| ());
                checked.map_err(|rule| rule.to_string())
            }
            name => Invitation::check_value(name, typed).map_err(|rule| rule.to_string()),
        }
    }

    /// Checks a value as Cognito gets it. AWS does not document which forms of a time it accepts.
    pub(super) fn check_stored(&self, value: &str) -> Result<(), String> {
        match self.kind {
            FieldKind::Day => Ok(()),
            _ => self.check(value),
        }
    }

    pub(super) fn is_custom(&self) -> bool {
        self.name.starts_with("custom:")
    }

    /// The rule and the note, for the page.
    pub(super) fn hint(&self) -> String {
        match (self.kind.rule(), self.note) {
            (rule, note) if rule.is_empty() => note.to_owned(),
            (rule, "") => capitalized(format!("{rule}.")),
            (rule, note) => capitalized(format!("{rule}. {note}")),
        }
    }
}

impl FieldKind {
    fn text(min: usize, max: usize, has_lines: bool) -> Self {
        Self::Text {
            min,
            max,
            has_lines,
        }
    }

    /// The attributes of the HTML element, with which the browser checks the rule.
    pub(super) fn attributes(self) -> Vec<(&'static str, String)> {
        let is = |name: &str| ("type", name.to_owned());
        match self {
            Self::Email => vec![is("email")],
            Self::Phone => vec![is("tel"), ("pattern", "\\+[0-9]{1,15}".to_owned())],
            Self::Text { min, max, .. } => {
                vec![
                    ("minlength", min.to_string()),
                    ("maxlength", max.to_string()),
                ]
            }
            Self::Number { min, max } => {
                let limits = [("min", min), ("max", max)].into_iter();
                let limits = limits.filter_map(|(name, limit)| Some((name, limit?.to_string())));
                let number = [is("number"), ("step", "any".to_owned())];
                number.into_iter().chain(limits).collect()
            }
            Self::YesNo => Vec::new(),
            Self::Birthdate | Self::Day => vec![is("date")],
        }
    }

    pub(super) fn is_choice(self) -> bool {
        self == Self::YesNo
    }

    pub(super) fn has_lines(self) -> bool {
        matches!(
            self,
            Self::Text {
                has_lines: true,
                ..
            }
        )
    }

    /// What a value must be; empty where no more than its name says.
    fn rule(self) -> String {
        match self {
            Self::Email
            | Self::Text {
                min: 0,
                max: MAX_TEXT,
                ..
            } => String::new(),
            Self::Phone => "+ and digits, such as +15551234567".to_owned(),
            Self::Text {
                min: 0 | 1, max, ..
            } => format!("at most {max} characters"),
            Self::Text { min, max, .. } => format!("{min} to {max} characters long"),
            Self::Number { min, max } => match (min, max) {
                (Some(min), Some(max)) => format!("a number from {min} to {max}"),
                (Some(min), None) => format!("a number, {min} or more"),
                (None, Some(max)) => format!("a number, {max} or less"),
                (None, None) => "a number".to_owned(),
            },
            Self::YesNo => "yes or no".to_owned(),
            Self::Birthdate => "a date such as 1990-12-31".to_owned(),
            Self::Day => "a date such as 2026-12-31; stored as midnight UTC".to_owned(),
        }
    }

    fn check(self, typed: &str) -> Result<(), String> {
        let is_valid = match self {
            // By their names.
            Self::Email | Self::Birthdate => true,
            Self::Phone => Invitation::check_value("phone_number", typed).is_ok(),
            Self::Text { min, max, .. } => (min..=max).contains(&typed.chars().count()),
            Self::Number { min, max } => parse_number(typed).is_some_and(|number| {
                min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
            }),
            Self::YesNo => matches!(typed, "true" | "false"),
            Self::Day => typed.len() == 10 && typed.parse::<jiff::civil::Date>().is_ok(),
        };
        if is_valid {
            Ok(())
        } else {
            Err(format!("must be {}", self.rule()))
        }
    }
}

/// Accepts digits, a sign and a point, and neither an exponent nor `inf`.
fn parse_number(text: &str) -> Option<f64> {
    let is_plain = |c: char| c.is_ascii_digit() || "+-.".contains(c);
    text.parse().ok().filter(|_| text.chars().all(is_plain))
}

fn capitalized(mut text: String) -> String {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn attribute(name: &str, kind: AttributeKind, is_required: bool) -> SchemaAttribute {
        SchemaAttribute {
            name: name.to_owned(),
            kind,
            is_required,
            is_mutable: name != "custom:plan",
        }
    }

    fn settings(attributes: Vec<SchemaAttribute>) -> InvitationSettings {
        InvitationSettings {
            attributes,
            sign_in_name: SignInName::Any,
            has_email_alias: false,
            code_lifetime: Duration::from_hours(1),
            has_default_email: true,
            is_passwordless: false,
        }
    }

    fn text(min: usize, max: usize) -> AttributeKind {
        AttributeKind::Text { min, max }
    }

    fn number(min: Option<f64>, max: Option<f64>) -> AttributeKind {
        AttributeKind::Number { min, max }
    }

    #[test]
    fn fields_are_those_that_a_pool_requires_or_an_app_has() {
        let schema = vec![
            attribute("sub", text(1, 2048), true),
            attribute("email", text(0, 2048), true),
            attribute("family_name", text(0, 2048), true),
            attribute("phone_number", text(0, 2048), true),
            attribute("nickname", text(0, 2048), false),
            attribute("custom:plan", text(1, 20), false),
            attribute("custom:notes", text(0, 2048), false),
        ];
        let mut settings = settings(schema);
        let names = |settings: &InvitationSettings| {
            let fields = fields(settings).into_iter();
            let fields =
                fields.map(|it| format!("{}{}", it.name, ["", "*"][usize::from(it.is_required)]));
            fields.collect::<Vec<_>>().join(" ")
        };
        let rest = "given_name family_name* phone_number* custom:plan custom:notes";
        assert_eq!(names(&settings), format!("email* username {rest}"));
        settings.has_email_alias = true;
        assert_eq!(names(&settings), format!("email* username* {rest}"));
        settings.sign_in_name = SignInName::Email;
        assert_eq!(names(&settings), format!("email* {rest}"));
        settings.sign_in_name = SignInName::Phone;
        let rest = rest.replace("phone_number* ", "");
        assert_eq!(names(&settings), format!("email* username* {rest}"));
        let fields = fields(&settings);
        let find = |name| fields.iter().find(|it| it.name == name).expect("there");
        let plan = find("custom:plan");
        assert_eq!(
            plan.hint(),
            "At most 20 characters. It cannot be changed later."
        );
        assert_eq!((plan.label.as_str(), plan.is_custom()), ("Plan", true));
        let notes = find("custom:notes");
        assert_eq!(notes.kind, FieldKind::text(0, 2048, true));
        assert_eq!(find("family_name").label, "Family name");
    }

    #[test]
    fn each_kind_accepts_and_refuses_by_its_rule() {
        let long = "é".repeat(21);
        for (name, kind, right, wrong, rule) in [
            (
                "custom:plan",
                text(2, 20),
                &["pro", "éé"][..],
                &["p", &long][..],
                "2 to 20",
            ),
            (
                "custom:notes",
                text(0, 2048),
                &["a\nb"],
                &[&"x".repeat(2049)],
                "2048",
            ),
            (
                "custom:seats",
                number(Some(1.0), Some(500.0)),
                &["1", "500", "2.5", "+7"],
                &["0", "501", "many", "1e2", "inf", "NaN", "-", "1 2"],
                "a number from 1 to 500",
            ),
            (
                "custom:any",
                number(None, None),
                &["-3"],
                &["x"],
                "a number",
            ),
            (
                "custom:low",
                number(Some(2.0), None),
                &["2"],
                &["1"],
                "a number, 2 or more",
            ),
            (
                "custom:high",
                number(None, Some(2.0)),
                &["2"],
                &["3"],
                "a number, 2 or less",
            ),
            (
                "custom:trial",
                AttributeKind::Boolean,
                &["true", "false"],
                &["yes"],
                "yes or no",
            ),
            (
                "custom:renewal",
                AttributeKind::DateTime,
                &["2026-12-31"],
                &["2026-02-30", "31.12.2026", "2026-12-31T00:00:00Z"],
                "a date such as",
            ),
            (
                "birthdate",
                text(10, 10),
                &["1990-12-31"],
                &["1990"],
                "a date such as",
            ),
            (
                "phone_number",
                text(0, 2048),
                &["+15551234567"],
                &["555"],
                "+ and digits",
            ),
        ] {
            let field = FormField::new(&attribute(name, kind, false));
            for right in right {
                assert_eq!(field.check(right), Ok(()), "{name} {right}");
            }
            for wrong in wrong {
                let error = field.check(wrong).expect_err(wrong);
                assert!(error.contains(rule), "{name} {wrong}: {error}");
            }
            assert_eq!(field.check(""), Ok(()));
            let required = FormField::new(&attribute(name, kind, true));
            assert_eq!(required.check(""), Err("is required".to_owned()));
        }
    }

    #[test]
    fn a_day_becomes_a_time_and_line_ends_are_those_of_unix() {
        let day = FormField::new(&attribute("custom:renewal", AttributeKind::DateTime, false));
        assert_eq!(
            day.attribute_value("2026-12-31".to_owned()),
            "2026-12-31T00:00:00Z"
        );
        let notes = FormField::new(&attribute("custom:notes", text(0, 2048), false));
        let form = Form::parse(b"custom:notes=a%0D%0Ab");
        assert_eq!(notes.value(&form), "a\nb");
    }
}
