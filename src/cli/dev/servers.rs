//! The HTTP servers of `usher dev`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::MissingSetting;
use crate::config::{ConfigSource, Layers};
use crate::http::{
    HealthServer, HealthServerState, HealthThread, PublicServer, loopback_if_unspecified,
};
use crate::telemetry::{Health, metrics};

/// Both servers with their ports bound.
pub(super) struct Servers {
    health_server: HealthServer,
    public_server: PublicServer,
    /// Where clients on this machine reach health and metrics.
    pub(super) health: SocketAddr,
    /// Where clients on this machine reach the API and `/accept`.
    pub(super) api: SocketAddr,
}

/// Both servers at work.
pub(super) struct RunningServers {
    health_thread: HealthThread,
    public_task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Servers {
    /// Binds `http.listen` and `http.public_listen`. If a default port is taken, the system
    /// chooses another one. An empty `http.listen` gets any port, since `usher dev` shows both
    /// servers.
    ///
    /// # Errors
    /// When a configured address cannot be bound, or `http.public_listen` is empty: other
    /// settings of `usher dev` need it.
    pub(super) async fn bind(layers: &Layers, health: Health) -> anyhow::Result<Self> {
        let state = HealthServerState {
            health,
            metrics: metrics::install()?,
        };
        let bind_health = async |address| HealthServer::bind(address, state.clone());
        let health_server = bind(layers, "http.listen", bind_health).await?;
        let public = layers
            .settings()
            .find(|(name, _)| *name == "http.public_listen");
        if public.is_some_and(|(_, setting)| setting.value.as_str() == Some("")) {
            anyhow::bail!(MissingSetting(
                "http.public_listen is empty: usher dev serves the API there; choose an address, or \
                 leave it out"
            ));
        }
        let public_server = bind(layers, "http.public_listen", PublicServer::bind).await?;
        Ok(Self {
            health: loopback_if_unspecified(health_server.address()?),
            api: loopback_if_unspecified(public_server.address()?),
            health_server,
            public_server,
        })
    }

    /// Serves health, metrics and `routes`.
    pub(super) fn start(self, routes: Router) -> io::Result<RunningServers> {
        let stop = CancellationToken::new();
        Ok(RunningServers {
            health_thread: self.health_server.start(stop.clone())?,
            public_task: tokio::spawn(self.public_server.run(routes, stop.clone())),
            stop,
        })
    }
}

impl RunningServers {
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.public_task.await?;
        self.health_thread.join().await;
        Ok(())
    }
}

async fn bind<T>(
    layers: &Layers,
    key: &str,
    bind: impl AsyncFn(SocketAddr) -> io::Result<T>,
) -> anyhow::Result<T> {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let setting = layers.settings().find(|(name, _)| *name == key);
    let (address, is_default) = setting.map_or((any_port, true), |(_, setting)| {
        // An invalid address is reported later, with all other violations.
        let address = setting.value.as_str().and_then(|text| text.parse().ok());
        (
            address.unwrap_or(any_port),
            setting.source == ConfigSource::Default,
        )
    });
    match bind(address).await {
        Err(_) if is_default => bind(any_port).await,
        result => result,
    }
    .with_context(|| {
        format!("cannot listen on {address} ({key}); choose another port, or 0 for any")
    })
}
