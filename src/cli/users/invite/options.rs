//! The options of `usher users invite`, with the checks that clap cannot make.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::file;
use super::results::default_path;
use crate::cli::{Usage, arguments};
use crate::event::{Invitation, InvitationDraft};
use crate::users::Row;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("whom").required(true).args(["email", "file"])))]
#[command(after_long_help = "Examples:
  usher users invite --email ada@example.com --group STAFF
  usher users invite --email ada@example.com --resend
  usher users invite --file people.csv --dry-run")]
pub(in crate::cli) struct Options {
    /// User pool [default: the one in pools.allowed]
    #[arg(long, value_name = "ID")]
    pub(super) pool: Option<String>,
    /// E-mail address of the user
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// User name, in pools where it is not the e-mail address
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    username: Option<String>,
    /// Given name
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    given_name: Option<String>,
    /// Family name
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    family_name: Option<String>,
    /// User attribute, such as custom:plan=pro; repeatable
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "file")]
    attribute: Vec<String>,
    /// Existing group, besides those of the configuration; repeatable
    #[arg(long, value_name = "GROUP", conflicts_with = "file")]
    group: Vec<String>,
    /// Send the mail again if the user was invited before; otherwise invite
    #[arg(long, conflicts_with = "file")]
    resend: bool,
    /// Read many users from a CSV file with a column email; optional columns: username, groups
    /// (separated by ;), resend (true or false), given_name and other attributes
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Results file: rows that it lists as done are skipped [default: FILE.results.jsonl]
    #[arg(long, value_name = "FILE", conflicts_with = "email")]
    results: Option<PathBuf>,
    /// Process rows again that are done
    #[arg(long, conflicts_with = "email")]
    pub(super) force: bool,
    /// Check the rows and their groups, show what would be done, and send nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Give up after this long without a successful call
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = arguments::parse_wait)]
    pub(super) give_up_after: Duration,
}

impl Options {
    /// The invitations of the file or of the flags, all checked.
    pub(super) fn rows(&self) -> anyhow::Result<Vec<Row>> {
        if let Some(path) = &self.file {
            return file::read(path);
        }
        Ok(vec![Row {
            line: None,
            invitation: self.invitation()?,
        }])
    }

    pub(super) fn results_path(&self) -> Option<PathBuf> {
        let file = self.file.as_ref()?;
        Some(self.results.clone().unwrap_or_else(|| default_path(file)))
    }

    /// Errors name the flag and never the value.
    fn invitation(&self) -> anyhow::Result<Invitation> {
        let mut attributes = Map::new();
        for given in &self.attribute {
            let (name, value) = given
                .split_once('=')
                .filter(|(name, _)| Invitation::may_set_attribute(name))
                .ok_or_else(|| {
                    Usage::error(
                        "--attribute: write NAME=VALUE, with a standard attribute such as \
                         given_name (but not sub, email or email_verified) or a custom:… one",
                    )
                })?;
            if attributes.insert(name.to_owned(), value.into()).is_some() {
                return Err(Usage::error(format!("--attribute {name} is given twice")));
            }
        }
        let draft = InvitationDraft {
            email: self.email.clone().unwrap_or_default(),
            username: self.username.clone(),
            given_name: self.given_name.clone(),
            family_name: self.family_name.clone(),
            attributes: Some(Value::Object(attributes)),
            groups: Some(self.group.clone()),
            resend: Some(self.resend),
        };
        Invitation::new(draft).map_err(|error| {
            let flag = match error.field {
                "givenName" => "given-name",
                "familyName" => "family-name",
                "attributes" => "attribute",
                "groups" => "group",
                field => field,
            };
            Usage::error(format!("--{flag}: {}", error.rule))
        })
    }
}
