//! Adds users to groups, and never removes them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::{Outcome, Retry};
use crate::aws::{Class, Cognito, Failure};
use crate::cache::Cache;
use crate::config::GroupName;
use crate::event::{PoolId, Username};
use crate::reason::Reason;
use crate::retry::{Transient, retry_inline};

/// Filled once the group is created; other tasks wait meanwhile.
type Creation = Arc<OnceCell<Instant>>;

/// When a group was last looked up, and whether it existed.
type CachedExistence = Arc<Mutex<Option<(Instant, bool)>>>;

/// A group that is reported missing later than this after its creation was deleted:
/// consistency lag is shorter.
const GROUP_CREATION_LAG: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct GroupStep {
    cognito: Cognito,
    create_missing: bool,
    /// Groups that this process has created, or found created. The first sign-ups of a new
    /// group come in a burst, and one `CreateGroup` is enough for them.
    created: Cache<(PoolId, GroupName), Creation>,
    /// Results of `GetGroup`: invitations come by hundreds, and it is limited to 5 calls a
    /// second for one pool.
    existence: Cache<(PoolId, GroupName), CachedExistence>,
}

/// How long a group that was found is taken to exist.
const EXISTING_GROUP_TTL: Duration = Duration::from_mins(1);
/// How long a missing group is taken to be missing: someone may be creating it.
const MISSING_GROUP_TTL: Duration = Duration::from_secs(5);
const MAX_CACHED_GROUPS: usize = 1024;

impl GroupStep {
    pub(super) fn new(cognito: Cognito, create_missing: bool) -> Self {
        Self {
            cognito,
            create_missing,
            created: Cache::new(MAX_CACHED_GROUPS),
            existence: Cache::new(MAX_CACHED_GROUPS),
        }
    }

    /// Whether the group exists; the result may be a minute old.
    pub(super) async fn exists(&self, pool: &PoolId, group: &GroupName) -> Result<bool, Failure> {
        let key = (pool.clone(), group.clone());
        let cached = self.existence.get_or_insert(&key, Arc::default);
        // One task looks the group up, and others wait only if they ask for the same group.
        let mut cached = cached.lock().await;
        if let Some((at, exists)) = *cached
            && at.elapsed()
                < if exists {
                    EXISTING_GROUP_TTL
                } else {
                    MISSING_GROUP_TTL
                }
        {
            return Ok(exists);
        }
        let exists = self.cognito.has_group(pool, group).await?;
        *cached = Some((Instant::now(), exists));
        Ok(exists)
    }

    /// Adds the user to the groups one after the other: Cognito allows ten writes a second for
    /// one user.
    pub(super) async fn ensure(
        &self,
        pool: &PoolId,
        username: &Username,
        groups: &[GroupName],
    ) -> Outcome {
        let mut outcome = Outcome::Done;
        for group in groups {
            if let Err(failure) = self.add(pool, username, group).await {
                let of_this_group =
                    failure.reason == Reason::GroupNotFound || failure.class == Class::Permanent;
                outcome = outcome.and(self.outcome_of(failure));
                if !of_this_group {
                    // The other groups would fail alike.
                    break;
                }
            }
        }
        outcome
    }

    fn outcome_of(&self, failure: Failure) -> Outcome {
        if failure.reason == Reason::GroupNotFound && !self.create_missing {
            // Someone has to create the group, which takes longer than consistency lag.
            Outcome::Retry(Retry::new(failure.into()))
        } else {
            failure.into()
        }
    }

    async fn add(
        &self,
        pool: &PoolId,
        username: &Username,
        group: &GroupName,
    ) -> Result<(), Failure> {
        let add = || self.cognito.add_to_group(pool, username, group);
        match retry_inline(add).await {
            Err(failure) if failure.reason == Reason::GroupNotFound && self.create_missing => {
                self.create(pool, group).await?;
                // The new group may not be visible everywhere yet.
                retry_inline(|| async { add().await.map_err(RetryIfGroupMissing) })
                    .await
                    .map_err(|RetryIfGroupMissing(failure)| failure)
            }
            result => result,
        }
    }

    async fn create(&self, pool: &PoolId, group: &GroupName) -> Result<(), Failure> {
        let key = (pool.clone(), group.clone());
        let cell = self.created.get_or_insert(&key, Arc::default);
        let created_at = cell
            .get_or_try_init(|| async {
                retry_inline(|| self.cognito.create_group(pool, group))
                    .await
                    .map(|_| Instant::now())
            })
            .await?;
        if created_at.elapsed() > GROUP_CREATION_LAG {
            // The next attempt creates it again.
            self.created.remove(&key);
        }
        Ok(())
    }
}

/// A failure right after `CreateGroup`, when a missing group is only not visible yet.
struct RetryIfGroupMissing(Failure);

impl Transient for RetryIfGroupMissing {
    fn is_transient(&self) -> bool {
        self.0.is_transient() || self.0.reason == Reason::GroupNotFound
    }
}
