//! `usher check`: tests the settings and permissions of a deployment without changing it.

mod admin;
mod invitations;
mod issuer;
mod trigger;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::{CommandStatus, Global, Output, Usage, print, print_json};
use crate::app::Services;
use crate::aws::{Aws, Cognito, Failure, ProfileTable, Queue, QueueAttributes};
use crate::config::{self, Config, GroupName, OwnerAttribute};
use crate::event::{PoolId, Username};
use crate::reason::Reason;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum FindingState {
    Right,
    Wrong,
    /// Unknown: a test would change something, or a read is denied.
    NotTested,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    state: FindingState,
    detail: String,
}

/// A receipt that no queue issued. SQS refuses the call for it only after it has checked the
/// permission.
const NO_SUCH_RECEIPT: &str = "usher-check-no-such-receipt";
/// A name that no user has. It is an address, since a pool may use addresses as user names, and
/// no mail can be sent to it.
///
/// <https://www.rfc-editor.org/rfc/rfc2606>
const NO_SUCH_USER: &str = "usher-check-no-such-user@example.invalid";
/// Profiles that are read to find some under other ids.
const SAMPLED_PROFILES: i32 = 100;

#[derive(Default)]
struct Findings(Vec<Finding>);

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config()?;
    let services = Services::from_environment(config).await?;
    let (config, aws) = (&services.config, services.aws());
    let mut findings = Findings::default();
    findings.add_right("configuration", format!("valid; Region {}", aws.region()));
    if let Some(file) = &options.trigger_variables {
        let variables = trigger::read_variables(file)?;
        findings.check_trigger_settings(variables, global.config.as_deref());
    }

    let queue = services.queue_with_wait(Duration::ZERO);
    match aws.other_region_of_queue(queue.url()) {
        Some(region) => findings.add_wrong("queue", &region_mismatch(region, aws)),
        None => findings.check_queue(config, &queue).await,
    }
    if let Some((profiles, table)) = config.profiles.as_ref().zip(services.profiles()) {
        findings.check_table(profiles, &table).await;
    }
    let mut pools: Vec<PoolId> = config.pools.allowed.iter().cloned().collect();
    for id in &options.pool {
        let pool = PoolId::new(id);
        pools.push(pool.ok_or_else(|| Usage::error("--pool: not the id of a user pool"))?);
    }
    if pools.is_empty() {
        findings.add_untested("user pool", "pools.allowed is empty: name one with --pool");
    }
    let cognito = services.cognito();
    for pool in &pools {
        if !findings.check_pool(config, aws, &cognito, pool).await {
            continue;
        }
        let settings = services.pool_settings().read(pool).await;
        findings.check_trigger(pool, &settings);
        findings.check_invitations(&config.invitations, pool, &settings);
        let issuer = findings.check_issuer(&config.admin, pool, &settings);
        findings.check_listing(config, &cognito, pool).await;
        if !config.admin.client_ids.is_empty() {
            findings
                .check_issuer_keys(&config.admin, pool, issuer)
                .await;
        }
        findings.check_admin(config, &cognito, pool).await;
    }
    if let Some(page) = &config.invitations.page {
        findings.check_accept_client(services.sign_in(page)).await;
    }
    findings.print(global.output)
}

fn region_mismatch(region: &str, aws: &Aws) -> String {
    format!("is in {region}, and AWS_REGION is {}", aws.region())
}

impl Findings {
    async fn check_queue(&mut self, config: &Config, queue: &Queue) {
        match queue.attributes().await {
            Err(failure) => {
                self.add_failure("queue", &failure);
                if failure.reason == Reason::QueueNotFound {
                    return;
                }
            }
            Ok(attributes) => {
                let depth = attributes.depth;
                self.add_right(
                    "queue",
                    format!("{} waiting, {} in flight", depth.visible, depth.hidden),
                );
                self.check_redrive(config, queue, attributes).await;
            }
        }
        let delete = queue.delete(&[NO_SUCH_RECEIPT]).await.map(|_| ());
        self.check_allowed("sqs:DeleteMessage", delete, &["ReceiptHandleIsInvalid"]);
        let hide = queue
            .change_visibility(&[(NO_SUCH_RECEIPT, Duration::ZERO)])
            .await
            .map(|_| ());
        self.check_allowed(
            "sqs:ChangeMessageVisibility",
            hide,
            &["ReceiptHandleIsInvalid"],
        );
        self.add_untested(
            "sqs:ReceiveMessage",
            "a receive would count against a message",
        );
    }

