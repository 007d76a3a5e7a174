//! Builds the public routes: the administrators' API and `/accept`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{Authorizer, CommandService, JwksCache, TokenVerifier, UserLookup};
use crate::aws::{
    Aws, ClientCredentials, Directory, JwksClient, Listing, ProfileTable, Queue, SignIn,
};
use crate::config::Config;
use crate::http::{AcceptService, Admission, Api, PublicServer};
use crate::provision::Provisioner;
use crate::quota::Quota;

/// The administrators' API and `/accept`, each where it is configured.
pub(super) struct HttpApp {
    pub(super) routes: Router,
    /// Admits requests; drained before the process ends.
    pub(super) admission: Admission,
}

impl HttpApp {
    /// Uses the rate budgets of the worker. Admits no request once `stop` is cancelled.
    pub(super) fn new(
        config: &Config,
        aws: &Aws,
        quota: &Arc<Quota>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let admission = Admission::new(stop);
        let mut routes = Router::new();
        let builder = HttpAppBuilder { config, aws, quota };
        if !config.admin.client_ids.is_empty() {
            let api = builder.api(admission.clone())?;
            routes = routes.merge(api.routes(&config.admin.cors_origins));
            tracing::info!("serving the administrators' API");
        }
        if let Some(page) = &config.invitations.page {
            let app = ClientCredentials {
                id: page.client_id.clone(),
                secret: page.client_secret.clone(),
            };
            let sign_in = SignIn::new(aws, Arc::clone(quota), app);
            let pools = config.pools.allowed.clone();
            let accept = AcceptService::new(
                page,
                sign_in,
                builder.user_lookup(),
                pools,
                admission.separate_pool(),
            );
            routes = routes.merge(accept.routes());
            tracing::info!("serving /accept");
        }
        Ok(Self { routes, admission })
    }

    /// Serves the routes until `stop` is cancelled; the task ends with the server.
    pub(super) async fn serve(
        &self,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> anyhow::Result<JoinHandle<()>> {
        let server = PublicServer::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address} (http.public_listen)"))?;
        tracing::info!(http.public_address = %server.address()?, "serving public requests");
        Ok(tokio::spawn(server.run(self.routes.clone(), stop)))
    }
}

struct HttpAppBuilder<'a> {
    config: &'a Config,
    aws: &'a Aws,
    quota: &'a Arc<Quota>,
}

impl HttpAppBuilder<'_> {
    fn api(&self, admission: Admission) -> anyhow::Result<Api> {
        let Self { config, aws, quota } = self;
        let jwks_client = JwksClient::new().context("this build has no HTTP client")?;
        let verifier = TokenVerifier::new(&config.admin, &config.pools.allowed, |issuers| {
            JwksCache::new(jwks_client, issuers)
        });
        let listing = Listing::new(aws, Arc::clone(quota));
        let authorizer = Authorizer::new(verifier, config.admin.clone(), listing);
        let provisioner = Provisioner::new(config, self.directory(), self.profiles());
        let settings = &config.queue;
        let queue = Queue::new(aws, &settings.url, settings.wait, settings.visibility);
        let command_service = CommandService::new(provisioner, queue);
        Ok(Api::new(
            authorizer,
            command_service,
            self.user_lookup(),
            config.admin.rate,
            admission,
        ))
    }

    fn user_lookup(&self) -> UserLookup {
        let listing = Listing::new(self.aws, Arc::clone(self.quota));
        let profiles = self.profiles().zip(self.config.profiles.as_ref());
        UserLookup::new(self.directory().user_manager(), listing, profiles)
    }

    fn directory(&self) -> Directory {
        Directory::new(self.aws, Arc::clone(self.quota))
    }

    fn profiles(&self) -> Option<ProfileTable> {
        let settings = self.config.profiles.as_ref()?;
        Some(ProfileTable::new(self.aws, &settings.table, &settings.key))
    }
}
