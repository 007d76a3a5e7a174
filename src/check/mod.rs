//! Tests the settings and permissions of a deployment without changing it. `usher check` prints
//! the findings.
//!
//! Queue and table are here, `pool` and `pool_settings` are about a user pool, `lambda` is about
//! the settings of the trigger.

mod lambda;
mod pool;
mod pool_settings;

use std::time::Duration;

use indicatif::HumanDuration;

use crate::app::Services;
use crate::aws::{Depth, ProfileTable, Queue, QueueAttributes, RequestTable};
use crate::config::{Config, InvalidConfig, OwnerAttribute, ProfilesConfig};
use crate::event::PoolId;
use crate::reason::Reason;
use crate::status::{Findings, check_backlog, check_trigger, read_source};
use crate::text::plural;
pub(crate) use lambda::check as check_lambda;
use pool::NO_SUCH_USER;

/// The first section of the findings.
pub(crate) const CONFIGURATION: &str = "Configuration";

/// A receipt that no queue issued. SQS refuses the call for it only after it has checked the
/// permission.
const NO_SUCH_RECEIPT: &str = "usher-check-no-such-receipt";
/// Profiles that are read to find some under other ids.
const SAMPLED_PROFILES: i32 = 100;

/// `function_arn` is the function that each trigger must call.
///
/// # Errors
/// Without `queue.url` or `profiles.table`, if the command does not require it.
pub(crate) async fn check_deployment(
    findings: &mut Findings,
    services: &Services,
    pools: &[PoolId],
    function_arn: Option<&str>,
) -> Result<(), InvalidConfig> {
    let (config, aws) = (&services.config, services.aws());
    findings.section(CONFIGURATION);
    findings.ok("configuration", format!("valid, Region {}", aws.region()));
    if config.pools.allowed.is_empty() {
        let detail = if pools.is_empty() {
            "empty: every pool is accepted, and none checked; use --pool"
        } else {
            "empty: messages of every pool are accepted"
        };
        findings.warn("pools.allowed", detail);
    }

    let queue = services.queue_with_wait(Duration::ZERO)?;
    findings.section(format!("Queue {}", queue.name()));
    match aws.other_region_of_queue(queue.url()) {
        Some(region) => {
            findings.fail("queue", pool::region_mismatch(region, aws));
            findings.skip_others("need the queue's Region");
        }
        None => check_queue(findings, config, &queue).await,
    }
    if let Some((profiles, table)) = config.profiles.as_ref().zip(services.profiles()?) {
        findings.section(format!("Table {}", table.name()));
        check_table(findings, profiles, &table).await;
    }
    if let Some(table) = services.request_table() {
        findings.section(format!("Table {}", table.name()));
        check_request_table(findings, &table).await;
    }
    let cognito = services.cognito();
    let mut triggers = Vec::new();
    for pool in pools {
        findings.section(format!("User pool {pool}"));
        if !pool::check(findings, config, aws, &cognito, pool).await {
            continue;
        }
        let settings = services.pool_settings().read(pool).await;
        pool_settings::check_invitations(findings, &config.invitations, &settings);
        pool_settings::check_token_groups(findings, &config.groups.in_token, &settings);
        let issuer = pool_settings::check_issuer(findings, &config.admin, pool, &settings);
        pool::check_listing(findings, config, &cognito, pool).await;
        if !config.admin.client_ids.is_empty() || config.console.is_some() {
            pool_settings::check_issuer_keys(findings, &config.admin, pool, issuer).await;
        }
        pool::check_admin(findings, config, &cognito, pool).await;
        triggers.push((pool, settings));
    }
    if let Some(page) = &config.invitations.page {
        findings.section("Page /accept");
        pool::check_app_client(findings, services.sign_in(&page.client)).await;
        pool::check_accept_links(findings, page);
    }
    if let Some(client) = &config.console {
        findings.section("Page /console");
        pool::check_app_client(findings, services.sign_in(client)).await;
    }
    findings.section("Trigger");
    for (pool, settings) in triggers {
        check_trigger(findings, pool, &settings, function_arn);
    }
    Ok(())
}

async fn check_queue(findings: &mut Findings, config: &Config, queue: &Queue) {
    let attributes = read_source(queue).await;
    if findings.stops("queue", attributes.as_ref().err()) {
        return;
    }
    match attributes {
        Err(failure) if failure.reason == Reason::QueueNotFound => {
            findings.fail(
                "queue",
                format!("there is no such queue ({})", failure.code),
            );
            return findings.skip_others("there is no such queue");
        }
        Err(failure) => findings.failure("queue", &failure),
        Ok(attributes) => {
            check_backlog(findings, config, attributes.depth, false, "usher status");
            check_redrive(findings, config, queue, attributes).await;
        }
    }
    let delete = queue.delete(&[NO_SUCH_RECEIPT]).await;
    let hide = [(NO_SUCH_RECEIPT, Duration::ZERO)];
    let hide = queue.change_visibility(&hide).await;
    let expected_codes = ["ReceiptHandleIsInvalid"];
    findings.allowed("sqs:DeleteMessage", delete, &expected_codes);
    findings.allowed("sqs:ChangeMessageVisibility", hide, &expected_codes);
    findings.skip(
        "sqs:ReceiveMessage",
        "cannot be tested without raising a message's receive count",
    );
    findings.skip(
        "sqs:SendMessage",
        "cannot be tested without sending a message",
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
            findings.fail("redrive policy", detail);
        }
        Some(redrive) => {
            let count = redrive.max_receive_count;
            let detail = format!("maxReceiveCount {count}, above worker.max_attempts {attempts}");
            findings.ok("redrive policy", detail);
        }
        None if configured.is_some() => {
            findings.ok("redrive policy", "none; queue.dead_letter_url is set");
        }
        None => findings.fail(
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
        Err(failure) => findings.fail("dead-letter queue", failure.to_string()),
        Ok(dead_letters) => match dead_letters.attributes().await {
            Ok(found) => {
                check_dead_letters(findings, found.depth);
                let retention = (found.retention_seconds, attributes.retention_seconds);
                if let (Some(own), Some(source)) = retention {
                    check_retention(findings, own, source);
                }
            }
            // The worker only sends there, and may lack the permission to read.
            Err(failure) => findings.failure("dead-letter queue", &failure),
        },
    }
}

