//! The user pool and the groups that a command names.

use super::{MissingSetting, Usage};
use crate::config::{Config, GroupName};
use crate::event::PoolId;

pub(super) const NO_POOL: &str =
    "pools.allowed is empty: set it, or name the user pool with --pool";

/// The given pool, or the only one of `pools.allowed`.
pub(super) fn pool(given: Option<&str>, config: &Config) -> anyhow::Result<PoolId> {
    let Some(id) = given else {
        let mut allowed = config.pools.allowed.iter();
        return match (allowed.next(), allowed.next()) {
            (Some(pool), None) => Ok(pool.clone()),
            (None, _) => Err(MissingSetting(NO_POOL).into()),
            _ => Err(Usage::error(
                "pools.allowed names several user pools: choose one with --pool",
            )),
        };
    };
    let pool = pool_id(id)?;
    if !config.pools.is_allowed(&pool) {
        return Err(Usage::error(format!(
            "--pool {id} is not in pools.allowed: add it there, or name one that is"
        )));
    }
    Ok(pool)
}

/// The value of `--pool`.
pub(super) fn pool_id(id: &str) -> anyhow::Result<PoolId> {
    PoolId::new(id).ok_or_else(|| Usage::error("--pool: not the id of a user pool"))
}

/// The values of `--group`, each once.
pub(super) fn groups(given: &[String]) -> anyhow::Result<Vec<GroupName>> {
    let mut groups = Vec::new();
    for name in given {
        let group =
            GroupName::parse(name).map_err(|rule| Usage::error(format!("--group: {rule}")))?;
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(groups)
}
