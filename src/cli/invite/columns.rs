//! The header of the file: the meaning of each column.

use csv::StringRecord;

use super::file_errors::FileErrors;
use crate::event::{InvisibleCharacter, Invitation};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CsvColumn {
    Email,
    Username,
    /// Group names with `;` between.
    Groups,
    Resend,
    Attribute(String),
}

impl CsvColumn {
    /// Accepts standard attributes in any case; custom attributes are case-sensitive.
    fn from_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "email" => Some(Self::Email),
            "username" => Some(Self::Username),
            "groups" => Some(Self::Groups),
            "resend" => Some(Self::Resend),
            _ => [name, &lower]
                .into_iter()
                .find(|name| Invitation::may_set_attribute(name))
                .map(|name| Self::Attribute(name.to_owned())),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Email => "email",
            Self::Username => "username",
            Self::Groups => "groups",
            Self::Resend => "resend",
            Self::Attribute(name) => name,
        }
    }
}

/// The columns in the order of the file.
pub(super) fn read(header: &StringRecord, line: u64, errors: &mut FileErrors) -> Vec<CsvColumn> {
    // First, since an unknown column would not show its invisible character.
    for (at, name) in (1..).zip(header) {
        if let Some(invisible) = InvisibleCharacter::find_in_name(name) {
            errors.add_column_error(line, &at.to_string(), &invisible.to_string());
        }
    }
    if !errors.is_empty() {
        return Vec::new();
    }
    let found: Vec<Option<CsvColumn>> = header.iter().map(CsvColumn::from_name).collect();
    if !found.contains(&Some(CsvColumn::Email)) {
        // Without a header the first line holds personal data, which must not be quoted.
        errors.add_line_error(line, missing_email(header));
        return Vec::new();
    }
    let mut columns: Vec<CsvColumn> = Vec::new();
    for (at, (column, name)) in (1..).zip(found.into_iter().zip(header)) {
        match column {
            Some(column) if columns.contains(&column) => {
                errors.add_column_error(
                    line,
                    column.name(),
                    "is there twice: remove one of the two",
                );
            }
            Some(column) => columns.push(column),
            None if name.is_empty() => {
                errors.add_column_error(
                    line,
                    &at.to_string(),
                    "has no name: name it, or remove it",
                );
            }
            None => errors.add_column_error(
                line,
                &quoted(name, at),
                "is unknown: remove it, or name it email, username, groups, resend, a standard \
                 attribute such as given_name (but not sub or email_verified), or custom:…",
            ),
        }
    }
    columns
}

fn missing_email(header: &StringRecord) -> &'static str {
    let text = header.get(0).unwrap_or_default();
    if header.len() == 1 && text.contains([';', '\t']) {
        "columns must have commas between them: save the file with commas"
    } else {
        "must be a header with a column email: write the columns' names there, such as \
         email,given_name,groups"
    }
}

/// The quoted column name, or its number where the text is hardly a name.
fn quoted(name: &str, at: u64) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-: ".contains(c);
    if name.len() <= 40 && name.chars().all(plain) {
        format!("{name:?}")
    } else {
        at.to_string()
    }
}
