//! The groups of users, the rules that give them, and the check of privileged groups.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::reader::Reader;
use crate::event::GroupName;

#[derive(Debug, Clone)]
pub(crate) struct GroupsConfig {
    /// The groups of every user.
    pub default: Vec<GroupName>,
    /// Further groups, by conditions on the event.
    pub rules: Vec<GroupRule>,
    /// Groups that give power, including those of `admin.groups`.
    pub privileged: BTreeSet<GroupName>,
    /// Whether to create a group that does not exist.
    pub create_missing: bool,
}

/// Groups for users who fulfil every condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRule {
    /// Never empty.
    pub groups: Vec<GroupName>,
    /// Never empty; all must hold.
    pub conditions: Vec<Condition>,
}

/// One condition of a group rule on the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The verified e-mail address has this domain, in lower case.
    EmailDomain(String),
    /// A user attribute has exactly this value; `email` and `phone_number` only when they
    /// are verified.
    Attribute {
        /// Name of the attribute, such as `custom:plan`.
        name: String,
        /// The value, compared byte for byte.
        equals: String,
    },
    /// The user signed up through this app client.
    ClientId(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default)]
    groups: Vec<String>,
    email_domain: Option<String>,
    attribute: Option<String>,
    equals: Option<String>,
    client_id: Option<String>,
    #[serde(default)]
    trusted: bool,
}

/// `admins` are privileged like the groups of `groups.privileged`.
pub(super) fn read(read: &mut Reader<'_>, admins: &BTreeSet<GroupName>) -> GroupsConfig {
    let mut privileged: BTreeSet<GroupName> =
        read_names(read, "groups.privileged").into_iter().collect();
    privileged.extend(admins.iter().cloned());
    let default = read_names(read, "groups.default");
    for group in default.iter().filter(|group| privileged.contains(group)) {
        read.reject(
            "groups.default",
            format!(
                "{group} is privileged (groups.privileged, admin.groups) and cannot be given to everybody"
            ),
        );
    }
    GroupsConfig {
        default,
        rules: read_rules(read, &privileged),
        privileged,
        create_missing: read.boolean("groups.create_missing"),
    }
}

pub(super) fn read_names(read: &mut Reader<'_>, key: &str) -> Vec<GroupName> {
    let mut names = Vec::new();
    for name in read.list(key) {
        match GroupName::new(&name) {
            Some(name) if names.contains(&name) => {}
            Some(name) if name.as_str().contains('*') => read.reject(
                key,
                format!("{name}: wildcards are for admin.grantable_groups; name each group"),
            ),
            Some(name) => names.push(name),
            None => read.reject(key, format!("{name:?}: {}", GroupName::RULE)),
        }
    }
    names
}

fn read_rules(read: &mut Reader<'_>, privileged: &BTreeSet<GroupName>) -> Vec<GroupRule> {
    const RULES_KEY: &str = "groups.rules";
    let Some(entries) = read.value(RULES_KEY).and_then(toml::Value::as_array) else {
        read.reject(
            RULES_KEY,
            "must be a list of tables, written [[groups.rules]]",
        );
        return Vec::new();
    };
    let mut rules = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let checked = entry
            .clone()
            .try_into::<RawRule>()
            .map_err(|error| vec![error.message().to_owned()])
            .and_then(|raw| check_rule(raw, privileged));
        match checked {
            Ok(rule) => rules.push(rule),
            Err(errors) => {
                for error in errors {
                    read.reject(RULES_KEY, format!("rule {}: {error}", index + 1));
                }
            }
        }
    }
    rules
}

fn check_rule(raw: RawRule, privileged: &BTreeSet<GroupName>) -> Result<GroupRule, Vec<String>> {
    let mut errors = Vec::new();
    let mut groups = Vec::new();
    for name in raw.groups {
        match GroupName::new(&name) {
            Some(group) => {
                // Clients choose their app client and write their attributes, so the author
                // of the rule must confirm that the condition is safe.
                if privileged.contains(&group) && !raw.trusted {
                    errors.push(format!(
                        "{group} is privileged; a rule that gives it must say trusted = true"
                    ));
                }
                groups.push(group);
            }
            None => errors.push(format!("{name:?}: {}", GroupName::RULE)),
        }
    }
    if groups.is_empty() && errors.is_empty() {
        errors.push("groups must name at least one group".to_owned());
    }

    let mut conditions = Vec::new();
    if let Some(domain) = raw.email_domain {
        let domain = domain.trim().to_lowercase();
        if domain.is_empty() || domain.contains('@') {
            errors
                .push("email_domain is the part behind the @, such as \"example.com\"".to_owned());
        }
        conditions.push(Condition::EmailDomain(domain));
    }
    match (raw.attribute, raw.equals) {
        (Some(name), Some(equals)) if !name.is_empty() && !equals.is_empty() => {
            conditions.push(Condition::Attribute { name, equals });
        }
        (None, None) => {}
        _ => errors.push("attribute and equals go together and are not empty".to_owned()),
    }
    if let Some(id) = raw.client_id {
        if id.is_empty() {
            errors.push("client_id is empty".to_owned());
        }
        conditions.push(Condition::ClientId(id));
    }
    if conditions.is_empty() && errors.is_empty() {
        errors.push(
            "needs a condition: email_domain, attribute with equals, or client_id".to_owned(),
        );
    }
    if errors.is_empty() {
        Ok(GroupRule { groups, conditions })
    } else {
        Err(errors)
    }
}
