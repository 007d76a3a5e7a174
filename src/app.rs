//! The composition root: builds the clients and components of a process from its
//! configuration. Only the Lambda and `usher attach`, which have no such configuration, and
//! `dev` for its own endpoint create clients themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::UserLookup;
use crate::aws::{
    Aws, ClientCredentials, Cognito, MoveTasks, NoRegion, PoolSettings, ProfileTable, Queue,
    SignIn, TestProfiles,
};
use crate::config::{AcceptPage, Config};
use crate::dead_letter::DryRun;
use crate::provision::Provisioner;
use crate::quota::Quota;
use crate::reconcile::ReconcileServices;

/// The configuration of a process, and the clients that share its budgets.
#[derive(Debug, Clone)]
pub struct Services {
    /// The configuration.
    pub config: Config,
    aws: Aws,
    cognito: Cognito,
}

impl Services {
    /// With the SDK's settings from the environment.
    ///
    /// # Errors
    /// [`NoRegion`].
    pub(crate) async fn from_environment(config: Config) -> Result<Self, NoRegion> {
        Ok(Self::new(config, Aws::from_environment().await?))
    }

    /// With the SDK settings of `aws`.
    pub fn new(config: Config, aws: Aws) -> Self {
        let quota = Arc::new(Quota::new(config.quota));
        Self {
            cognito: Cognito::new(&aws, quota),
            aws,
            config,
        }
    }

    pub(crate) fn aws(&self) -> &Aws {
        &self.aws
    }

    /// A client for user pools.
    pub fn cognito(&self) -> Cognito {
        self.cognito.clone()
    }

    /// The source queue, with the configured long poll.
    pub(crate) fn queue(&self) -> Queue {
        self.queue_with_wait(self.config.queue.wait)
    }

    /// The source queue, with a long poll of `wait`.
    pub fn queue_with_wait(&self, wait: Duration) -> Queue {
        let settings = &self.config.queue;
        Queue::new(&self.aws, &settings.url, wait, settings.visibility)
    }

    /// The table of profiles; `None` if they are switched off.
    pub(crate) fn profiles(&self) -> Option<ProfileTable> {
        let settings = self.config.profiles.as_ref()?;
        Some(ProfileTable::new(&self.aws, &settings.table, &settings.key))
    }

    pub(crate) fn provisioner(&self) -> Provisioner {
        Provisioner::new(&self.config, self.cognito(), self.profiles())
    }

    pub(crate) fn user_lookup(&self) -> UserLookup {
        let profiles = self.profiles().zip(self.config.profiles.as_ref());
        UserLookup::new(self.cognito(), profiles)
    }

    /// `queue` gets the sign-ups.
    pub(crate) fn reconcile(&self, queue: Queue) -> ReconcileServices {
        ReconcileServices {
            cognito: self.cognito(),
            profiles: self.profiles(),
            queue,
        }
    }

    /// For a load test; `None` if profiles are switched off.
    pub(crate) fn test_profiles(&self) -> Option<TestProfiles> {
        let settings = self.config.profiles.as_ref()?;
        Some(TestProfiles::new(&self.aws, &settings.table, &settings.key))
    }

    pub(crate) fn dry_run(&self) -> DryRun {
        DryRun::new(&self.config, self.cognito(), self.profiles())
    }

    pub(crate) fn sign_in(&self, page: &AcceptPage) -> SignIn {
        let app_client = ClientCredentials {
            id: page.client_id.clone(),
            secret: page.client_secret.clone(),
        };
        SignIn::new(self.cognito(), app_client)
    }

    /// `queue` is the URL of a queue whose endpoint takes the calls.
    pub(crate) fn move_tasks(&self, queue: &str) -> MoveTasks {
        MoveTasks::new(&self.aws, queue)
    }

    pub(crate) fn pool_settings(&self) -> PoolSettings {
        PoolSettings::new(&self.aws)
    }
}
