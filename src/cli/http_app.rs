//! Builds the public routes: the administrators' API and `/accept`.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{Authorizer, CommandService, JwksCache, TokenVerifier};
use crate::app::Services;
use crate::aws::JwksClient;
use crate::http::{
    AcceptService, Admission, Api, IndexPage, PublicServer, api_routes, public_index,
};

/// The administrators' API and `/accept`, each where it is configured.
pub(super) struct HttpApp {
    pub(super) routes: Router,
    /// Admits requests; drained before the process ends.
    pub(super) admission: Admission,
}

impl HttpApp {
    /// Uses the rate budgets of the worker. Admits no request once `stop` is cancelled.
    pub(super) fn new(services: &Services, stop: CancellationToken) -> anyhow::Result<Self> {
        let config = &services.config;
        let admission = Admission::new(stop);
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
        let index = public_index(&pages, admission.clone());
        Ok(Self {
            routes: routes.merge(index),
            admission,
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

fn build_api(services: &Services, admission: Admission) -> anyhow::Result<Api> {
    let config = &services.config;
    let jwks_client = JwksClient::new().context("this build has no HTTP client")?;
    let verifier = TokenVerifier::new(&config.admin, &config.pools.allowed, |issuers| {
        JwksCache::new(jwks_client, issuers)
    });
    Ok(Api::new(
        Authorizer::new(verifier, config.admin.clone(), services.cognito()),
        CommandService::new(services.provisioner(), services.queue()?),
        services.user_lookup()?,
        config.admin.rate,
        admission,
    ))
}