    async fn check_redrive(&mut self, config: &Config, queue: &Queue, attributes: QueueAttributes) {
        let QueueAttributes {
            redrive_policy: redrive,
            retention_seconds: retention,
            ..
        } = attributes;
        let attempts = config.worker.max_attempts;
        let has_dead_letter_queue = match (&redrive, &config.queue.dead_letter_url) {
            (Some(redrive), _) if redrive.max_receive_count <= attempts => {
                self.add_wrong(
                    "redrive policy",
                    &format!(
                        "maxReceiveCount is {} and worker.max_attempts {attempts}: SQS would move \
                         messages before usher has written the reason; raise the first above the second",
                        redrive.max_receive_count,
                    ),
                );
                true
            }
            (Some(redrive), _) => {
                let count = redrive.max_receive_count;
                self.add_right(
                    "redrive policy",
                    format!("maxReceiveCount {count} is above worker.max_attempts {attempts}"),
                );
                true
            }
            (None, Some(_)) => {
                self.add_right(
                    "redrive policy",
                    "none; queue.dead_letter_url is set".to_owned(),
                );
                true
            }
            (None, None) => {
                self.add_wrong(
                    "redrive policy",
                    "none, and queue.dead_letter_url is not set",
                );
                false
            }
        };
        if !has_dead_letter_queue {
            return;
        }
        let dead_letters = match (&config.queue.dead_letter_url, redrive) {
            (Some(url), _) => Ok(queue.with_url_and_endpoint(url)),
            (None, Some(redrive)) => {
                let url = queue.url_of(&redrive.target_arn).await;
                url.map(|url| queue.with_url(&url))
            }
            (None, None) => return,
        };
        match dead_letters {
            Err(failure) => self.add_wrong("dead-letter queue", &failure),
            Ok(dead_letters) => match dead_letters.attributes().await {
                Ok(attributes) if attributes.retention_seconds < retention => self.add_wrong(
                    "dead-letter queue",
                    "keeps letters for a shorter time than the queue keeps messages, and a letter's age counts from its first day on the queue",
                ),
                Ok(attributes) => self.add_right(
                    "dead-letter queue",
                    format!("{} letters", attributes.depth.visible + attributes.depth.hidden),
                ),
                // The worker only sends there, and may lack the permission to read.
                Err(failure) => self.add_failure("dead-letter queue", &failure),
            },
        }
        self.add_untested(
            "sqs:SendMessage",
            "a letter or a message would have to be sent",
        );
    }

    async fn check_table(&mut self, profiles: &config::ProfilesConfig, table: &ProfileTable) {
        let name = &profiles.table;
        match table.key_schema().await {
            // usher itself never calls DescribeTable; the put below tests the table.
            Err(failure) => self.add_failure("profile table", &failure),
            Ok(key) => match (&key.partition, &key.sort) {
                ((partition, true), None) if partition == table.key() => {
                    self.add_right("profile table", format!("{name}, key {partition} (String)"));
                }
                ((partition, _), None) if partition != table.key() => self.add_wrong(
                    "profile table",
                    &format!("its key is {partition}, profiles.key says {}", table.key()),
                ),
                ((partition, _), None) => {
                    self.add_wrong(
                        "profile table",
                        &format!("its key {partition} is not a String"),
                    );
                }
                (_, Some(sort)) => {
                    self.add_wrong("profile table", &format!("it has a sort key, {sort}"));
                }
            },
        }
        self.check_allowed("dynamodb:PutItem", table.probe_put().await, &[]);
        // For the Reconcile command and `usher reconcile`.
        let read = table.existing(&[NO_SUCH_USER]).await.map(|_| ());
        self.check_allowed("dynamodb:BatchGetItem", read, &[]);
        let Some(owner) = &profiles.owner else {
            return;
        };
        let attribute = owner.name();
        match &profiles.owner_index {
            None => {
                let page = table
                    .scan_owners(attribute, None, Some(SAMPLED_PROFILES))
                    .await;
                let is_elsewhere = page.as_ref().is_ok_and(|page| {
                    let mut items = page.items.iter();
                    items.any(|(id, value)| OwnerAttribute::has_other_id(id, value))
                });
                self.check_allowed("dynamodb:Scan", page.map(|_| ()), &[]);
                if is_elsewhere && profiles.after_password_reset {
                    let detail = format!(
                        "{name} has records under another id than the sub of their owner. A new \
                         password would give the owner a second record: set profiles.owner_index, \
                         or switch profiles.after_password_reset off"
                    );
                    self.add_wrong("profiles.after_password_reset", &detail);
                }
            }
            Some(index) => {
                let unknown = [NO_SUCH_USER.to_owned()];
                let query = table.has_owner(index, attribute, &unknown).await;
                let what = format!("dynamodb:Query on {index}, key {attribute}");
                self.check_allowed(&what, query.map(|_| ()), &[]);
            }
        }
    }

    async fn check_listing(&mut self, config: &Config, cognito: &Cognito, pool: &PoolId) {
        let users = cognito.list_users(pool, None).await.map(|_| ());
        self.check_allowed(&format!("cognito-idp:ListUsers on {pool}"), users, &[]);
        if let Some(group) = config.groups.default.first() {
            let members = cognito.list_members(pool, group, None).await.map(|_| ());
            let what = format!("cognito-idp:ListUsersInGroup on {pool}");
            self.check_allowed(&what, members, &[]);
        }
    }

