//! What the service serves for the public, wired.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{Desk, Gate, Keyring, Office, Verifier};
use crate::aws::{App, Aws, Directory, KeySets, Listing, Profiles, Queue, SignIn};
use crate::config::Config;
use crate::http::{Accept, Api, Doors, PublicServer};
use crate::provision::Provisioner;
use crate::quota::Quota;

/// The administrators' API and `/accept`, as far as the configuration asks for them.
pub(super) struct Front {
    /// Their routes.
    pub(super) routes: Router,
    /// Their way in, to be waited for at the end.
    pub(super) doors: Doors,
}

impl Front {
    /// Over the budgets of the worker. Shut once `stop` is cancelled.
    pub(super) fn new(
        config: &Config,
        aws: &Aws,
        quota: &Arc<Quota>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let doors = Doors::new(stop);
        let mut routes = Router::new();
        let wiring = Wiring { config, aws, quota };
        if !config.admin.client_ids.is_empty() {
            let api = wiring.api(doors.clone())?;
            routes = routes.merge(api.routes(&config.admin.cors_origins));
            tracing::info!("serving the administrators' API");
        }
        if let Some(page) = &config.invitations.page {
            let app = App {
                id: page.client_id.clone(),
                secret: page.client_secret.clone(),
            };
            let sign_in = SignIn::new(aws, Arc::clone(quota), app);
            let pools = config.pools.allowed.clone();
            let accept = Accept::new(page, sign_in, wiring.office(), pools, doors.beside());
            routes = routes.merge(accept.routes());
            tracing::info!("serving /accept");
        }
        Ok(Self { routes, doors })
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

struct Wiring<'a> {
    config: &'a Config,
    aws: &'a Aws,
    quota: &'a Arc<Quota>,
}

impl Wiring<'_> {
    fn api(&self, doors: Doors) -> anyhow::Result<Api> {
        let Self { config, aws, quota } = self;
        let sets = KeySets::new().context("this build has no HTTP client")?;
        let verifier = Verifier::new(&config.admin, &config.pools.allowed, |issuers| {
            Keyring::new(sets, issuers)
        });
        let listing = Listing::new(aws, Arc::clone(quota));
        let gate = Gate::new(verifier, config.admin.clone(), listing);
        let provisioner = Provisioner::new(config, self.directory(), self.profiles());
        let settings = &config.queue;
        let queue = Queue::new(aws, &settings.url, settings.wait, settings.visibility);
        let desk = Desk::new(provisioner, queue);
        Ok(Api::new(
            gate,
            desk,
            self.office(),
            config.admin.rate,
            doors,
        ))
    }

    fn office(&self) -> Office {
        let listing = Listing::new(self.aws, Arc::clone(self.quota));
        let profiles = self.profiles().zip(self.config.profiles.as_ref());
        Office::new(self.directory().people(), listing, profiles)
    }

    fn directory(&self) -> Directory {
        Directory::new(self.aws, Arc::clone(self.quota))
    }

    fn profiles(&self) -> Option<Profiles> {
        let settings = self.config.profiles.as_ref()?;
        Some(Profiles::new(self.aws, &settings.table, &settings.key))
    }
}
