//! One record of a file of people.

use std::collections::HashMap;

use csv::StringRecord;
use serde_json::{Map, Value};

use super::columns::Column;
use super::wrongs::Wrongs;
use crate::event::{Draft, Invitation};

/// The person of one record; what is wrong with it is noted.
pub(super) fn invitation(
    columns: &[Column],
    record: &StringRecord,
    line: u64,
    wrongs: &mut Wrongs,
) -> Option<Invitation> {
    let mut draft = Draft::default();
    let mut attributes = Map::new();
    let mut sound = true;
    for (column, field) in columns.iter().zip(record) {
        let mut wrong = |what: &str| {
            wrongs.column(line, column.name(), what);
            sound = false;
        };
        let is_address = matches!(column, Column::Attribute(name) if name == "address");
        if field.contains(['\r', '\n']) && !is_address {
            wrong("holds a line break: is a quotation mark missing, or one too many?");
        }
        match column {
            Column::Email => field.clone_into(&mut draft.email),
            Column::Username => draft.username = Some(field.to_owned()),
            Column::Groups => {
                let names = field.split(';').map(str::trim);
                let names = names.filter(|name| !name.is_empty());
                draft.groups = Some(names.map(str::to_owned).collect());
            }
            Column::Resend => match field.to_ascii_lowercase().as_str() {
                "" | "false" | "no" | "0" => draft.resend = Some(false),
                "true" | "yes" | "1" => draft.resend = Some(true),
                _ => wrong("must be true or false"),
            },
            Column::Attribute(name) => {
                if let Err(rule) = Invitation::check_value(name, field) {
                    wrong(&rule.to_string());
                }
                attributes.insert(name.clone(), Value::from(field));
            }
        }
    }
    if !sound {
        return None;
    }
    draft.attributes = Some(Value::Object(attributes));
    Invitation::new(draft)
        .map_err(|wrong| wrongs.column(line, wrong.field, &wrong.rule.to_string()))
        .ok()
}

/// Whom earlier lines name.
#[derive(Default)]
pub(super) struct Seen {
    addresses: HashMap<String, u64>,
    usernames: HashMap<String, u64>,
}

impl Seen {
    pub(super) fn check(&mut self, invitation: &Invitation, line: u64, wrongs: &mut Wrongs) {
        let email = invitation.email.to_lowercase();
        if let Some(first) = self.addresses.insert(email, line) {
            let what = format!("the same address as on line {first}: remove one of the two");
            wrongs.column(line, "email", &what);
        }
        let username = invitation.username.as_ref();
        let username = username.map(|name| name.reveal().to_owned());
        if let Some(first) = username.and_then(|name| self.usernames.insert(name, line)) {
            let what = format!("the same name as on line {first}: a name is for one person");
            wrongs.column(line, "username", &what);
        }
    }
}
