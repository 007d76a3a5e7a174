//! The groups that a user has or should have, each with what says so.

use serde::Serialize;

use crate::admin::UserView;
use crate::config::{GroupName, GroupsConfig};
use crate::event::SignUp;
use crate::provision::group_sources;

/// One group.
#[derive(Debug, Serialize)]
pub(crate) struct GroupLine {
    pub(crate) group: GroupName,
    pub(crate) state: GroupState,
    /// The parts of the configuration that give it; empty if none does now.
    pub(crate) sources: Vec<String>,
}

impl GroupLine {
    /// What gives the group, in words.
    pub(crate) fn given_by(&self) -> String {
        if self.sources.is_empty() {
            "no rule gives it".to_owned()
        } else {
            self.sources.join(", ")
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupState {
    Member,
    Missing,
    /// Only tokens have the group: no one is added to it.
    InToken,
    /// The user is not in the group, and only a rule on the app client would give it.
    NotEvaluated,
}

impl GroupState {
    /// In words; `is_queued` says that a sign-up which gives it was just queued.
    pub(crate) fn describe(self, is_queued: bool) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Missing if is_queued => "missing, queued",
            Self::Missing => "missing",
            Self::InToken => "in tokens",
            Self::NotEvaluated => "not evaluated",
        }
    }
}

/// By the configuration and the attributes of today, which `sign_up` has.
pub(super) fn group_lines(
    config: &GroupsConfig,
    sign_up: &SignUp,
    view: &UserView,
) -> Vec<GroupLine> {
    let token = &config.in_token;
    let token_sources = group_sources(&token.default, &token.rules, sign_up);
    let is_in_token = |group: &GroupName| token_sources.iter().any(|source| source.group == group);
    let mut sources = group_sources(&config.default, &config.rules, sign_up);
    sources.extend(group_sources(&token.default, &token.rules, sign_up));
    let given = sources.iter().map(|source| source.group);
    let mut groups: Vec<&GroupName> = Vec::new();
    for group in given.chain(&view.groups) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let line = |group: &GroupName| {
        let of_group = || sources.iter().filter(|source| source.group == group);
        let state = if view.groups.contains(group) {
            GroupState::Member
        } else if is_in_token(group) {
            GroupState::InToken
        } else if of_group().any(|source| !source.depends_on_client()) {
            GroupState::Missing
        } else {
            GroupState::NotEvaluated
        };
        GroupLine {
            group: group.clone(),
            state,
            sources: of_group().map(ToString::to_string).collect(),
        }
    };
    groups.into_iter().map(line).collect()
}
