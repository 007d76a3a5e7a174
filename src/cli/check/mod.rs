//! `usher check`: tests the settings and permissions of a deployment without changing it.

mod findings;
mod lambda;
mod pool;
mod pool_settings;

use std::path::PathBuf;
use std::time::Duration;

use super::operator::pool_id;
use super::{CommandStatus, Global};
use crate::app::Services;
use crate::aws::{ProfileTable, Queue, QueueAttributes};
use crate::config::{Config, OwnerAttribute, ProfilesConfig, Required};
use crate::event::PoolId;
use crate::reason::Reason;
use findings::{Findings, NO_SUCH_USER};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// User pool to check, beside those of pools.allowed; may be repeated
    #[arg(long, value_name = "ID")]
    pool: Vec<String>,
    /// JSON file of the Lambda's environment variables: check them as `usher-trigger` does
    ///
    /// Write it with: aws lambda get-function-configuration --function-name usher-trigger
    /// --query Environment.Variables. Where `USHER_CONFIG` is among them, --config is the file
    /// that it names.
    #[arg(long, value_name = "FILE")]
    trigger_variables: Option<PathBuf>,
}

/// A receipt that no queue issued. SQS refuses the call for it only after it has checked the
/// permission.
const NO_SUCH_RECEIPT: &str = "usher-check-no-such-receipt";
/// Profiles that are read to find some under other ids.
const SAMPLED_PROFILES: i32 = 100;

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(&[Required::Queue, Required::Profiles])?;
    let services = Services::from_environment(config).await?;
    let (config, aws) = (&services.config, services.aws());
    let mut findings = Findings::default();
    findings.right("configuration", format!("valid; Region {}", aws.region()));
    if let Some(file) = &options.trigger_variables {
        let variables = lambda::read_variables(file)?;
        lambda::check(&mut findings, variables, global.config.as_deref());
    }

    let queue = services.queue_with_wait(Duration::ZERO)?;
    match aws.other_region_of_queue(queue.url()) {
        Some(region) => findings.wrong("queue", pool::region_mismatch(region, aws)),
        None => check_queue(&mut findings, config, &queue).await,
    }
    if let Some((profiles, table)) = config.profiles.as_ref().zip(services.profiles()?) {
        check_table(&mut findings, profiles, &table).await;
    }
    let mut pools: Vec<PoolId> = config.pools.allowed.iter().cloned().collect();
    for id in &options.pool {
        pools.push(pool_id(id)?);
    }
    if pools.is_empty() {
        findings.untested("user pool", "pools.allowed is empty: name one with --pool");
    }
    let cognito = services.cognito();
    for pool in &pools {
        if !pool::check(&mut findings, config, aws, &cognito, pool).await {
            continue;
        }
        let settings = services.pool_settings().read(pool).await;
        pool_settings::check_trigger(&mut findings, pool, &settings);
        pool_settings::check_invitations(&mut findings, &config.invitations, pool, &settings);
        let issuer = pool_settings::check_issuer(&mut findings, &config.admin, pool, &settings);
        pool::check_listing(&mut findings, config, &cognito, pool).await;
        if !config.admin.client_ids.is_empty() {
            pool_settings::check_issuer_keys(&mut findings, &config.admin, pool, issuer).await;
        }
        pool::check_admin(&mut findings, config, &cognito, pool).await;
    }
    if let Some(page) = &config.invitations.page {
        pool::check_accept_client(&mut findings, services.sign_in(page)).await;
    }
    findings.print(global.output)
}

async fn check_queue(findings: &mut Findings, config: &Config, queue: &Queue) {
    match queue.attributes().await {
        Err(failure) => {
            findings.failure("queue", &failure);
            if failure.reason == Reason::QueueNotFound {
                return;
            }
        }
        Ok(attributes) => {
            let depth = attributes.depth;
            let detail = format!("{} waiting, {} in flight", depth.visible, depth.hidden);
            findings.right("queue", detail);
            check_redrive(findings, config, queue, attributes).await;
        }
    }
    let delete = queue.delete(&[NO_SUCH_RECEIPT]).await;
    let hide = [(NO_SUCH_RECEIPT, Duration::ZERO)];
    let hide = queue.change_visibility(&hide).await;
    let expected_codes = ["ReceiptHandleIsInvalid"];
    findings.allowed("sqs:DeleteMessage", delete, &expected_codes);
    findings.allowed("sqs:ChangeMessageVisibility", hide, &expected_codes);
    findings.untested(
        "sqs:ReceiveMessage",
        "a receive would count against a message",
    );
}

