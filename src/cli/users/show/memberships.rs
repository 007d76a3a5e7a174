//! The groups that a user has or should have, each with what says so.

use serde::Serialize;

use crate::admin::UserView;
use crate::config::{GroupName, GroupsConfig};
use crate::event::{PoolId, Scope};
use crate::provision::group_sources;

use super::repair::sign_up;

/// One group.
#[derive(Debug, Serialize)]
pub(super) struct GroupLine {
    pub(super) group: String,
    pub(super) state: GroupState,
    /// The parts of the configuration that give it; empty if none does now.
    pub(super) sources: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GroupState {
    Has,
    Missing,
    /// The user is not in the group, and only a rule on the app client would give it.
    NotJudged,
}

#[derive(Debug)]
pub(super) struct Memberships {
    pub(super) lines: Vec<GroupLine>,
    pub(super) missing: Vec<GroupName>,
}

impl Memberships {
    /// By the configuration and the attributes of today.
    pub(super) fn new(config: &GroupsConfig, pool: &PoolId, view: &UserView) -> Self {
        let sources = group_sources(config, &sign_up(pool, &view.user, Scope::Full));
        let given = sources.iter().map(|source| source.group);
        let mut groups: Vec<&GroupName> = Vec::new();
        for group in given.chain(&view.groups) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        let (mut lines, mut missing) = (Vec::new(), Vec::new());
        for group in groups {
            let of_group = || sources.iter().filter(|source| source.group == group);
            let state = if view.groups.contains(group) {
                GroupState::Has
            } else if of_group().any(|source| !source.depends_on_client()) {
                missing.push(group.clone());
                GroupState::Missing
            } else {
                GroupState::NotJudged
            };
            lines.push(GroupLine {
                group: group.as_str().to_owned(),
                state,
                sources: of_group().map(ToString::to_string).collect(),
            });
        }
        Self { lines, missing }
    }

    pub(super) fn has(&self, state: GroupState) -> bool {
        self.lines.iter().any(|line| line.state == state)
    }
}

impl GroupState {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Has => "has",
            Self::Missing => "missing",
            Self::NotJudged => "not judged",
        }
    }
}
