//! The profile of the user: under the `sub`, under another id, or missing.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::app::Services;
use crate::aws::ProfileTable;
use crate::cli::progress_bar;
use crate::event::PoolId;
use crate::reconcile::{OtherIdSearch, ProfileState, ReconcilePlan, SingleUser};

#[derive(Debug)]
pub(super) struct Profile {
    pub(super) state: State,
    /// Whether a missing profile may be under another id, and why that is not known.
    pub(super) unknown: Option<Unknown>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Yes,
    Missing,
    /// `profiles.enabled` is false.
    Off,
    UnderAnotherId,
}

/// Why profiles under other ids are not known.
#[derive(Debug)]
pub(super) enum Unknown {
    /// No attribute names the owner of a profile. Reconcile writes one under the `sub` then.
    NoOwner,
    /// The search was stopped, or a call failed.
    NotSearched(String),
}

impl Profile {
    /// Looks for a missing profile under other ids, as reconcile does.
    pub(super) async fn find(
        services: &Services,
        pool: &PoolId,
        user: &mut SingleUser,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let Some(table) = services.profiles()? else {
            return Ok(State::Off.into());
        };
        if user.profile() == ProfileState::Present {
            return Ok(State::Yes.into());
        }
        let kind = ReconcilePlan::choose_search(&services.config, None, false);
        let unknown = search(&kind, &table, pool, user, stop).await;
        let state = match user.profile() {
            ProfileState::Present => State::Yes,
            ProfileState::OtherId => State::UnderAnotherId,
            ProfileState::Missing => State::Missing,
        };
        Ok(Self { state, unknown })
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self.state, State::Missing | State::UnderAnotherId)
    }
}

async fn search(
    kind: &OtherIdSearch,
    table: &ProfileTable,
    pool: &PoolId,
    user: &mut SingleUser,
    stop: &CancellationToken,
) -> Option<Unknown> {
    if *kind == OtherIdSearch::None {
        return Some(Unknown::NoOwner);
    }
    let progress = progress_bar(None, "pages of the profile table");
    let unknown = loop {
        if stop.is_cancelled() {
            break Some("stopped".to_owned());
        }
        match user.search(kind, table, pool).await {
            Ok(true) => break None,
            Ok(false) => progress.inc(1),
            Err(failure) => break Some(failure.to_string()),
        }
    };
    progress.finish_and_clear();
    unknown.map(Unknown::NotSearched)
}

impl From<State> for Profile {
    fn from(state: State) -> Self {
        Self {
            state,
            unknown: None,
        }
    }
}

impl State {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Missing => "missing",
            Self::Off => "off (profiles.enabled = false)",
            Self::UnderAnotherId => "under another id than the sub",
        }
    }
}
