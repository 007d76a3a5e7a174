//! The composition root: builds the clients and components of a process from its
//! configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::UserLookup;
use crate::aws::{
    Aws, Cognito, MoveTasks, NoRegion, PoolSettings, ProfileTable, Queue, RequestTable, SignIn,
    TestProfiles,
};
use crate::config::{AccessConfig, AppClient, Config, InvalidConfig, TriggerConfig};
use crate::dead_letter::{DryRun, RECEIVE_WAIT, resolve_dead_letter_queue};
use crate::provision::{Provisioner, RequestLog};
use crate::quota::Quota;
use crate::reconcile::ReconcileServices;
use crate::trigger::TriggerHandler;

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
    pub(crate) fn queue(&self) -> Result<Queue, InvalidConfig> {
        self.queue_with_wait(self.config.queue.wait)
    }

    /// The source queue, with a long poll of `wait`.
    ///
    /// # Errors
    /// Without `queue.url`, if the command does not require it.
    pub fn queue_with_wait(&self, wait: Duration) -> Result<Queue, InvalidConfig> {
        let url = self.config.queue.url.clone()?;
        Ok(self.queue_by_url(&url, wait))
    }

    pub(crate) fn queue_by_url(&self, url: &str, wait: Duration) -> Queue {
        Queue::new(&self.aws, url, wait, self.config.queue.visibility)
    }

    /// The dead-letter queue: the configured one, or that of the source queue's policy.
    pub(crate) async fn dead_letter_queue(&self) -> anyhow::Result<Queue> {
        if let Some(url) = &self.config.queue.dead_letter_url {
            return Ok(self.queue_by_url(url, RECEIVE_WAIT));
        }
        let source = self.queue_with_wait(RECEIVE_WAIT)?;
        Ok(resolve_dead_letter_queue(&source, None).await?.queue)
    }

    /// The table of profiles; `None` if they are switched off.
    pub(crate) fn profiles(&self) -> Result<Option<ProfileTable>, InvalidConfig> {
        let Some(settings) = &self.config.profiles else {
            return Ok(None);
        };
        let table = settings.table.clone()?;
        Ok(Some(ProfileTable::new(&self.aws, &table, &settings.key)))
    }

    /// Without `profiles.table`, it does everything that concerns no profile.
    pub(crate) fn provisioner(&self) -> Provisioner {
        Provisioner::new(&self.config, self.cognito(), self.profiles())
            .with_requests(self.request_log())
    }

    /// The table of requests; `None` if there is none.
    pub(crate) fn request_table(&self) -> Option<RequestTable> {
        let table = self.config.admin.requests_table.as_deref()?;
        Some(RequestTable::new(&self.aws, table))
    }

    pub(crate) fn request_log(&self) -> RequestLog {
        RequestLog::new(self.request_table())
    }

    pub(crate) fn user_lookup(&self) -> Result<UserLookup, InvalidConfig> {
        let profiles = self.profiles()?.zip(self.config.profiles.as_ref());
        Ok(UserLookup::new(self.cognito(), profiles))
    }

    /// `queue` gets the sign-ups.
    pub(crate) fn reconcile(&self, queue: Queue) -> Result<ReconcileServices, InvalidConfig> {
        Ok(ReconcileServices {
            cognito: self.cognito(),
            profiles: self.profiles()?,
            queue,
        })
    }

    /// For a load test; `None` if profiles are switched off.
    pub(crate) fn test_profiles(&self) -> Result<Option<TestProfiles>, InvalidConfig> {
        let profiles = self.profiles()?;
        Ok(profiles.map(|table| TestProfiles::new(&self.aws, table.name(), table.key())))
    }

    pub(crate) fn dry_run(&self) -> Result<DryRun, InvalidConfig> {
        let profiles = self.profiles()?;
        Ok(DryRun::new(&self.config, self.cognito(), profiles))
    }

    pub(crate) fn sign_in(&self, client: &AppClient) -> SignIn {
        SignIn::new(self.cognito(), client.clone())
    }

    /// `queue` is the URL of a queue whose endpoint takes the calls.
    pub(crate) fn move_tasks(&self, queue: &str) -> MoveTasks {
        MoveTasks::new(&self.aws, queue)
    }

    pub(crate) fn pool_settings(&self) -> PoolSettings {
        PoolSettings::new(&self.aws)
    }
}

