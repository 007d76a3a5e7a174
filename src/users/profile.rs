//! The profile of the user: under the `sub`, under another id, or missing.

use serde::{Serialize, Serializer};
use tokio_util::sync::CancellationToken;

use super::OnProgress;
use crate::app::Services;
use crate::config::InvalidConfig;
use crate::event::PoolId;
use crate::reconcile::{ProfileState, ReconcilePlan, SingleUser};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Profile {
    Exists,
    Missing,
    /// `profiles.enabled` is false.
    Off,
    UnderAnotherId,
    /// There is none under the `sub`. For this cause it is not known whether one is under
    /// another id.
    NotKnown(String),
}

impl Profile {
    /// Looks for a missing profile under other ids, as reconcile does.
    pub(super) async fn find(
        services: &Services,
        pool: &PoolId,
        user: &mut SingleUser,
        stop: &CancellationToken,
        on_progress: OnProgress<'_>,
    ) -> Result<Self, InvalidConfig> {
        let Some(table) = services.profiles()? else {
            return Ok(Self::Off);
        };
        let search = ReconcilePlan::choose_search(&services.config, None, false);
        let mut pages = 0;
        while user.profile() == ProfileState::Missing {
            let searched = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Self::NotKnown("stopped".to_owned())),
                searched = user.search(&search, &table, pool) => searched,
            };
            match searched {
                Ok(true) => break,
                Ok(false) => pages += 1,
                Err(failure) => return Ok(Self::NotKnown(failure.to_string())),
            }
            on_progress(pages, "pages of the profile table");
        }
        Ok(match user.profile() {
            ProfileState::Present => Self::Exists,
            ProfileState::OtherId => Self::UnderAnotherId,
            ProfileState::Missing => Self::Missing,
        })
    }

    /// In words; `is_queued` says that a sign-up which writes it was just queued.
    pub(crate) fn describe(&self, is_queued: bool) -> String {
        let words = match self {
            Self::Exists => "exists",
            Self::Missing if is_queued => "missing, queued",
            Self::Missing => "missing",
            Self::Off => "off (profiles.enabled = false)",
            Self::UnderAnotherId => "under another id than the sub",
            Self::NotKnown(cause) => {
                return format!(
                    "not found under the sub; the search under other ids failed: {cause}"
                );
            }
        };
        words.to_owned()
    }

    /// Why it is not known whether there is one.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::NotKnown(cause) => Some(cause),
            _ => None,
        }
    }

    /// Whether there is none under the `sub`, where usher writes it.
    pub(super) fn is_missing(&self) -> bool {
        !matches!(self, Self::Exists | Self::Off)
    }
}

/// As its code. [`Profile::error`] is beside it.
impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Exists => "exists",
            Self::Missing => "missing",
            Self::Off => "off",
            Self::UnderAnotherId => "under_another_id",
            Self::NotKnown(_) => "not_known",
        })
    }
}
