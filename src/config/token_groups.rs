//! The groups that only a token has: `groups.in_token`.

use std::collections::BTreeSet;

use super::group_rules::{Condition, GroupRule};
use super::reader::Reader;
use crate::event::GroupName;

const KEY: &str = "groups.in_token";

/// The part of `groups.default` and `groups.rules` that a `PreTokenGeneration` trigger gives, and
/// that is never written to the user pool.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenGroups {
    pub default: Vec<GroupName>,
    /// Never on an app client: a token does not name the one of the sign-up.
    pub rules: Vec<GroupRule>,
}

impl TokenGroups {
    pub(crate) fn contains(&self, group: &GroupName) -> bool {
        let mut rules = self.rules.iter();
        self.default.contains(group) || rules.any(|rule| rule.groups.contains(group))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.default.is_empty() && self.rules.is_empty()
    }

    /// Takes the groups of `groups.in_token` out of `default` and `rules`.
    pub(super) fn take(
        read: &mut Reader<'_>,
        names: &[GroupName],
        privileged: &BTreeSet<GroupName>,
        default: &mut Vec<GroupName>,
        rules: &mut Vec<GroupRule>,
    ) -> Self {
        let is_token = |group: &GroupName| names.contains(group);
        let mut taken = Self {
            default: default.extract_if(.., |group| is_token(group)).collect(),
            rules: rules
                .iter()
                .filter_map(|rule| rule.only(is_token))
                .collect(),
        };
        *rules = rules
            .iter()
            .filter_map(|rule| rule.only(|group| !is_token(group)))
            .collect();
        let is_complete = read.is_valid("groups.default") && read.is_valid("groups.rules");
        for group in names.iter().filter(|_| is_complete) {
            if let Some(why) = taken.fault(group, privileged) {
                read.reject(KEY, format!("{group} {why}"));
            }
        }
        taken.rules.retain(|rule| !rule.asks_for_client());
        taken
    }

    fn fault(&self, group: &GroupName, privileged: &BTreeSet<GroupName>) -> Option<&'static str> {
        let mut rules = self.rules.iter().filter(|rule| rule.groups.contains(group));
        if privileged.contains(group) {
            return Some("is privileged: only the user pool gives it");
        }
        if rules.clone().any(GroupRule::asks_for_client) {
            return Some(
                "is given by a rule on client_id, and a token does not name the app client of \
                 the sign-up",
            );
        }
        let is_given = self.default.contains(group) || rules.next().is_some();
        (!is_given).then_some("is in no groups.default and no rule, so nothing gives it")
    }
}

impl GroupRule {
    /// The rule for those of its groups that `is_kept` keeps; `None` without any.
    fn only(&self, is_kept: impl Fn(&GroupName) -> bool) -> Option<Self> {
        let groups = self.groups.iter().filter(|group| is_kept(group));
        let groups: Vec<GroupName> = groups.cloned().collect();
        (!groups.is_empty()).then(|| Self {
            groups,
            ..self.clone()
        })
    }

    pub(crate) fn asks_for_client(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|condition| matches!(condition, Condition::ClientId(_)))
    }
}