fn check_dead_letters(findings: &mut Findings, depth: Depth) {
    let letters = depth.visible + depth.hidden;
    let detail = plural(letters, "dead letter");
    if letters == 0 {
        findings.ok("dead-letter queue", detail);
    } else {
        findings.warn("dead-letter queue", detail);
        findings.next("usher dead-letters list");
    }
}

/// The age of a message that SQS moved counts from its first send.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html>
fn check_retention(findings: &mut Findings, own: u64, source: u64) {
    let what = "dead-letter retention";
    let [dead, live] = [own, source].map(|seconds| HumanDuration(Duration::from_secs(seconds)));
    if own > source {
        findings.ok(what, format!("{dead}; the queue's is {live}"));
    } else {
        let detail = format!(
            "{dead}, the queue's is {live}: make it longer, since a message that SQS moves keeps \
             its age"
        );
        findings.warn(what, detail);
    }
}

async fn check_table(findings: &mut Findings, profiles: &ProfilesConfig, table: &ProfileTable) {
    const WHAT: &str = "profile table";
    let schema = table.key_schema().await;
    if findings.stops(WHAT, schema.as_ref().err()) {
        return;
    }
    match schema {
        Err(failure) if failure.reason == Reason::TableNotFound => {
            findings.fail(WHAT, format!("there is no such table ({})", failure.code));
            return findings.skip_others("there is no such table");
        }
        // usher itself never calls DescribeTable; the put below tests the table.
        Err(failure) => findings.failure(WHAT, &failure),
        Ok(key) => match (&key.partition, &key.sort) {
            (_, Some(sort)) => findings.fail(WHAT, format!("it has a sort key, {sort}")),
            ((partition, _), None) if partition != table.key() => findings.fail(
                WHAT,
                format!("its key is {partition}, profiles.key says {}", table.key()),
            ),
            ((partition, true), None) => {
                findings.ok(WHAT, format!("key {partition} (String)"));
            }
            ((partition, false), None) => {
                findings.fail(WHAT, format!("its key {partition} is not a String"));
            }
        },
    }
    let put = table.probe_put().await;
    if matches!(&put, Err(failure) if failure.reason == Reason::TableNotFound) {
        findings.fail("dynamodb:PutItem", "there is no such table");
        return findings.skip_others("there is no such table");
    }
    findings.allowed("dynamodb:PutItem", put, &[]);
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
    if is_elsewhere && profiles.without_sign_up {
        let detail = "the table has profiles under another id than the sub of their owner. A new password, \
             or a sign-in through a provider, would give the owner a second profile: set profiles.owner_index, or switch \
             profiles.without_sign_up off";
        findings.fail("profiles.without_sign_up", detail);
    }
}

async fn check_request_table(findings: &mut Findings, table: &RequestTable) {
    const WHAT: &str = "request table";
    let (key, attribute) = (RequestTable::KEY, RequestTable::TIME_TO_LIVE);
    let read = table.read(NO_SUCH_USER).await;
    if findings.stops("dynamodb:BatchGetItem", read.as_ref().err()) {
        return;
    }
    if let Err(failure) = &read
        && matches!(
            failure.reason,
            Reason::TableNotFound | Reason::TableMismatch
        )
    {
        let detail = if failure.reason == Reason::TableNotFound {
            "there is no such table".to_owned()
        } else {
            format!("its key is not {key} of type String, or it has a sort key")
        };
        findings.fail(WHAT, detail);
        return findings.skip_others("need the table");
    }
    findings.allowed("dynamodb:BatchGetItem", read, &[]);
    let update = table.probe_update().await;
    findings.allowed("dynamodb:UpdateItem", update, &[]);
    match table.time_to_live().await {
        Ok(Some(found)) if found == attribute => {
            findings.ok("time to live", format!("by {attribute}"));
        }
        Ok(found) => {
            let found = found.unwrap_or_else(|| "off".to_owned());
            let detail = format!("{found}, not by {attribute}: DynamoDB deletes no request");
            findings.warn("time to live", detail);
        }
        Err(failure) => findings.failure("time to live", &failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_must_be_kept_longer_than_messages() {
        const DAY: u64 = 24 * 60 * 60;
        let warnings = |own, source| {
            let mut findings = Findings::default();
            check_retention(&mut findings, own, source);
            findings.into_report().warnings
        };
        assert_eq!(warnings(14 * DAY, 4 * DAY), 0);
        assert_eq!(warnings(4 * DAY, 4 * DAY), 1);
        assert_eq!(warnings(DAY, 4 * DAY), 1);
    }
}
