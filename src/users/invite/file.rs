//! A CSV file of invitations, read and checked as a whole before anything is sent.

use std::collections::HashMap;
use std::fmt;

use csv::{ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Value};

use crate::event::{InvisibleCharacter, Invitation, InvitationDraft, strip_bom};

#[derive(Debug)]
pub(crate) struct Row {
    /// Line in the file, from 1; `None` without a file.
    pub(crate) line: Option<u64>,
    pub(crate) invitation: Invitation,
}

/// The rows of a CSV file that are right, in its order, and all errors.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<Row>, Vec<RowError>) {
    let mut errors = FileErrors::default();
    let rows = parse_rows(bytes, &mut errors);
    (rows, errors.0)
}

/// An error in a file. It names the line and the column, and never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowError {
    pub(crate) line: u64,
    /// The name of the column, or its number; `None` for the whole line.
    pub(crate) column: Option<String>,
    pub(crate) rule: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, rule } = self;
        match column {
            Some(column) => write!(f, "line {line}, column {column}: {rule}"),
            None => write!(f, "line {line}: {rule}"),
        }
    }
}

fn parse_rows(bytes: &[u8], errors: &mut FileErrors) -> Vec<Row> {
    let text = std::str::from_utf8(bytes);
    // Browsers put this character where a file is not UTF-8.
    let wrong = text.map_or_else(
        |error| Some(error.valid_up_to()),
        |text| text.find(char::REPLACEMENT_CHARACTER),
    );
    if let Some(at) = wrong {
        let before = bytes[..at].split(|byte| *byte == b'\n');
        let what = "is not UTF-8; save as \"CSV UTF-8\"";
        errors.add_line_error(before.count() as u64, what);
        return Vec::new();
    }
    let text = strip_bom(text.unwrap_or_default());
    let mut records = records(text, errors).into_iter();
    let Some((line, header)) = records.next() else {
        errors.add_line_error(
            1,
            "the file is empty: it needs a header and a row for each person",
        );
        return Vec::new();
    };
    let columns = read_header(&header, line, errors);
    if !errors.is_empty() {
        return Vec::new();
    }
    let mut rows = Vec::new();
    let mut seen = SeenUsers::default();
    for (line, record) in records {
        if record.len() != columns.len() {
            let (fields, columns) = (record.len(), columns.len());
            let what = format!(
                "has {fields} fields, and the header has {columns}: put \"…\" around a field \
                 that holds a comma"
            );
            errors.add_line_error(line, &what);
        } else if let Some(invitation) = parse_invitation(&columns, &record, line, errors) {
            seen.check(&invitation, line, errors);
            rows.push(Row {
                line: Some(line),
                invitation,
            });
        }
    }
    if rows.is_empty() && errors.is_empty() {
        errors.add_line_error(line + 1, "no rows: add one row per person");
    }
    rows
}

/// CSV records and the lines that they begin on, without blank ones.
fn records(text: &str, errors: &mut FileErrors) -> Vec<(u64, StringRecord)> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let mut records = Vec::new();
    let (mut line, mut at) = (1, 0);
    for record in reader.records() {
        let Ok(record) = record else {
            errors.add_line_error(line, "cannot be read as CSV");
            break;
        };
        let position = record.position().map_or(at, |position| {
            usize::try_from(position.byte()).unwrap_or(usize::MAX)
        });
        // The CSV reader skips empty lines without counting them.
        let begins = text.get(position..).map_or(at, |rest| {
            text.len() - rest.trim_start_matches(['\r', '\n']).len()
        });
        line += text
            .get(at..begins)
            .unwrap_or_default()
            .matches('\n')
            .count() as u64;
        at = begins.max(at);
        if !record.iter().all(str::is_empty) {
            records.push((line, record));
        }
    }
    records
}

/// More than a user pool has attributes.
const MAX_COLUMNS: usize = 100;
/// The columns that are not attributes. `groups` has names with `;` between.
const COLUMNS: [&str; 4] = ["email", "username", "groups", "resend"];

/// Accepts these columns and standard attributes in any case; custom attributes are
/// case-sensitive.
fn known_column(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if COLUMNS.contains(&lower.as_str()) {
        return Some(lower);
    }
    let mut names = [name, &lower].into_iter();
    let attribute = names.find(|name| Invitation::may_set_attribute(name));
    attribute.map(str::to_owned)
}

