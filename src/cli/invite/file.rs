//! A CSV file of invitations, read and checked as a whole before anything is sent.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::columns;
use super::fields::{SeenUsers, parse_invitation};
use super::file_errors::FileErrors;
use super::options::Row;
use crate::cli::Usage;
use crate::event::strip_bom;

/// The rows in the order of the file.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| Usage::error(format!("--file {name} cannot be read: {error}")))?;
    parse(&bytes).map_err(|errors| Usage::error(errors.text(&name)))
}

fn parse(bytes: &[u8]) -> Result<Vec<Row>, FileErrors> {
    let mut errors = FileErrors::default();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => strip_bom(text),
        Err(error) => {
            let before = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n');
            let what = "is no UTF-8: save the file as \"CSV UTF-8\"";
            errors.add_line_error(before.count() as u64, what);
            return Err(errors);
        }
    };
    let mut records = records(text, &mut errors).into_iter();
    let Some((line, header)) = records.next() else {
        errors.add_line_error(
            1,
            "the file is empty: it needs a header and a row for each person",
        );
        return Err(errors);
    };
    let columns = columns::read(&header, line, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
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
        } else if let Some(invitation) = parse_invitation(&columns, &record, line, &mut errors) {
            seen.check(&invitation, line, &mut errors);
            rows.push(Row {
                line: Some(line),
                invitation,
            });
        }
    }
    if rows.is_empty() && errors.is_empty() {
        errors.add_line_error(line + 1, "nobody is there: it needs a row for each person");
    }
    if errors.is_empty() {
        Ok(rows)
    } else {
        Err(errors)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::GroupName;

    fn errors_in(text: &str) -> Vec<String> {
        let errors = parse(text.as_bytes()).expect_err("wrong");
        let text = errors.text("f");
        text.lines()
            .skip(1)
            .map(|line| line.trim().to_owned())
            .collect()
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
        let rows = parse(text.as_bytes()).expect("right");
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
        let rows = parse(text.as_bytes()).expect("right");
        assert_eq!(rows[0].invitation.attributes["address"], "1 Street\nTown");
        assert_eq!(rows[1].line, Some(4));
    }

    #[test]
    fn header_errors_name_the_fix_and_quote_no_address() {
        for (text, part) in [
            ("", "line 1: the file is empty"),
            ("email\n", "line 2: nobody is there"),
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
        let latin = parse(b"email,name\na@example.com,Zo\xeb\n").expect_err("wrong");
        assert!(latin.text("f").contains("line 2: is no UTF-8"));
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
