//! Tracks which user pools have worked for a message.

use crate::aws::Failure;
use crate::cache::Cache;
use crate::event::PoolId;
use crate::reason::Reason;

/// Pools that have worked for a message. Not used if `pools.allowed` is set.
///
/// With `pools.allowed` empty, any sender to the queue can name a pool that does not
/// exist. While other pools work, such a message does not mean a broken deployment.
#[derive(Debug)]
pub(super) struct KnownPools {
    has_allowed_pools: bool,
    working: Cache<PoolId, ()>,
}

impl KnownPools {
    pub(super) fn new(has_allowed_pools: bool) -> Self {
        const MAX_WORKING_POOLS: usize = 256;
        Self {
            has_allowed_pools,
            working: Cache::new(MAX_WORKING_POOLS),
        }
    }

    pub(super) fn mark_working(&self, pool: &PoolId) {
        if !self.has_allowed_pools {
            self.working.get_or_insert(pool, || ());
        }
    }

    pub(super) fn is_unknown(&self, pool: &PoolId) -> bool {
        !self.has_allowed_pools && !self.working.contains(pool) && !self.working.is_empty()
    }

    /// Whether the message may name a wrong pool. It then must not block other messages.
    pub(super) fn may_be_wrong_pool(&self, failure: &Failure) -> bool {
        !self.has_allowed_pools && failure.reason == Reason::PoolNotFound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_is_unknown_only_if_others_work_and_none_is_configured() {
        let pool = |id| PoolId::new(id).expect("not empty");
        let pools = KnownPools::new(false);
        assert!(
            !pools.is_unknown(&pool("a")),
            "nothing works yet: the deployment may be broken"
        );
        pools.mark_working(&pool("b"));
        assert!(pools.is_unknown(&pool("a")));
        assert!(!pools.is_unknown(&pool("b")));

        let configured = KnownPools::new(true);
        configured.mark_working(&pool("b"));
        assert!(!configured.is_unknown(&pool("a")));
    }
}