/// The columns in the order of the file.
fn read_header(header: &StringRecord, line: u64, errors: &mut FileErrors) -> Vec<String> {
    if header.len() > MAX_COLUMNS {
        let what = format!(
            "has {} columns: at most {MAX_COLUMNS} are possible",
            header.len()
        );
        errors.add_line_error(line, &what);
        return Vec::new();
    }
    // First, since an unknown column would not show its invisible character.
    for (at, name) in (1..).zip(header) {
        if let Some(invisible) = InvisibleCharacter::find_in_name(name) {
            errors.add_column_error(line, &at.to_string(), &invisible.to_string());
        }
    }
    if !errors.is_empty() {
        return Vec::new();
    }
    let found: Vec<Option<String>> = header.iter().map(known_column).collect();
    if !found.iter().flatten().any(|column| column == "email") {
        // Without a header the first line holds personal data, which must not be quoted.
        errors.add_line_error(line, missing_email(header));
        return Vec::new();
    }
    let mut columns = Vec::new();
    for (at, (column, name)) in (1..).zip(found.into_iter().zip(header)) {
        match column {
            Some(column) if columns.contains(&column) => {
                errors.add_column_error(line, &column, "is there twice: remove one of the two");
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

/// The invitation of one record; its errors are added to `errors`.
fn parse_invitation(
    columns: &[String],
    record: &StringRecord,
    line: u64,
    errors: &mut FileErrors,
) -> Option<Invitation> {
    let mut draft = InvitationDraft::default();
    let mut attributes = Map::new();
    let mut is_valid = true;
    for (column, field) in columns.iter().zip(record) {
        let mut add_error = |what: &str| {
            errors.add_column_error(line, column, what);
            is_valid = false;
        };
        if field.contains(['\r', '\n']) && column != "address" {
            add_error("holds a line break: is a quotation mark missing, or one too many?");
        }
        match column.as_str() {
            "email" => field.clone_into(&mut draft.email),
            "username" => draft.username = Some(field.to_owned()),
            "groups" => {
                let names = field.split(';').map(str::trim);
                let names = names.filter(|name| !name.is_empty());
                draft.groups = Some(names.map(str::to_owned).collect());
            }
            "resend" => match field.to_ascii_lowercase().as_str() {
                "" | "false" | "no" | "0" => draft.resend = Some(false),
                "true" | "yes" | "1" => draft.resend = Some(true),
                _ => add_error("must be true or false"),
            },
            name => {
                if let Err(rule) = Invitation::check_value(name, field) {
                    add_error(&rule.to_string());
                }
                attributes.insert(name.to_owned(), Value::from(field));
            }
        }
    }
    if !is_valid {
        return None;
    }
    draft.attributes = Some(Value::Object(attributes));
    Invitation::new(draft)
        .map_err(|error| errors.add_column_error(line, error.field, &error.rule.to_string()))
        .ok()
}

/// Addresses and user names of earlier lines, with their line numbers.
#[derive(Default)]
struct SeenUsers {
    addresses: HashMap<String, u64>,
    usernames: HashMap<String, u64>,
}

impl SeenUsers {
    fn check(&mut self, invitation: &Invitation, line: u64, errors: &mut FileErrors) {
        let email = invitation.email.to_lowercase();
        if let Some(first) = self.addresses.insert(email, line) {
            let what = format!("the same address as on line {first}: remove one of the two");
            errors.add_column_error(line, "email", &what);
        }
        let username = invitation.username.as_ref();
        let username = username.map(|name| name.reveal().to_owned());
        if let Some(first) = username.and_then(|name| self.usernames.insert(name, line)) {
            let what = format!("the same name as on line {first}: a name is for one person");
            errors.add_column_error(line, "username", &what);
        }
    }
}

/// All errors of a file at once.
#[derive(Debug, Default)]
struct FileErrors(Vec<RowError>);

impl FileErrors {
    fn add_line_error(&mut self, line: u64, rule: &str) {
        self.0.push(RowError {
            line,
            column: None,
            rule: rule.to_owned(),
        });
    }

    fn add_column_error(&mut self, line: u64, column: &str, rule: &str) {
        self.0.push(RowError {
            line,
            column: Some(column.to_owned()),
            rule: rule.to_owned(),
        });
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::GroupName;

    #[test]
    fn a_header_of_very_many_columns_is_one_error() {
        let columns = vec!["custom:a"; 100].join(",");
        let (rows, errors) = parse(format!("email,{columns}\n").as_bytes());
        assert!(rows.is_empty());
        let [error] = errors.as_slice() else {
            panic!("{errors:?}")
        };
        assert_eq!(error.rule, "has 101 columns: at most 100 are possible");
    }

    fn rows_in(text: &str) -> Vec<Row> {
        let (rows, errors) = parse(text.as_bytes());
        assert!(errors.is_empty(), "{errors:?}");
        rows
    }

    fn errors_in(text: &str) -> Vec<String> {
        let (_, errors) = parse(text.as_bytes());
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn bom_quotes_and_blank_lines_are_accepted() {
        let text = "\u{feff}\r\nEmail,given_name,groups,custom:Plan,RESEND\r\n\
                    \r\nada@example.com,\"Ada, \"\"the\r\nfirst\"\"\",,,\r\n";
        assert_eq!(
            errors_in(text),
            [
                "line 4, column given_name: holds a line break: is a quotation mark missing, or one \
              too many?"
            ]
        );
        let text = "\u{feff}\r\nEmail, given_name ,groups,custom:Plan,RESEND\r\n\
                    \r\n ada@example.com,\"Ada, \"\"A\"\"\",STAFF; TEAM-A ;,pro,Yes\r\n\
                    ,,,,\r\n   \r\n\r\nbob@example.com,,,,\r\n\"eve@example.com\",,,,";
        let rows = rows_in(text);
        let lines: Vec<Option<u64>> = rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [Some(4), Some(8), Some(9)]);
        let ada = &rows[0].invitation;
        assert_eq!(ada.email, "ada@example.com");
        assert_eq!(ada.attributes["given_name"], "Ada, \"A\"");
        assert_eq!(ada.attributes["custom:Plan"], "pro");
        let groups: Vec<&str> = ada.groups.iter().map(GroupName::as_str).collect();
        assert_eq!(groups, ["STAFF", "TEAM-A"]);
        assert!(ada.resend);
        let bob = &rows[1].invitation;
        assert!(bob.attributes.is_empty() && bob.groups.is_empty() && !bob.resend);
    }

    #[test]
    fn address_may_span_lines_and_the_next_line_is_right() {
        let text = "email,address\na@example.com,\"1 Street\nTown\"\nb@example.com,\n";
        let rows = rows_in(text);
        assert_eq!(rows[0].invitation.attributes["address"], "1 Street\nTown");
        assert_eq!(rows[1].line, Some(4));
    }

    #[test]
    fn header_errors_name_the_fix_and_quote_no_address() {
        for (text, part) in [
            ("", "line 1: the file is empty"),
            ("email\n", "line 2: no rows"),
            ("ada@example.com,Ada\n", "line 1: must be a header"),
            ("email;given_name\n", "commas"),
            ("email,plan\n", "line 1, column \"plan\": is unknown"),
            ("email,x@example.com\n", "line 1, column 2: is unknown"),
            ("email,sub\n", "column \"sub\": is unknown"),
            (
                "email,email_verified\n",
                "column \"email_verified\": is unknown",
            ),
            ("email,,name\n", "line 1, column 2: has no name"),
            ("email,Email\n", "column email: is there twice"),
            ("email,name,name\n", "column name: is there twice"),
            (
                "name,email\u{200b}\n",
                "line 1, column 2: character 6 is invisible (U+200B)",
            ),
        ] {
            let found = errors_in(text).join("\n");
            assert!(found.contains(part), "{text}: {found}");
            assert!(!found.contains("example"), "{found}");
        }
        for latin in [
            &b"email,name\na@example.com,Zo\xeb\n"[..],
            "email\nZo\u{fffd}".as_bytes(),
        ] {
            let (_, errors) = parse(latin);
            assert!(errors[0].to_string().contains("line 2: is not UTF-8"));
        }
    }

    #[test]
    fn invisible_characters_are_reported_with_their_place() {
        let text = "email,username,groups,given_name,phone_number,custom:note\n\
                    ada@\u{200b}example.com,,,,,\n\
                    bob@example.com,bo\u{ad}b,,,,\n\
                    cleo@example.com,,STAFF;TEAM\u{2060},,,\n\
                    dan@example.com,,,Dan\u{200b},,\n\
                    eve@example.com,,,,\u{202a}+44,\n\
                    fay@example.com,,,فا\u{200c}ی,,a\u{200b}b\n";
        let found = errors_in(text);
        let expected = [
            "line 2, column email: character 5 is invisible (U+200B)",
            "line 3, column username: character 3 is invisible (U+00AD)",
            "line 4, column groups: group 2: character 5 is invisible (U+2060)",
            "line 5, column given_name: character 4 is invisible (U+200B)",
            "line 6, column phone_number: character 1 is invisible (U+202A)",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn every_invalid_row_is_reported() {
        let text = "email,username,groups,resend,name\n\
                    a@example.com,a,,,\n\
                    nobody,,,,\n\
                    b@example.com,,A B,,\n\
                    c@example.com,,,perhaps,\n\
                    A@Example.com,a,,,\n\
                    d@example.com,a b,,,\n\
                    e@example.com,x\n";
        let long = format!("{text}f@example.com,,,,{}\n", "x".repeat(2049));
        let found = errors_in(&long);
        let expected = [
            "line 3, column email: must be an e-mail address",
            "line 4, column groups: a group name",
            "line 5, column resend: must be true or false",
            "line 6, column email: the same address as on line 2",
            "line 6, column username: the same name as on line 2",
            "line 7, column username: a user name",
            "line 8: has 2 fields, and the header has 5",
            "line 9, column name: a value has at most 2048",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
