//! `usher check`: what a deployment has and what it lacks, found out without
//! changing anything.

mod admin;
mod invitations;
mod issuer;
mod trigger;

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Ended, Global, Output, Usage, print, print_json};
use crate::aws::{Aws, Directory, Failure, Listing, PoolSettings, Profiles, Queue, QueueFacts};
use crate::config::{self, Config, GroupName};
use crate::event::{PoolId, Username};
use crate::quota::Quota;

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
enum State {
    Right,
    Wrong,
    /// It could be found out only by doing it.
    NotTested,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    state: State,
    detail: String,
}

/// A receipt that no queue has issued: the call is refused for it, unless it is
/// refused for want of permission first.
const NO_RECEIPT: &str = "usher-check-no-such-receipt";
/// The name of nobody: an address, since a pool may name its users by theirs, and one that
/// no mail can be sent to.
///
/// <https://www.rfc-editor.org/rfc/rfc2606>
const NO_USER: &str = "usher-check-no-such-user@example.invalid";
/// Records that are read to see whether some are under other ids.
const SAMPLE: i32 = 100;

#[derive(Default)]
struct Findings(Vec<Finding>);

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<Ended> {
    let config = global.config()?;
    let aws = Aws::from_environment().await?;
    let mut findings = Findings::default();
    findings.right("configuration", format!("valid; Region {}", aws.region()));
    if let Some(file) = &options.trigger_variables {
        let variables = trigger::variables(file)?;
        findings.trigger_settings(variables, global.config.as_deref());
    }

    let queue = &config.queue;
    let queue = Queue::new(&aws, &queue.url, Duration::ZERO, queue.visibility);
    match aws.other_region_of_queue(queue.url()) {
        Some(region) => findings.wrong("queue", &beside(region, &aws)),
        None => findings.queue(&config, &queue).await,
    }
    if let Some(profiles) = &config.profiles {
        let table = Profiles::new(&aws, &profiles.table, &profiles.key);
        findings.table(profiles, &table).await;
    }
    let mut pools: Vec<PoolId> = config.pools.allowed.iter().cloned().collect();
    for id in &options.pool {
        let pool = PoolId::new(id);
        pools.push(pool.ok_or_else(|| Usage::error("--pool: not the id of a user pool"))?);
    }
    if pools.is_empty() {
        findings.untested("user pool", "pools.allowed is empty: name one with --pool");
    }
    let quota = Arc::new(Quota::new(config.quota));
    let directory = Directory::new(&aws, Arc::clone(&quota));
    let listing = Listing::new(&aws, Arc::clone(&quota));
    for pool in &pools {
        if !findings.pool(&config, &aws, &directory, pool).await {
            continue;
        }
        let settings = PoolSettings::new(&aws).read(pool).await;
        findings.trigger(pool, &settings);
        findings.invitations(&config.invitations, pool, &settings);
        let issuer = findings.issuer(&config.admin, pool, &settings);
        findings.lists(&config, &listing, pool).await;
        if !config.admin.client_ids.is_empty() {
            findings.keys(&config.admin, pool, issuer).await;
        }
        findings.admin(&config, &directory, &listing, pool).await;
    }
    if let Some(page) = &config.invitations.page {
        findings.accept(page, &aws, quota).await;
    }
    findings.print(global.output)
}

fn beside(region: &str, aws: &Aws) -> String {
    format!("is in {region}, and AWS_REGION is {}", aws.region())
}

impl Findings {
    async fn queue(&mut self, config: &Config, queue: &Queue) {
        match queue.facts().await {
            Err(failure) => {
                self.unknown("queue", &failure);
                if failure.reason == "queue_not_found" {
                    return;
                }
            }
            Ok(facts) => {
                let depth = facts.depth;
                self.right(
                    "queue",
                    format!("{} waiting, {} in flight", depth.visible, depth.hidden),
                );
                self.redrive(config, queue, facts).await;
            }
        }
        let delete = queue.delete(&[NO_RECEIPT]).await.map(|_| ());
        self.allowed("sqs:DeleteMessage", delete, &["ReceiptHandleIsInvalid"]);
        let hide = queue
            .hide(&[(NO_RECEIPT, Duration::ZERO)])
            .await
            .map(|_| ());
        self.allowed(
            "sqs:ChangeMessageVisibility",
            hide,
            &["ReceiptHandleIsInvalid"],
        );
        self.untested(
            "sqs:ReceiveMessage",
            "a receive would count against a message",
        );
    }

