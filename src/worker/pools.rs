//! Which pools are ours.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::aws::Failure;
use crate::event::PoolId;

/// Pools that are known to be ours: configured, or seen to work.
///
/// With `pools.allowed` empty, anybody who can send to the queue can name a pool
/// that does not exist. Such a message is not a broken deployment: other pools
/// work.
#[derive(Debug)]
pub(super) struct KnownPools {
    all_configured: bool,
    working: Mutex<LruCache<PoolId, ()>>,
}

impl KnownPools {
    pub(super) fn new(all_configured: bool) -> Self {
        const MOST: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
        Self {
            all_configured,
            working: Mutex::new(LruCache::new(MOST)),
        }
    }

    pub(super) fn works(&self, pool: &PoolId) {
        if !self.all_configured {
            self.working().get_or_insert_ref(pool, || ());
        }
    }

    pub(super) fn is_strange(&self, pool: &PoolId) -> bool {
        if self.all_configured {
            return false;
        }
        let working = self.working();
        !working.is_empty() && !working.contains(pool)
    }

    /// Whether a failure may come from a message that names a wrong pool, which then must
    /// not keep others from being tried.
    pub(super) fn may_be_wrong(&self, failure: &Failure) -> bool {
        !self.all_configured && failure.reason == "pool_not_found"
    }

    fn working(&self) -> MutexGuard<'_, LruCache<PoolId, ()>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_strange_only_when_others_work_and_none_is_configured() {
        let pool = |id| PoolId::new(id).expect("not empty");
        let pools = KnownPools::new(false);
        assert!(
            !pools.is_strange(&pool("a")),
            "nothing works yet: the deployment may be broken"
        );
        pools.works(&pool("b"));
        assert!(pools.is_strange(&pool("a")));
        assert!(!pools.is_strange(&pool("b")));

        let configured = KnownPools::new(true);
        configured.works(&pool("b"));
        assert!(!configured.is_strange(&pool("a")));
    }
}