    /// Checks the groups and calls of a pool; false where the pool does not exist.
    async fn check_pool(
        &mut self,
        config: &Config,
        aws: &Aws,
        cognito: &Cognito,
        pool: &PoolId,
    ) -> bool {
        let Some(no_such_user) = Username::new(NO_SUCH_USER) else {
            return false;
        };
        let get = cognito.sub_of(pool, &no_such_user).await.map(|_| ());
        let missing = matches!(&get, Err(failure) if failure.reason == Reason::PoolNotFound);
        if missing {
            let region = aws.other_region_of_pool(pool);
            let detail = region.map_or_else(
                || "does not exist".to_owned(),
                |it| region_mismatch(it, aws),
            );
            self.add_wrong(&format!("user pool {pool}"), &detail);
            return false;
        }
        self.check_allowed(
            &format!("cognito-idp:AdminGetUser on {pool}"),
            get,
            &["UserNotFoundException"],
        );
        let mut groups: Vec<&GroupName> = config.groups.default.iter().collect();
        groups.extend(config.groups.rules.iter().flat_map(|rule| &rule.groups));
        groups.sort_unstable();
        groups.dedup();
        let mut existing = None;
        for group in &groups {
            let what = format!("group {group} in {pool}");
            match cognito.has_group(pool, group).await {
                Ok(true) => {
                    existing = Some(*group);
                    self.add_right(&what, "exists".to_owned());
                }
                Ok(false) if config.groups.create_missing => {
                    self.add_right(&what, "will be created with its first member".to_owned());
                }
                Ok(false) => self.add_wrong(&what, "missing, and groups.create_missing is false"),
                // Only invitations need this call.
                Err(failure) => self.add_failure(&what, &failure),
            }
        }
        if let Some(group) = groups.first() {
            let add = cognito.add_to_group(pool, &no_such_user, group).await;
            let expected_codes = ["UserNotFoundException", "ResourceNotFoundException"];
            self.check_allowed(
                &format!("cognito-idp:AdminAddUserToGroup on {pool}"),
                add,
                &expected_codes,
            );
        }
        if config.groups.create_missing {
            let what = format!("cognito-idp:CreateGroup on {pool}");
            match existing {
                Some(group) => {
                    let create = cognito.create_group(pool, group).await;
                    self.check_allowed(&what, create, &[]);
                }
                None => self.add_untested(&what, "none of the groups exists: one would be created"),
            }
        }
        true
    }

    /// An error with one of `expected_codes` shows that the call was allowed.
    fn check_allowed(&mut self, what: &str, result: Result<(), Failure>, expected_codes: &[&str]) {
        match result {
            Err(failure) if !expected_codes.contains(&failure.code.as_str()) => {
                self.add_wrong(what, &failure);
            }
            _ => self.add_right(what, "allowed".to_owned()),
        }
    }

    /// A denied read leaves the finding untested.
    fn add_failure(&mut self, what: &str, failure: &Failure) {
        if failure.reason == Reason::AccessDenied {
            self.add_untested(what, &failure.to_string());
        } else {
            self.add_wrong(what, failure);
        }
    }

    fn add_right(&mut self, what: &str, detail: String) {
        self.0.push(Finding {
            what: what.to_owned(),
            state: FindingState::Right,
            detail,
        });
    }

    fn add_wrong(&mut self, what: &str, detail: &(impl ToString + ?Sized)) {
        let detail = detail.to_string();
        self.0.push(Finding {
            what: what.to_owned(),
            state: FindingState::Wrong,
            detail,
        });
    }

    fn add_untested(&mut self, what: &str, detail: &str) {
        let (what, detail) = (what.to_owned(), detail.to_owned());
        self.0.push(Finding {
            what,
            state: FindingState::NotTested,
            detail,
        });
    }

    fn print(&self, output: Output) -> anyhow::Result<CommandStatus> {
        match output {
            Output::Json => print_json(&self.0)?,
            Output::Text => {
                let mut text = String::new();
                let width = self
                    .0
                    .iter()
                    .map(|finding| finding.what.len())
                    .max()
                    .unwrap_or(0);
                for Finding {
                    what,
                    state,
                    detail,
                } in &self.0
                {
                    let mark = match state {
                        FindingState::Right => "ok",
                        FindingState::Wrong => "WRONG",
                        FindingState::NotTested => "-",
                    };
                    writeln!(text, "{mark:<6}{what:width$}  {detail}")?;
                }
                print(&text)?;
            }
        }
        let has_wrong = self
            .0
            .iter()
            .any(|finding| finding.state == FindingState::Wrong);
        Ok(if has_wrong {
            CommandStatus::Failure
        } else {
            CommandStatus::Success
        })
    }
}
