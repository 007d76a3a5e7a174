//! `usher dev env` and `usher dev token`: for other terminals, beside a running `usher dev`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::json;

use crate::aws::{Aws, Sandbox};
use crate::cli::{CommandStatus, Global};
use crate::config::{self, in_shell_quotes};
use crate::dev::{
    self, ADMIN_ACCOUNT, DEFAULT_PORT, RUNNING_DEV_PATH, RunningDev, Stack, USER_ACCOUNT,
};
use crate::http::{Url, get};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  eval \"$(usher dev env)\"
  usher dev env --port 4567")]
pub(super) struct EnvOptions {
    /// Port of the AWS endpoint of usher dev
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher dev token admin
  TOKEN=$(usher dev token user)")]
pub(super) struct TokenOptions {
    /// The administrator, or the ordinary user
    #[arg(value_enum)]
    account: AccountName,
    /// Port of the AWS endpoint of usher dev [default: that of AWS_ENDPOINT_URL, or 4566]
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AccountName {
    Admin,
    User,
}

impl AccountName {
    fn as_str(self) -> &'static str {
        match self {
            Self::Admin => ADMIN_ACCOUNT,
            Self::User => USER_ACCOUNT,
        }
    }
}

/// The endpoint answers from memory.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_RESPONSE_BYTES: u64 = 64 * 1024;

/// Prints `export` commands for a shell.
pub(super) async fn print_env(
    global: &Global,
    options: &EnvOptions,
) -> anyhow::Result<CommandStatus> {
    let running = find(options.port).await?;
    global.output.print(&running, || exports(&running))?;
    Ok(CommandStatus::Success)
}

pub(super) async fn print_token(
    global: &Global,
    options: &TokenOptions,
) -> anyhow::Result<CommandStatus> {
    let from_environment = || port_of(&config::env_var("AWS_ENDPOINT_URL")?);
    let port = options.port.or_else(from_environment);
    let running = find(port.unwrap_or(DEFAULT_PORT)).await?;
    let sandbox = Sandbox::new(&Aws::at_endpoint(&running.endpoint).await);
    let account = options.account.as_str();
    let token = dev::access_token(&sandbox, &running.client, account)
        .await
        .with_context(|| format!("cannot sign {account} in"))?;
    global
        .output
        .print(&json!({"token": token}), || token.clone())?;
    Ok(CommandStatus::Success)
}

/// Asks the embedded endpoint at this port.
async fn find(port: u16) -> anyhow::Result<RunningDev> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let url = Url::new(address, RUNNING_DEV_PATH);
    let response = get(&url, RESPONSE_TIMEOUT, MAX_RESPONSE_BYTES).await;
    let Ok(response) = response else {
        bail!(
            "no usher dev answers at {address}: start one with \"usher dev\", or name the port of \
             one with --port"
        );
    };
    match (response.status, serde_json::from_str(&response.body)) {
        (200, Ok(running)) => Ok(running),
        (503, _) => {
            bail!("the usher dev at {address} is still starting: try again when it is ready")
        }
        _ => bail!("what runs at {address} is not usher dev: name the port of one with --port"),
    }
}

fn exports(running: &RunningDev) -> String {
    let path = config::folder_outside_path().map(|folder| {
        let folder = in_shell_quotes(&folder.to_string_lossy());
        format!("export PATH={folder}:\"$PATH\"\n")
    });
    let profiles = match &running.table {
        Some(table) => ("USHER_PROFILES__TABLE", table.as_str()),
        None => ("USHER_PROFILES__ENABLED", "false"),
    };
    let health = running.health.trim_start_matches("http://");
    let variables = [
        ("AWS_ENDPOINT_URL", running.endpoint.as_str()),
        ("AWS_REGION", &running.region),
        // The Region of boto3.
        ("AWS_DEFAULT_REGION", &running.region),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("USHER_QUEUE__URL", &running.queue),
        ("USHER_POOLS__ALLOWED", &running.pool),
        ("USHER_LOAD__ALLOWED_POOLS", &running.pool),
        profiles,
        ("USHER_ADMIN__REQUESTS_TABLE", Stack::REQUEST_TABLE),
        ("USHER_HTTP__LISTEN", health),
        ("POOL", &running.pool),
        ("CLIENT", &running.client),
        ("API", &running.api),
    ];
    let lines =
        variables.map(|(name, value)| format!("export {name}={}\n", in_shell_quotes(value)));
    path.into_iter().chain(lines).collect()
}

/// The option that leads to this `usher dev`; empty for the default port.
pub(super) fn port_option(running: &RunningDev) -> String {
    match port_of(&running.endpoint) {
        Some(DEFAULT_PORT) | None => String::new(),
        Some(port) => format!(" --port {port}"),
    }
}

/// The port of the URL of a server on this machine.
fn port_of(url: &str) -> Option<u16> {
    let rest = url.strip_prefix("http://127.0.0.1:")?;
    rest.trim_end_matches('/').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_at_the_endpoint_of_the_environment() {
        for (url, port) in [
            ("http://127.0.0.1:4567", Some(4567)),
            ("http://127.0.0.1:4567/", Some(4567)),
            ("https://sqs.eu-west-1.amazonaws.com", None),
            ("http://127.0.0.1", None),
        ] {
            assert_eq!(port_of(url), port, "{url}");
        }
    }

    #[tokio::test]
    async fn another_server_at_the_port_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = listener.await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move { axum::serve(listener, axum::Router::new()).await });
        let error = find(port).await.expect_err("not usher dev").to_string();
        assert!(error.contains("is not usher dev") && error.contains("--port"));
    }
}
