//! Builds the public routes: the administrators' API, `/accept` and `/console`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{Authorizer, CommandService, JwksCache, TokenVerifier};
use crate::app::Services;
use crate::aws::JwksClient;
use crate::config::{AdminConfig, AppClient, TokenUse};
use crate::console::{Console, PoolHost, pool_routes};
use crate::http::{
    AcceptService, Admission, Api, IndexPage, PublicServer, api_routes, public_index,
};

/// The administrators' API, `/accept` and `/console`, each where it is configured.
pub(super) struct HttpApp {
    pub(super) routes: Router,
    console: Option<Arc<Console>>,
    /// Admits requests; drained before the process ends.
    pub(super) admission: Admission,
}

impl HttpApp {
    /// Uses the rate budgets of the worker. Admits no request once `stop` is cancelled.
    pub(super) fn new(services: &Services, stop: &CancellationToken) -> anyhow::Result<Self> {
        let config = &services.config;
        let admission = Admission::new(stop.clone());
        let mut routes = Router::new();
        let mut pages = Vec::new();
        if !config.admin.client_ids.is_empty() {
            let api = build_api(services, admission.clone())?;
            routes = routes.merge(api_routes(api, &config.admin.cors_origins));
            pages.push(IndexPage {
                path: "/v1/openapi.json",
                content: "the administrators' API, in OpenAPI",
            });
            tracing::info!("serving the administrators' API");
        }
        if let Some(page) = &config.invitations.page {
            let accept = AcceptService::new(
                page,
                services.sign_in(&page.client),
                services.user_lookup()?,
                config.pools.allowed.clone(),
                admission.separate_pool(),
            );
            routes = routes.merge(accept.routes());
            pages.push(IndexPage {
                path: "/accept",
                content: "where an invited user chooses a password",
            });
            tracing::info!("serving /accept");
        }
        let mut console = None;
        if let Some(client) = &config.console {
            let host = build_pool_host(services, client, admission.separate_pool())?;
            let built = Console::in_worker(services.clone(), stop)?;
            routes = routes.merge(pool_routes(&built, host));
            console = Some(built);
            pages.push(IndexPage {
                path: "/console",
                content: "the console, for administrators",
            });
            tracing::info!("serving /console");
        }
        let index = public_index(&pages, admission.clone());
        Ok(Self {
            routes: routes.merge(index),
            console,
            admission,
        })
    }

    /// Does the work of the console until `stop` is cancelled, if there is one.
    pub(super) async fn run_console(&self, stop: &CancellationToken) {
        if let Some(console) = &self.console {
            console.run(stop).await;
        }
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

fn build_api(services: &Services, admission: Admission) -> anyhow::Result<Api> {
    let config = &services.config;
    Ok(Api::new(
        build_authorizer(services, config.admin.clone())?,
        CommandService::new(services.provisioner(), services.queue()?),
        services.user_lookup()?,
        config.admin.rate,
        admission,
    ))
}

/// The console accepts access tokens of its own app client.
fn build_pool_host(
    services: &Services,
    client: &AppClient,
    admission: Admission,
) -> anyhow::Result<PoolHost> {
    let admin = AdminConfig {
        client_ids: [client.id.clone()].into(),
        token_use: TokenUse::Access,
        ..services.config.admin.clone()
    };
    let authorizer = build_authorizer(services, admin)?;
    Ok(PoolHost::new(
        services.sign_in(client),
        authorizer,
        admission,
    ))
}

fn build_authorizer(services: &Services, admin: AdminConfig) -> anyhow::Result<Authorizer> {
    let jwks_client = JwksClient::new().context("this build has no HTTP client")?;
    let verifier = TokenVerifier::new(&admin, &services.config.pools.allowed, |issuers| {
        JwksCache::new(jwks_client, issuers)
    });
    Ok(Authorizer::new(verifier, admin, services.cognito()))
}