/// The clients of `usher trigger attach`, which reads no configuration.
pub(crate) async fn attach_clients() -> Result<(Aws, PoolSettings), NoRegion> {
    let aws = Aws::from_environment().await?;
    let pool_settings = PoolSettings::new(&aws);
    Ok((aws, pool_settings))
}

/// The handler of the Lambda. Without `aws` or the queue's URL, each forward fails with the
/// reason.
pub fn trigger_handler(aws: Result<Aws, String>, settings: TriggerConfig) -> TriggerHandler {
    let TriggerConfig { queue_url, access } = settings;
    let aws = aws.map(Aws::for_trigger);
    let admin = access.as_ref().map(AccessConfig::admin);
    let requests_table = admin.ok().and_then(|admin| admin.requests_table.as_deref());
    let requests = aws.as_ref().ok().zip(requests_table);
    let requests = requests.map(|(aws, table)| RequestTable::new(aws, table));
    let queue = aws.and_then(|aws| {
        let url = queue_url.map_err(|invalid| invalid.to_string())?;
        Ok(Queue::send_only(&aws, &url))
    });
    TriggerHandler::new(queue, access).with_requests(RequestLog::new(requests))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::cognito::fake::fake_aws;
    use crate::config::Layers;
    use crate::event::{PoolId, Scope, SignUp, Sub, UserAttributes, Username};
    use crate::provision::Outcome;

    /// The services of a command that requires no setting.
    async fn services(flags: &[&str]) -> Services {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let config = Config::for_command(&Layers::defaults().flags(&flags), &[]).expect("valid");
        let aws = fake_aws(|operation, _| panic!("{operation} was called")).await;
        Services::new(config, aws)
    }

    #[tokio::test]
    async fn a_missing_setting_is_an_error_where_it_is_used() {
        let services = services(&[]).await;
        let profiles = services.profiles().err();
        for (error, key) in [
            (services.queue().err(), "queue.url"),
            (profiles, "profiles.table"),
            (services.user_lookup().err(), "profiles.table"),
            (services.test_profiles().err(), "profiles.table"),
            (services.dry_run().err(), "profiles.table"),
        ] {
            let InvalidConfig(violations) = error.expect("missing");
            let keys: Vec<&str> = violations.iter().map(|it| it.key.as_str()).collect();
            assert_eq!(keys, [key]);
        }
    }

    #[tokio::test]
    async fn a_provisioner_without_table_rejects_sign_ups_unless_profiles_are_off() {
        let mut sign_up = SignUp {
            pool: PoolId::new("eu-west-1_x").expect("not empty"),
            username: Username::new("ada").expect("not empty"),
            sub: Sub::new("1234"),
            client_id: None,
            attributes: UserAttributes::default(),
            scope: Scope::Full,
        };
        for scope in [Scope::Full, Scope::IfNoProfile] {
            sign_up.scope = scope;
            let provisioner = services(&["groups.default="]).await.provisioner();
            let Outcome::Rejected(rejection) = provisioner.provision(&sign_up).await else {
                panic!("{:?} was not rejected", sign_up.scope);
            };
            assert!(
                rejection.error.contains("profiles.table"),
                "{}",
                rejection.error
            );
        }
        sign_up.scope = Scope::Full;
        let off = services(&["groups.default=", "profiles.enabled=false"]).await;
        let outcome = off.provisioner().provision(&sign_up).await;
        assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
    }
}
