//! `usher console`, and the console of `usher dev`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{CommandStatus, Global, status_line};
use crate::app::Services;
use crate::config::{Config, EffectiveSetting, Required};
use crate::console::{self, Console, LinkHost};
use crate::http::{PublicServer, Url};
use crate::shutdown;

/// Beside the port of `usher dev`'s endpoint.
pub(super) const DEFAULT_PORT: u16 = 4570;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher console
  usher console --port 0
  usher console --worker http://10.0.1.23:8080 --worker http://10.0.1.24:8080")]
pub(super) struct Options {
    /// Port on 127.0.0.1; 0 for any
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// URL of a worker's health server, such as http://10.0.1.23:8080; repeatable
    /// [default: http.listen on this machine]
    #[arg(long, value_name = "URL")]
    worker: Vec<Url>,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let layers = global.layers();
    let config = Config::for_command(&layers, &[Required::Queue])?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let server = bind(options.port).await.with_context(|| {
        let port = options.port;
        format!("cannot listen on 127.0.0.1:{port}; choose another with --port, or 0 for any")
    })?;
    let services = Services::from_environment(config).await?;
    let settings = layers.effective();
    let console = RunningConsole::start(server, services, settings, &options.worker, &stop).await?;
    let link = console.link();
    let result = serde_json::json!({"console": link});
    global.output.print(&result, || link.clone())?;
    status_line(
        "note: open the link on this machine; it works once, so keep it secret (Ctrl-C ends)",
    );
    console.run(&stop).await?;
    Ok(CommandStatus::Success)
}

/// Only this machine reaches the server.
pub(super) async fn bind(port: u16) -> std::io::Result<PublicServer> {
    PublicServer::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// A console whose pages are served.
pub(super) struct RunningConsole {
    console: Arc<Console>,
    host: Arc<LinkHost>,
    server_task: JoinHandle<()>,
    server_stop: CancellationToken,
}

impl RunningConsole {
    /// Its jobs stop when `stop` is cancelled.
    pub(super) async fn start(
        server: PublicServer,
        services: Services,
        settings: Vec<EffectiveSetting>,
        workers: &[Url],
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let host = LinkHost::new(server.address()?, services.aws().caller_name().await)?;
        let console = Console::new(services, settings, workers, stop)?;
        let server_stop = CancellationToken::new();
        let routes = console::link_routes(&console, &host);
        let server_task = tokio::spawn(server.run(routes, server_stop.clone()));
        Ok(Self {
            console,
            host,
            server_task,
            server_stop,
        })
    }

    /// Signs one browser in.
    pub(super) fn link(&self) -> String {
        self.host.link()
    }

    /// Does its work until `stop` is cancelled. Without it, pages show nothing new.
    pub(super) async fn run(self, stop: &CancellationToken) -> anyhow::Result<()> {
        self.console.run(stop).await;
        self.server_stop.cancel();
        self.server_task.await?;
        Ok(())
    }
}