    async fn redrive(&mut self, config: &Config, queue: &Queue, facts: QueueFacts) {
        let QueueFacts {
            redrive, retention, ..
        } = facts;
        let attempts = config.worker.max_attempts;
        let found = match (&redrive, &config.queue.dead_letter_url) {
            (Some(redrive), _) if redrive.max_receive_count <= attempts => {
                self.wrong(
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
                self.right(
                    "redrive policy",
                    format!("maxReceiveCount {count} is above worker.max_attempts {attempts}"),
                );
                true
            }
            (None, Some(_)) => {
                self.right(
                    "redrive policy",
                    "none; queue.dead_letter_url is set".to_owned(),
                );
                true
            }
            (None, None) => {
                self.wrong(
                    "redrive policy",
                    "none, and queue.dead_letter_url is not set",
                );
                false
            }
        };
        if !found {
            return;
        }
        let letters = match (&config.queue.dead_letter_url, redrive) {
            (Some(url), _) => Ok(queue.beside(url)),
            (None, Some(redrive)) => {
                let url = queue.url_of(&redrive.target_arn).await;
                url.map(|url| queue.sibling(&url))
            }
            (None, None) => return,
        };
        match letters {
            Err(failure) => self.wrong("dead-letter queue", &failure),
            Ok(letters) => match letters.facts().await {
                Ok(facts) if facts.retention < retention => self.wrong(
                    "dead-letter queue",
                    "keeps letters for a shorter time than the queue keeps messages, and a letter's age counts from its first day on the queue",
                ),
                Ok(facts) => self.right(
                    "dead-letter queue",
                    format!("{} letters", facts.depth.visible + facts.depth.hidden),
                ),
                // The worker itself only sends there.
                Err(failure) => self.unknown("dead-letter queue", &failure),
            },
        }
        self.untested(
            "sqs:SendMessage",
            "a letter or a message would have to be sent",
        );
    }

    async fn table(&mut self, profiles: &config::Profiles, table: &Profiles) {
        let name = &profiles.table;
        match table.key_schema().await {
            // usher itself never calls DescribeTable; the put tells enough.
            Err(failure) => self.unknown("profile table", &failure),
            Ok(key) => match (&key.partition, &key.sort) {
                ((partition, true), None) if partition == table.key() => {
                    self.right("profile table", format!("{name}, key {partition} (String)"));
                }
                ((partition, _), None) if partition != table.key() => self.wrong(
                    "profile table",
                    &format!("its key is {partition}, profiles.key says {}", table.key()),
                ),
                ((partition, _), None) => {
                    self.wrong(
                        "profile table",
                        &format!("its key {partition} is not a String"),
                    );
                }
                (_, Some(sort)) => {
                    self.wrong("profile table", &format!("it has a sort key, {sort}"));
                }
            },
        }
        self.allowed("dynamodb:PutItem", table.probe_put().await, &[]);
        // For the Reconcile command and `usher reconcile`.
        let read = table.present(&[NO_USER]).await.map(|_| ());
        self.allowed("dynamodb:BatchGetItem", read, &[]);
        let Some(owner) = &profiles.owner else {
            return;
        };
        let attribute = owner.attribute();
        match &profiles.owner_index {
            None => {
                let page = table.owners(attribute, None, Some(SAMPLE)).await;
                let is_elsewhere = page.as_ref().is_ok_and(|page| {
                    let mut records = page.items.iter();
                    records.any(|(id, value)| owner.is_elsewhere(id, value))
                });
                self.allowed("dynamodb:Scan", page.map(|_| ()), &[]);
                if is_elsewhere && profiles.after_password_reset {
                    let detail = format!(
                        "{name} has records under another id than the sub of their owner. A new \
                         password would give the owner a second record: set profiles.owner_index, \
                         or switch profiles.after_password_reset off"
                    );
                    self.wrong("profiles.after_password_reset", &detail);
                }
            }
            Some(index) => {
                let unknown = [NO_USER.to_owned()];
                let query = table.has_owner(index, attribute, &unknown).await;
                let what = format!("dynamodb:Query on {index}, key {attribute}");
                self.allowed(&what, query.map(|_| ()), &[]);
            }
        }
    }

    async fn lists(&mut self, config: &Config, listing: &Listing, pool: &PoolId) {
        let users = listing.users(pool, None).await.map(|_| ());
        self.allowed(&format!("cognito-idp:ListUsers on {pool}"), users, &[]);
        if let Some(group) = config.groups.default.first() {
            let members = listing.members(pool, group, None).await.map(|_| ());
            let what = format!("cognito-idp:ListUsersInGroup on {pool}");
            self.allowed(&what, members, &[]);
        }
    }

    /// Whether there is such a pool.
    async fn pool(
        &mut self,
        config: &Config,
        aws: &Aws,
        directory: &Directory,
        pool: &PoolId,
    ) -> bool {
        let Some(nobody) = Username::new(NO_USER) else {
            return false;
        };
        let get = directory.sub_of(pool, &nobody).await.map(|_| ());
        let missing = matches!(&get, Err(failure) if failure.reason == "pool_not_found");
        if missing {
            let region = aws.other_region_of_pool(pool);
            let detail = region.map_or_else(|| "does not exist".to_owned(), |it| beside(it, aws));
            self.wrong(&format!("user pool {pool}"), &detail);
            return false;
        }
        self.allowed(
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
            match directory.has_group(pool, group).await {
                Ok(true) => {
                    existing = Some(*group);
                    self.right(&what, "exists".to_owned());
                }
                Ok(false) if config.groups.create_missing => {
                    self.right(&what, "will be created with its first member".to_owned());
                }
                Ok(false) => self.wrong(&what, "missing, and groups.create_missing is false"),
                // For invitations alone.
                Err(failure) => self.unknown(&what, &failure),
            }
        }
        if let Some(group) = groups.first() {
            let add = directory.add_to_group(pool, &nobody, group).await;
            let fine = ["UserNotFoundException", "ResourceNotFoundException"];
            self.allowed(
                &format!("cognito-idp:AdminAddUserToGroup on {pool}"),
                add,
                &fine,
            );
        }
        if config.groups.create_missing {
            let what = format!("cognito-idp:CreateGroup on {pool}");
            match existing {
                Some(group) => {
                    let create = directory.create_group(pool, group).await;
                    self.allowed(&what, create, &[]);
                }
                None => self.untested(&what, "none of the groups exists: one would be created"),
            }
        }
        true
    }

    /// A call that was refused for `fine` reasons was allowed to be made.
    fn allowed(&mut self, what: &str, result: Result<(), Failure>, fine: &[&str]) {
        match result {
            Err(failure) if !fine.contains(&failure.code.as_str()) => self.wrong(what, &failure),
            _ => self.right(what, "allowed".to_owned()),
        }
    }

    /// A question that the role may not ask leaves the answer open.
    fn unknown(&mut self, what: &str, failure: &Failure) {
        if failure.reason == "access_denied" {
            self.untested(what, &failure.to_string());
        } else {
            self.wrong(what, failure);
        }
    }

    fn right(&mut self, what: &str, detail: String) {
        self.0.push(Finding {
            what: what.to_owned(),
            state: State::Right,
            detail,
        });
    }

    fn wrong(&mut self, what: &str, detail: &(impl ToString + ?Sized)) {
        let detail = detail.to_string();
        self.0.push(Finding {
            what: what.to_owned(),
            state: State::Wrong,
            detail,
        });
    }

    fn untested(&mut self, what: &str, detail: &str) {
        let (what, detail) = (what.to_owned(), detail.to_owned());
        self.0.push(Finding {
            what,
            state: State::NotTested,
            detail,
        });
    }

    fn print(&self, output: Output) -> anyhow::Result<Ended> {
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
                        State::Right => "ok",
                        State::Wrong => "WRONG",
                        State::NotTested => "-",
                    };
                    writeln!(text, "{mark:<6}{what:width$}  {detail}")?;
                }
                print(&text)?;
            }
        }
        let wrong = self.0.iter().any(|finding| finding.state == State::Wrong);
        Ok(if wrong { Ended::Badly } else { Ended::Well })
    }
}
