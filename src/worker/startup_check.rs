//! Finds a missing table or user pool at the start. Otherwise a deployment with a wrong name
//! would be ready until the first sign-up.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::Services;
use crate::aws::{Class, Cognito, Failure, ProfileTable};
use crate::config::InvalidConfig;
use crate::event::{GroupName, PoolId};
use crate::reason::Reason;
use crate::telemetry::Health;

/// Pause between two checks while something is missing.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
const CHECK_COMPONENT: &str = "startup check";
const TABLE_COMPONENT: &str = "profile table";
/// Its existence does not matter: the call shows whether the pool exists.
const ANY_GROUP: &str = "usher";

#[derive(Debug)]
pub(super) struct StartupCheck {
    table: Option<ProfileTable>,
    cognito: Cognito,
    pools: Vec<PoolId>,
}

impl StartupCheck {
    pub(super) fn new(services: &Services) -> Result<Self, InvalidConfig> {
        Ok(Self {
            table: services.profiles()?,
            cognito: services.cognito(),
            pools: services.config.pools.allowed.iter().cloned().collect(),
        })
    }

    /// Keeps the process unready until each was looked up once, and while one of them does not
    /// exist. Ends once all of them exist, or with `stop`. A denied call shows nothing, and any
    /// other failure is repeated.
    pub(super) fn start(self, health: Health, stop: CancellationToken) {
        health.set_unready(CHECK_COMPONENT, "starting: table and pools are looked up");
        tokio::spawn(self.run(health, stop));
    }

    async fn run(self, health: Health, stop: CancellationToken) {
        loop {
            let check = async {
                let mut is_complete = true;
                if let Some(table) = &self.table {
                    let result = table.key_schema().await.map(|_| ());
                    is_complete &= report(&health, TABLE_COMPONENT, result);
                }
                for pool in &self.pools {
                    is_complete &= report(&health, pool.as_str(), self.find_pool(pool).await);
                }
                is_complete
            };
            let is_complete = tokio::select! {
                is_complete = check => is_complete,
                () = stop.cancelled() => return,
            };
            health.clear_unready(CHECK_COMPONENT);
            if is_complete {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn find_pool(&self, pool: &PoolId) -> Result<(), Failure> {
        match GroupName::new(ANY_GROUP) {
            Some(group) => self.cognito.has_group(pool, &group).await.map(|_| ()),
            None => Ok(()),
        }
    }
}

/// Sets or clears the readiness of one resource; false if it has to be looked up again.
fn report(health: &Health, component: &str, result: Result<(), Failure>) -> bool {
    match result {
        Err(failure) if matches!(failure.reason, Reason::TableNotFound | Reason::PoolNotFound) => {
            tracing::error!(error = %failure, "a resource of the configuration does not exist");
            health.set_unready(component, format!("missing: {failure}"));
            false
        }
        // Denied: no later call shows more.
        Err(failure) => failure.class == Class::Systemic,
        Ok(()) => {
            health.clear_unready(component);
            true
        }
    }
}