async fn check_redrive(
    findings: &mut Findings,
    config: &Config,
    queue: &Queue,
    attributes: QueueAttributes,
) {
    let attempts = config.worker.max_attempts;
    let redrive = attributes.redrive_policy;
    let configured = config.queue.dead_letter_url.as_deref();
    match &redrive {
        Some(redrive) if redrive.max_receive_count <= attempts => {
            let detail = format!(
                "maxReceiveCount is {} and worker.max_attempts {attempts}: SQS would move \
                 messages before usher has written the reason; raise the first above the second",
                redrive.max_receive_count,
            );
            findings.wrong("redrive policy", detail);
        }
        Some(redrive) => {
            let count = redrive.max_receive_count;
            let detail = format!("maxReceiveCount {count} is above worker.max_attempts {attempts}");
            findings.right("redrive policy", detail);
        }
        None if configured.is_some() => {
            findings.right("redrive policy", "none; queue.dead_letter_url is set");
        }
        None => findings.wrong(
            "redrive policy",
            "none, and queue.dead_letter_url is not set",
        ),
    }
    let dead_letters = match (configured, redrive) {
        (Some(url), _) => Ok(queue.with_url_and_endpoint(url)),
        (None, Some(redrive)) => {
            let url = queue.url_of(&redrive.target_arn).await;
            url.map(|url| queue.with_url(&url))
        }
        (None, None) => return,
    };
    match dead_letters {
        Err(failure) => findings.wrong("dead-letter queue", failure.to_string()),
        Ok(dead_letters) => match dead_letters.attributes().await {
            Ok(found) if found.retention_seconds < attributes.retention_seconds => findings.wrong(
                "dead-letter queue",
                "keeps letters for a shorter time than the queue keeps messages, and a letter's \
                 age counts from its first day on the queue",
            ),
            Ok(found) => findings.right(
                "dead-letter queue",
                format!("{} letters", found.depth.visible + found.depth.hidden),
            ),
            // The worker only sends there, and may lack the permission to read.
            Err(failure) => findings.failure("dead-letter queue", &failure),
        },
    }
    findings.untested(
        "sqs:SendMessage",
        "a letter or a message would have to be sent",
    );
}

async fn check_table(findings: &mut Findings, profiles: &ProfilesConfig, table: &ProfileTable) {
    const WHAT: &str = "profile table";
    let name = table.name();
    match table.key_schema().await {
        // usher itself never calls DescribeTable; the put below tests the table.
        Err(failure) => findings.failure(WHAT, &failure),
        Ok(key) => match (&key.partition, &key.sort) {
            (_, Some(sort)) => findings.wrong(WHAT, format!("it has a sort key, {sort}")),
            ((partition, _), None) if partition != table.key() => findings.wrong(
                WHAT,
                format!("its key is {partition}, profiles.key says {}", table.key()),
            ),
            ((partition, true), None) => {
                findings.right(WHAT, format!("{name}, key {partition} (String)"));
            }
            ((partition, false), None) => {
                findings.wrong(WHAT, format!("its key {partition} is not a String"));
            }
        },
    }
    findings.allowed("dynamodb:PutItem", table.probe_put().await, &[]);
    // For the Reconcile command and `usher reconcile`.
    let read = table.existing(&[NO_SUCH_USER]).await;
    findings.allowed("dynamodb:BatchGetItem", read, &[]);
    let Some(owner) = &profiles.owner else {
        return;
    };
    let attribute = owner.name();
    if let Some(index) = &profiles.owner_index {
        let query = table
            .has_owner(index, attribute, &[NO_SUCH_USER.to_owned()])
            .await;
        let what = format!("dynamodb:Query on {index}, key {attribute}");
        return findings.allowed(what, query, &[]);
    }
    let page = table
        .scan_owners(attribute, None, Some(SAMPLED_PROFILES))
        .await;
    let is_elsewhere = page.as_ref().is_ok_and(|page| {
        let mut items = page.items.iter();
        items.any(|(id, value)| OwnerAttribute::has_other_id(id, value))
    });
    findings.allowed("dynamodb:Scan", page, &[]);
    if is_elsewhere && profiles.after_password_reset {
        let detail = format!(
            "{name} has records under another id than the sub of their owner. A new password \
             would give the owner a second record: set profiles.owner_index, or switch \
             profiles.after_password_reset off"
        );
        findings.wrong("profiles.after_password_reset", detail);
    }
}
