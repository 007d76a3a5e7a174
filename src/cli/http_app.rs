//! What the service serves for the public, wired.

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

/// The administrators' API and `/accept`, as far as the configuration asks for them.
pub(super) struct HttpApp {
    /// Their routes.
    pub(super) routes: Router,
    /// Their way in, to be waited for at the end.
    pub(super) admission: Admission,
}

impl HttpApp {
    /// Over the budgets of the worker. Shut once `stop` is cancelled.
    pub(super) fn new(
        config: &Config,
        aws: &Aws,
        quota: &Arc<Quota>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let doors = Admission::new(stop);
        let mut routes = Router::new();
        let wiring = HttpAppBuilder { config, aws, quota };
        if !config.admin.client_ids.is_empty() {
            let api = wiring.api(doors.clone())?;
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
                wiring.user_lookup(),
                pools,
                doors.separate_pool(),
            );
            routes = routes.merge(accept.routes());
            tracing::info!("serving /accept");
        }
        Ok(Self {
            routes,
            admission: doors,
        })
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
    fn api(&self, doors: Admission) -> anyhow::Result<Api> {
        let Self { config, aws, quota } = self;
        let sets = JwksClient::new().context("this build has no HTTP client")?;
        let verifier = TokenVerifier::new(&config.admin, &config.pools.allowed, |issuers| {
            JwksCache::new(sets, issuers)
        });
        let listing = Listing::new(aws, Arc::clone(quota));
        let gate = Authorizer::new(verifier, config.admin.clone(), listing);
        let provisioner = Provisioner::new(config, self.directory(), self.profiles());
        let settings = &config.queue;
        let queue = Queue::new(aws, &settings.url, settings.wait, settings.visibility);
        let desk = CommandService::new(provisioner, queue);
        Ok(Api::new(
            gate,
            desk,
            self.user_lookup(),
            config.admin.rate,
            doors,
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
