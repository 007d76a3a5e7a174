//! Configuration: every key, where its value came from, and the rule it obeys.
//!
//! `config/usher.toml` is embedded and is both the manual and the lowest layer.
//! A [`Config`] can only be made of valid values; everything that is wrong is
//! reported in one go ([`InvalidConfig`]). Nothing else in the crate reads the
//! environment.

mod admin;
mod groups;
mod invitations;
mod layers;
mod owner;
mod reader;
mod template;
mod traces;
mod trigger;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use admin::{AdminConfig, GrantableGroups, TokenUse};
pub use groups::Condition;
pub(crate) use groups::GroupRule;
pub(crate) use invitations::{AcceptPage, InvitationMail, InvitationsConfig, MailBody};
pub(crate) use layers::ConfigSource;
pub use layers::Layers;
pub(crate) use owner::OwnerAttribute;
pub(crate) use template::{Segment, Template};
pub(crate) use traces::has_trace_collector;
pub(crate) use trigger::AccessConfig;
pub use trigger::TriggerConfig;

pub use crate::event::GroupName;
use crate::event::PoolId;
pub(crate) use crate::event::{has_html_reference, is_cognito_character};
use crate::quota::Limits;
use reader::Reader;
pub(crate) use reader::redact;

/// The embedded manual and default, `config/usher.toml`.
pub(crate) const DEFAULTS: &str = include_str!("../../config/usher.toml");

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The queue and how it is polled.
    pub(crate) queue: QueueConfig,
    /// Which user pools are ours.
    pub pools: PoolsConfig,
    /// Which groups a user gets.
    pub(crate) groups: GroupsConfig,
    /// The profile record; `None` when `profiles.enabled` is false.
    pub(crate) profiles: Option<ProfilesConfig>,
    /// The worker's limits.
    pub(crate) worker: WorkerConfig,
    /// Request budgets.
    pub quota: Limits,
    /// Administrators and what they may do.
    pub admin: AdminConfig,
    /// How people are invited.
    pub(crate) invitations: InvitationsConfig,
    /// The load test.
    pub(crate) load: LoadConfig,
    /// Where HTTP is served.
    pub(crate) http: HttpConfig,
    /// Metrics that are not fetched.
    pub(crate) metrics: MetricsConfig,
}

/// `[queue]`
#[derive(Debug, Clone)]
pub(crate) struct QueueConfig {
    /// URL of the source queue.
    pub url: String,
    /// URL of the dead-letter queue, unless the `RedrivePolicy` tells it.
    pub dead_letter_url: Option<String>,
    /// Visibility timeout of a receive.
    pub visibility: Duration,
    /// Long poll, whole seconds.
    pub wait: Duration,
}

/// `[pools]`
#[derive(Debug, Clone)]
pub struct PoolsConfig {
    /// Empty means any pool.
    pub allowed: BTreeSet<PoolId>,
}

impl PoolsConfig {
    /// Whether events of this pool are acted on.
    pub(crate) fn is_allowed(&self, pool: &PoolId) -> bool {
        self.allowed.is_empty() || self.allowed.contains(pool)
    }
}

/// `[groups]`
#[derive(Debug, Clone)]
pub(crate) struct GroupsConfig {
    /// For everybody.
    pub default: Vec<GroupName>,
    /// By what the event says.
    pub rules: Vec<GroupRule>,
    /// Groups with power, those of `admin.groups` among them.
    pub privileged: BTreeSet<GroupName>,
    /// Whether a missing group is created.
    pub create_missing: bool,
}

/// `[profiles]`
#[derive(Debug, Clone)]
pub(crate) struct ProfilesConfig {
    /// The `DynamoDB` table.
    pub table: String,
    /// Its partition key.
    pub key: String,
    /// The other attributes of the record.
    pub attributes: BTreeMap<String, Template>,
    /// Which of them names the record's owner.
    pub owner: Option<OwnerAttribute>,
    /// An index of the table by that attribute.
    pub owner_index: Option<String>,
    /// Whether someone without a record is provisioned when they choose a new password.
    pub after_password_reset: bool,
}

/// `[worker]`
#[derive(Debug, Clone)]
pub(crate) struct WorkerConfig {
    /// Messages in work at once.
    pub concurrency: NonZeroUsize,
    /// Receives before the dead-letter queue.
    pub max_attempts: u32,
    /// Time to finish after a stop signal.
    pub drain: Duration,
}

