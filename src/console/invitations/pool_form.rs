//! The form for one user pool: its fields and groups, and what they make of a request.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::field::{FormField, fields};
use super::pool::{not_read, pool_of};
use crate::aws::{InvitationSettings, PoolGroup};
use crate::console::caller::Caller;
use crate::console::form::Form;
use crate::console::page::{Refusal, View};
use crate::console::state::Console;
use crate::event::{Invitation, InvitationDraft, PoolId};
use crate::retry::retry_inline;
use crate::text::plural;
use crate::users::{ListedGroups, Row, RowError};

/// The id of the group boxes.
pub(super) const GROUPS_ID: &str = "groups";
/// Pages of 60 groups.
const MAX_GROUP_PAGES: usize = 5;

#[derive(Debug)]
pub(super) struct PoolForm {
    pub(super) pool: PoolId,
    pub(super) settings: InvitationSettings,
    pub(super) fields: Vec<FormField>,
    pub(super) listed: ListedGroups,
    /// Those of the listed groups that an administrator may give.
    pub(super) groups: Vec<PoolGroup>,
}

/// A field that is not valid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FormError {
    /// The id on the page; empty if it is none of the fields.
    pub(super) id: String,
    pub(super) label: String,
    pub(super) rule: String,
}

impl FormError {
    pub(super) fn of_groups(rule: String) -> Self {
        Self {
            id: GROUPS_ID.to_owned(),
            label: "Groups".to_owned(),
            rule,
        }
    }
}

impl PoolForm {
    /// # Errors
    /// Also where a new user would get no profile.
    pub(super) async fn read(
        console: &Console,
        caller: &Caller,
        form: &Form,
    ) -> Result<Self, Refusal> {
        let services = &console.services;
        let pool = pool_of(console, caller, form)?;
        if let Err(invalid) = services.profiles() {
            let detail = format!("A user would get no profile: {invalid}");
            let refusal = Refusal::new(StatusCode::CONFLICT, "No one can be invited", detail);
            return Err(refusal.with_next(View::Invitations.path(), View::Invitations.name()));
        }
        let cognito = services.cognito();
        let settings = retry_inline(|| cognito.invitation_settings(&pool)).await;
        let settings = settings.map_err(not_read)?;
        let (mut groups, mut token) = (Vec::new(), None);
        for _ in 0..MAX_GROUP_PAGES {
            let page = retry_inline(|| cognito.list_groups(&pool, token.as_deref())).await;
            let page = page.map_err(not_read)?;
            groups.extend(page.items);
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        let listed = ListedGroups {
            names: groups.iter().map(|group| group.name.clone()).collect(),
            is_complete: token.is_none(),
        };
        groups.retain(|group| services.config.admin.grantable.allows(&group.name));
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            pool,
            fields: fields(&settings),
            settings,
            listed,
            groups,
        })
    }

    /// How long a code is valid, in words.
    pub(super) fn code_days(settings: &InvitationSettings) -> String {
        let days = settings.code_lifetime.as_secs() / (24 * 60 * 60);
        plural(days, "day")
    }

    /// The invitation that was typed, or all that is wrong with the fields.
    pub(super) fn invitation(&self, form: &Form) -> Result<Invitation, Vec<FormError>> {
        let mut errors = Vec::new();
        let mut attributes = Map::new();
        for field in &self.fields {
            let typed = field.value(form);
            if let Err(rule) = field.check(&typed) {
                errors.push(FormError {
                    id: field.name.clone(),
                    label: field.label.clone(),
                    rule,
                });
            } else if !typed.is_empty() {
                let value = field.attribute_value(typed);
                attributes.insert(field.name.clone(), Value::String(value));
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut take = |name: &str| match attributes.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let draft = InvitationDraft {
            email: take("email").unwrap_or_default(),
            username: take("username"),
            attributes: Some(Value::Object(attributes)),
            groups: Some(form.all("group").map(str::to_owned).collect()),
            ..InvitationDraft::default()
        };
        Invitation::new(draft).map_err(|invalid| {
            let rule = invalid.rule.to_string();
            vec![match invalid.field {
                "groups" => FormError::of_groups(rule),
                _ => FormError {
                    id: String::new(),
                    label: "Attributes".to_owned(),
                    rule,
                },
            }]
        })
    }

    /// The values of a file that break the schema.
    pub(super) fn check_rows(&self, rows: &[Row]) -> Vec<RowError> {
        let mut errors = Vec::new();
        for row in rows {
            for (column, rule) in self.check_row(&row.invitation) {
                errors.push(RowError {
                    line: row.line.unwrap_or_default(),
                    column: Some(column.to_owned()),
                    rule,
                });
            }
        }
        errors
    }

    /// Attributes that the schema requires may be missing: the person is asked for them later.
    fn check_row<'a>(&self, invitation: &'a Invitation) -> Vec<(&'a str, String)> {
        let find = |name: &str| self.fields.iter().find(|field| field.name == name);
        let mut errors = Vec::new();
        if find("username").is_some_and(|it| it.is_required) && invitation.username.is_none() {
            errors.push(("username", "is required in this user pool".to_owned()));
        }
        for (name, value) in &invitation.attributes {
            let rule = match find(name) {
                Some(field) => field.check_stored(value).err(),
                None if name.starts_with("custom:") => {
                    Some("does not exist in this user pool".to_owned())
                }
                None => None,
            };
            errors.extend(rule.map(|rule| (name.as_str(), rule)));
        }
        errors
    }
}
