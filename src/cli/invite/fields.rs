//! One CSV record of the file.

use std::collections::HashMap;

use csv::StringRecord;
use serde_json::{Map, Value};

use super::columns::CsvColumn;
use super::file_errors::FileErrors;
use crate::event::{Invitation, InvitationDraft};

/// The invitation of one record; its errors are added to `errors`.
pub(super) fn parse_invitation(
    columns: &[CsvColumn],
    record: &StringRecord,
    line: u64,
    errors: &mut FileErrors,
) -> Option<Invitation> {
    let mut draft = InvitationDraft::default();
    let mut attributes = Map::new();
    let mut is_valid = true;
    for (column, field) in columns.iter().zip(record) {
        let mut add_error = |what: &str| {
            errors.add_column_error(line, column.name(), what);
            is_valid = false;
        };
        let is_address = matches!(column, CsvColumn::Attribute(name) if name == "address");
        if field.contains(['\r', '\n']) && !is_address {
            add_error("holds a line break: is a quotation mark missing, or one too many?");
        }
        match column {
            CsvColumn::Email => field.clone_into(&mut draft.email),
            CsvColumn::Username => draft.username = Some(field.to_owned()),
            CsvColumn::Groups => {
                let names = field.split(';').map(str::trim);
                let names = names.filter(|name| !name.is_empty());
                draft.groups = Some(names.map(str::to_owned).collect());
            }
            CsvColumn::Resend => match field.to_ascii_lowercase().as_str() {
                "" | "false" | "no" | "0" => draft.resend = Some(false),
                "true" | "yes" | "1" => draft.resend = Some(true),
                _ => add_error("must be true or false"),
            },
            CsvColumn::Attribute(name) => {
                if let Err(rule) = Invitation::check_value(name, field) {
                    add_error(&rule.to_string());
                }
                attributes.insert(name.clone(), Value::from(field));
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
pub(super) struct SeenUsers {
    addresses: HashMap<String, u64>,
    usernames: HashMap<String, u64>,
}

impl SeenUsers {
    pub(super) fn check(&mut self, invitation: &Invitation, line: u64, errors: &mut FileErrors) {
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