/// `[load]`
#[derive(Debug, Clone)]
pub(crate) struct LoadConfig {
    /// Pools that `usher load` may make users in; empty means none.
    pub allowed_pools: BTreeSet<PoolId>,
}

/// `[http]`
#[derive(Debug, Clone)]
pub(crate) struct HttpConfig {
    /// Address of health, readiness and metrics; `None` switches them off.
    pub listen: Option<SocketAddr>,
    /// Address of the administrators' API and `/accept`; `None` switches both off.
    pub public_listen: Option<SocketAddr>,
}

/// `[metrics]`
#[derive(Debug, Clone)]
pub(crate) struct MetricsConfig {
    /// Namespace of the metrics that `CloudWatch` reads out of the worker's log; `None`
    /// switches them off.
    pub cloudwatch: Option<String>,
}

/// One value that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The key, dotted.
    pub key: String,
    /// The value given, redacted; `None` when the key was given in vain.
    pub value: Option<String>,
    /// What would be right.
    pub rule: String,
    /// Where the value came from.
    pub(crate) source: ConfigSource,
}

/// All that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConfig(pub Vec<Violation>);

impl std::fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the configuration is invalid:")?;
        for violation in &self.0 {
            write!(f, "\n  {violation}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            key,
            value,
            rule,
            source,
        } = self;
        let value = value
            .as_ref()
            .map(|v| format!(" = {v}"))
            .unwrap_or_default();
        write!(f, "{key}{value} ({source}): {rule}")
    }
}

impl std::error::Error for InvalidConfig {}

impl Config {
    /// Sign-ups a second that this process's part of the quota allows, each costing a call for each
    /// default group. Groups that rules give are not counted.
    pub(crate) fn sign_up_rate(&self) -> f64 {
        let groups = u32::try_from(self.groups.default.len()).unwrap_or(1).max(1);
        self.quota.part_of(self.quota.user_update) / f64::from(groups)
    }

    /// Checks every key of the layers.
    ///
    /// # Errors
    /// Every violation at once.
    pub fn from_layers(layers: &Layers) -> Result<Self, InvalidConfig> {
        let mut read = Reader::new(layers);
        let admins = admin::read_groups(&mut read);
        let groups = groups::read(&mut read, &admins);
        let privileged = groups.privileged.clone();
        let config = Self {
            queue: QueueConfig {
                url: read.queue_url("queue.url"),
                dead_letter_url: read.optional_url("queue.dead_letter_url"),
                visibility: read.duration("queue.visibility", secs(10)..=secs(3600)),
                wait: read.whole_seconds("queue.wait", 1..=20),
            },
            pools: PoolsConfig {
                allowed: read_pools(&mut read, "pools.allowed"),
            },
            groups,
            profiles: read_profiles(&mut read),
            worker: WorkerConfig {
                concurrency: read.nonzero_usize("worker.concurrency", 1..=4096),
                max_attempts: read.integer("worker.max_attempts", 1..=900),
                drain: read.duration("worker.drain", secs(6)..=secs(110)),
            },
            quota: Limits {
                processes: read.nonzero_u32("quota.processes", 1..=1000),
                user_update: read.number("quota.user_update", 0.1..=100_000.0),
                user_list: read.number("quota.user_list", 0.1..=1000.0),
                user_resource_read: read.number("quota.user_resource_read", 0.1..=1000.0),
                user_creation: read.number("quota.user_creation", 0.1..=1000.0),
            },
            admin: admin::read(&mut read, admins, privileged),
            invitations: invitations::read(&mut read),
            load: LoadConfig {
                allowed_pools: read_pools(&mut read, "load.allowed_pools"),
            },
            http: HttpConfig {
                listen: read.address("http.listen"),
                public_listen: read.address("http.public_listen"),
            },
            metrics: MetricsConfig {
                cloudwatch: read_namespace(&mut read),
            },
        };
        // A long poll that is under way when the worker is told to stop must be
        // able to come home, or its messages stay hidden until their timeout.
        if read.is_valid("worker.drain")
            && read.is_valid("queue.wait")
            && config.worker.drain < config.queue.wait + secs(5)
        {
            read.reject("worker.drain", "must be at least 5s longer than queue.wait");
        }
        if config.queue.dead_letter_url.as_ref() == Some(&config.queue.url) {
            read.reject(
                "queue.dead_letter_url",
                "must be another queue than queue.url",
            );
        }
        let HttpConfig {
            listen,
            public_listen,
        } = config.http;
        // The system chooses another port for each 0.
        let is_same = listen == public_listen && listen.is_some_and(|address| address.port() != 0);
        if config.has_public_server() && is_same {
            read.reject(
                "http.public_listen",
                "must be another address than http.listen",
            );
        }
        read.finish(config)
    }

