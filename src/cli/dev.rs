//! `usher dev`

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use tokio_util::sync::CancellationToken;

use super::http_app::HttpApp;
use super::{CommandStatus, Global};
use crate::config::Layers;
use crate::dev::{self, Accounts, DevSummary, SentMail, Stack, StartError};
use crate::event::IssuerType;
use crate::http::{HealthServer, HealthServerState, PublicServer};
use crate::shutdown;
use crate::telemetry::{Health, metrics};
use crate::worker::{MaxReceiveCountCheck, Until, Worker};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Sign-ups to make through `SignUp` and `ConfirmSignUp`
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "events")]
    signups: usize,
    /// Files or folders of events to send instead of sign-ups
    #[arg(long, value_name = "PATH", num_args = 1..)]
    events: Vec<PathBuf>,
    /// Report and exit instead of staying up
    #[arg(long)]
    exit_when_done: bool,
    /// Port of the embedded endpoint on 127.0.0.1; 4566 unless it is taken
    #[arg(long)]
    port: Option<u16>,
    /// Issuer that new tokens name, as the pool's `IssuerConfiguration` has it
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = IssuerType::Original)]
    issuer: IssuerType,
}

impl ValueEnum for IssuerType {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Original => "original",
            Self::Updated => "updated",
        }))
    }
}

/// Longer than all attempts at one message take.
const QUIET_TIMEOUT: Duration = Duration::from_mins(15);

pub(super) async fn run(global: &Global, options: Options) -> anyhow::Result<CommandStatus> {
    let files = dev::read_event_files(&options.events).context("--events")?;
    if !options.events.is_empty() && files.is_empty() {
        anyhow::bail!("--events: no file there");
    }
    let stop = shutdown::on_signal(&global.force_exit)?;
    let metrics = metrics::install()?;
    let health = Health::default();
    let health_state = HealthServerState {
        health: health.clone(),
        metrics,
    };
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let health_server =
        HealthServer::bind(any_port, health_state).context("cannot serve health and metrics")?;
    let health_address = health_server.address()?;
    let public_server = PublicServer::bind(any_port)
        .await
        .context("cannot serve the API and /accept")?;
    // The link of an invitation holds this port.
    let public_address = public_server.address()?;
    let layers = with_accept_url(global.layers(), public_address);
    let stack = Stack::start(options.port, layers)
        .await
        .map_err(unwrap_config_error)?;
    stack.set_issuer(options.issuer).await?;
    stack.endpoint.on_mail(Box::new(|mail| print_mail(&mail)));
    let http_app = HttpApp::new(&stack.services, stop.clone())?;
    let http_stop = CancellationToken::new();
    let health_thread = health_server.start(http_stop.clone())?;
    let server_task = tokio::spawn(public_server.run(http_app.routes, http_stop.clone()));

    let worker = Worker::new(&stack.services, health, MaxReceiveCountCheck::Enforced).await?;
    let worker_stop = CancellationToken::new();
    let worker_task = tokio::spawn(worker.run(Until::Stopped, worker_stop.clone()));

    let summary = async {
        let (is_empty, mut summary);
        if files.is_empty() {
            stack.sign_up(options.signups).await?;
            is_empty = stack.wait_until_empty(QUIET_TIMEOUT).await?;
            summary = stack.summary_of_sign_ups(options.signups).await?;
        } else {
            let delivered = stack.deliver_all(&files).await;
            is_empty = stack.wait_until_empty(QUIET_TIMEOUT).await?;
            summary = stack.summary_of_events(&files, &delivered).await?;
        }
        summary.complete &= is_empty;
        anyhow::Ok(summary)
    };
    let summary = tokio::select! {
        summary = summary => Some(summary?),
        () = stop.cancelled() => None,
    };
    if let Some(summary) = &summary {
        global.output.print(summary, || text(summary))?;
    }
    let is_complete = summary.as_ref().is_some_and(|summary| summary.complete);
    if summary.is_some() && !options.exit_when_done {
        let accounts = stack.create_accounts().await?;
        print_endpoint(&stack, health_address);
        print_accounts(&stack, public_address, &accounts);
        eprintln!("Ctrl-C ends it; nothing is kept.");
        stop.cancelled().await;
    }
    worker_stop.cancel();
    worker_task.await?;
    http_app.admission.drain().await;
    http_stop.cancel();
    server_task.await?;
    health_thread.join().await;
    stack.stop().await;
    Ok(CommandStatus::success_if(is_complete))
}

/// Sets `invitations.accept_url` to the page of this process, unless it is configured.
fn with_accept_url(layers: Layers, http: SocketAddr) -> Layers {
    const ACCEPT_URL_KEY: &str = "invitations.accept_url";
    let is_set = layers
        .settings()
        .any(|(key, setting)| key == ACCEPT_URL_KEY && setting.value.as_str() != Some(""));
    if is_set {
        layers
    } else {
        layers.flags(&[format!("{ACCEPT_URL_KEY}=http://{http}/accept")])
    }
}

