//! The groups of users, and the check of privileged groups.

use std::collections::BTreeSet;

use super::group_rules::{self, GroupRule};
use super::reader::Reader;
use super::token_groups::TokenGroups;
use crate::event::GroupName;

#[derive(Debug, Clone)]
pub(crate) struct GroupsConfig {
    /// The groups that every user is added to.
    pub default: Vec<GroupName>,
    /// Further groups that users are added to, by conditions on the event.
    pub rules: Vec<GroupRule>,
    /// The groups that are in tokens and never written.
    pub in_token: TokenGroups,
    /// Groups that give power, including those of `admin.groups`.
    pub privileged: BTreeSet<GroupName>,
    /// Whether to create a group that does not exist.
    pub create_missing: bool,
}

/// `admins` are privileged like the groups of `groups.privileged`.
pub(super) fn read(read: &mut Reader<'_>, admins: &BTreeSet<GroupName>) -> GroupsConfig {
    let mut privileged: BTreeSet<GroupName> =
        read_names(read, "groups.privileged").into_iter().collect();
    privileged.extend(admins.iter().cloned());
    let mut default = read_names(read, "groups.default");
    for group in default.iter().filter(|group| privileged.contains(group)) {
        read.reject(
            "groups.default",
            format!(
                "{group} is privileged (groups.privileged, admin.groups) and cannot be given to everyone"
            ),
        );
    }
    let mut rules = group_rules::read(read, &privileged);
    let names = read_names(read, "groups.in_token");
    let in_token = TokenGroups::take(read, &names, &privileged, &mut default, &mut rules);
    GroupsConfig {
        default,
        rules,
        in_token,
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
                format!(
                    "{name}: wildcards are allowed only in admin.grantable_groups; name each group"
                ),
            ),
            Some(name) => names.push(name),
            None => read.reject(key, format!("{name:?}: {}", GroupName::RULE)),
        }
    }
    names
}