    /// Whether the administrators' API or `/accept` is switched on.
    pub(crate) fn has_public_server(&self) -> bool {
        !self.admin.client_ids.is_empty() || self.invitations.page.is_some()
    }
}

/// An empty or odd entry must not pass for "any pool" or for a foreign one:
/// events of a foreign pool become dead letters.
fn read_pools(read: &mut Reader<'_>, key: &str) -> BTreeSet<PoolId> {
    let mut pools = BTreeSet::new();
    for id in read.list(key) {
        match PoolId::new(&id) {
            Some(pool) => {
                pools.insert(pool);
            }
            None => read.reject(key, format!("{id:?} is not a user pool id")),
        }
    }
    pools
}

fn read_profiles(read: &mut Reader<'_>) -> Option<ProfilesConfig> {
    let enabled = read.boolean("profiles.enabled");
    let table = read.text("profiles.table");
    let key = read.required_text("profiles.key", "the table's partition key");
    let attributes = template::read_attributes(read, &key);
    let owner = OwnerAttribute::find_in(&attributes);
    let owner_index = read_owner_index(read, owner.as_ref());
    let after_password_reset = read.boolean("profiles.after_password_reset");
    if !enabled {
        return None;
    }
    if table.is_empty() {
        read.reject(
            "profiles.table",
            "required: the name of the DynamoDB table, or set profiles.enabled = false",
        );
    } else if !is_table_name(&table) {
        read.reject(
            "profiles.table",
            "must be a table name (3 to 255 of a-z A-Z 0-9 _ . -) or ARN",
        );
    }
    Some(ProfilesConfig {
        table,
        key,
        attributes,
        owner,
        owner_index,
        after_password_reset,
    })
}

fn read_owner_index(read: &mut Reader<'_>, owner: Option<&OwnerAttribute>) -> Option<String> {
    const OWNER_INDEX_KEY: &str = "profiles.owner_index";
    let name = read.text(OWNER_INDEX_KEY);
    if name.is_empty() {
        return None;
    }
    if !is_index_name(&name) {
        read.reject(
            OWNER_INDEX_KEY,
            "must be the name of an index (3 to 255 of a-z A-Z 0-9 _ . -)",
        );
    }
    if owner.is_none() {
        read.reject(
            OWNER_INDEX_KEY,
            "no attribute of profiles.attributes names the owner: one is made of {sub}, {username} or both",
        );
    }
    Some(name)
}

/// What an index of a table may be called.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>
pub(crate) fn is_index_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (3..=255).contains(&name.len()) && name.chars().all(plain)
}

/// A name, by the rule of those of indexes, or an ARN.
fn is_table_name(name: &str) -> bool {
    is_index_name(name) || name.starts_with("arn:") && !name.contains(char::is_whitespace)
}

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Namespace>
fn read_namespace(read: &mut Reader<'_>) -> Option<String> {
    const CLOUDWATCH_KEY: &str = "metrics.cloudwatch";
    let name = read.text(CLOUDWATCH_KEY);
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/#:".contains(c);
    if name.len() > 255
        || !name.chars().all(plain)
        || name.starts_with([':', '/'])
        || name.starts_with("AWS/")
    {
        read.reject(
            CLOUDWATCH_KEY,
            "must be a CloudWatch namespace (up to 255 of a-z A-Z 0-9 . _ - / # :, and not one of AWS/), or empty",
        );
    }
    (!name.is_empty()).then_some(name)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Where the configuration file is, from `USHER_CONFIG`.
pub fn file_from_environment() -> Option<PathBuf> {
    std::env::var_os("USHER_CONFIG")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// A variable of AWS's, for what is not loaded by the SDK.
pub fn env_var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The log filter of `RUST_LOG`, as the tracing ecosystem spells it.
pub fn log_filter() -> Option<String> {
    std::env::var("RUST_LOG")
        .ok()
        .filter(|filter| !filter.is_empty())
}

#[cfg(test)]
mod tests;