/// Prints the link of a mail that Cognito would have sent, or the body without one.
fn print_mail(mail: &SentMail) {
    let link = mail
        .body
        .split("href=\"")
        .nth(1)
        .and_then(|rest| rest.split("\">").next())
        .map(|link| link.replace("&#38;", "&"));
    eprintln!();
    eprintln!("mail to {}: {}", mail.to, mail.subject);
    eprintln!("  {}", link.as_deref().unwrap_or(&mail.body));
}

/// Prints tokens and `curl` commands for the administrators' API.
fn print_accounts(stack: &Stack, http: SocketAddr, accounts: &Accounts) {
    eprintln!(
        "An administrator and an ordinary user, with tokens of this endpoint's own issuer
(a development feature; good for an hour):
"
    );
    for account in [&accounts.admin, &accounts.user] {
        eprintln!(
            "  {}, password {}
  export {}_TOKEN={}
",
            account.name,
            account.password,
            account.name.to_uppercase(),
            account.tokens.access
        );
    }
    let issuer = stack.endpoint.issuer_of(&stack.pool.id);
    eprintln!(
        r#"The administrator invites somebody; the link is printed here, and leads to /accept:

  curl -sS http://{http}/v1/invitations -H "Authorization: Bearer $ADMIN_TOKEN" \
    -H 'Content-Type: application/json' \
    -d '{{"email": "grace@example.com", "givenName": "Grace"}}'

and the ordinary user is refused:

  curl -sS http://{http}/v1/users/admin -H "Authorization: Bearer $USER_TOKEN"

  keys {issuer}/.well-known/jwks.json
"#
    );
}

fn print_endpoint(stack: &Stack, http: SocketAddr) {
    let (endpoint, queue) = (stack.endpoint.url(), stack.queue.url());
    let (pool, client) = (&stack.pool.id, &stack.pool.client);
    let profiles = stack.services.config.profiles.as_ref();
    let table = profiles.map_or_else(String::new, |_| {
        format!("  export USHER_PROFILES__TABLE={}\n", Stack::PROFILE_TABLE)
    });
    eprintln!(
        "
The endpoint stays up; sign more users up with any AWS SDK or the AWS CLI:

  export AWS_ENDPOINT_URL={endpoint} AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
  aws cognito-idp sign-up --client-id {client} --username ada --password Passw0rd-1
  aws cognito-idp confirm-sign-up --client-id {client} --username ada --confirmation-code 000000

or from another terminal, with the same exports and these, by hundreds:

  export USHER_QUEUE__URL={queue}
  export USHER_POOLS__ALLOWED={pool} USHER_LOAD__ALLOWED_POOLS={pool}
{table}  usher load run --count 200 --quiet-period 3s --worker-metrics http://{http}/metrics

  user pool {pool}   queue {queue}   readiness http://{http}/readyz   metrics http://{http}/metrics
"
    );
}

fn text(summary: &DevSummary) -> String {
    let mut lines = Vec::new();
    if summary.events.is_empty() {
        lines.push(format!("{:<16}{:<10}groups", "user", "profile"));
        for (name, user) in &summary.users {
            let profile = if user.profile { "yes" } else { "no" };
            lines.push(format!("{name:<16}{profile:<10}{}", user.groups.join(", ")));
        }
    } else {
        for line in &summary.events {
            let outcome = line.outcome.name();
            lines.push(format!("{outcome:<16}{:<20}{}", line.reason, line.file));
        }
    }
    lines.push(format!(
        "\n{} signed up, {} provisioned, {} already done, {} ignored, {} rejected",
        summary.signed_up,
        summary.provisioned,
        summary.already_done,
        summary.ignored,
        summary.rejected,
    ));
    let groups = summary.groups.iter();
    let groups: Vec<String> = groups
        .map(|(name, members)| format!("{members} in {name}"))
        .collect();
    let groups = if groups.is_empty() {
        "no groups".to_owned()
    } else {
        groups.join(", ")
    };
    lines.push(format!(
        "{groups}; {} profiles; {} dead letters",
        summary.profiles, summary.dead_letters,
    ));
    if !summary.complete {
        lines.push(
            "NOT COMPLETE: somebody lacks a group or a profile, or an event got no answer"
                .to_owned(),
        );
    }
    lines.join("\n")
}

/// Exposes `InvalidConfig`, which has its own exit status.
fn unwrap_config_error(error: StartError) -> anyhow::Error {
    match error {
        StartError::Invalid(invalid) => invalid.into(),
        other => other.into(),
    }
}
