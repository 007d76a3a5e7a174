//! Whether anybody forwards sign-ups.

use super::Findings;
use crate::attach::{Settings, Slot};
use crate::aws::PoolSettings;
use crate::event::PoolId;

impl Findings {
    /// Which function is the pool's trigger. Whether it is usher's, its ARN does not tell.
    pub(super) async fn trigger(&mut self, settings: &PoolSettings, pool: &PoolId) {
        let what = format!("PostConfirmation trigger of {pool}");
        let settings = match settings.read(pool).await {
            Ok(pool) => Settings {
                pool,
                ..Settings::default()
            },
            Err(refused) => return self.unknown(&what, &refused.failure),
        };
        match Slot::PostConfirmation.function(&settings.triggers()) {
            Some(function) => self.right(&what, function.to_owned()),
            // Something else may feed the queue.
            None => self.untested(&what, "none: usher attach sets it"),
        }
    }
}
