//! Configuration: the value of every key, its source and its rule.
//!
//! `config/usher.toml` is embedded: it is the manual and the lowest layer. A [`Config`]
//! holds only valid values; [`InvalidConfig`] reports all violations at once. No other
//! module reads the environment.

mod admin;
mod app_client;
mod document;
mod effective;
mod group_rules;
mod groups;
mod invitations;
mod layers;
mod owner;
#[cfg(feature = "dev")]
mod process;
mod reader;
mod shell;
mod template;
mod time;
mod token_groups;
mod traces;
mod trigger;
mod violation;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

pub(crate) use admin::{AdminConfig, GrantableGroups, TokenUse};
pub(crate) use app_client::AppClient;
pub(crate) use effective::EffectiveSetting;
pub(crate) use group_rules::GroupRule;
pub use group_rules::{Condition, ValueTest};
pub(crate) use groups::GroupsConfig;
pub(crate) use invitations::{AcceptPage, InvitationMail, InvitationsConfig, MailBody};
#[cfg(test)]
pub(crate) use layers::DEFAULTS;
pub use layers::Layers;
pub(crate) use owner::OwnerAttribute;
#[cfg(feature = "dev")]
pub(crate) use process::{folder_outside_path, program};
pub(crate) use shell::in_shell_quotes;
pub(crate) use template::{Segment, Template};
pub(crate) use time::parse_time;
pub(crate) use token_groups::TokenGroups;
pub(crate) use traces::has_trace_collector;
pub(crate) use trigger::AccessConfig;
pub use trigger::TriggerConfig;
#[cfg(feature = "dev")]
pub(crate) use violation::ConfigSource;
pub use violation::{InvalidConfig, Violation};

pub use crate::event::GroupName;
use crate::event::PoolId;
pub(crate) use crate::event::{has_html_reference, is_cognito_character};
use crate::quota::Limits;
use reader::Reader;
pub(crate) use reader::is_index_name;
#[cfg(test)]
use reader::redact;

/// The checked configuration; its values obey all rules.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) queue: QueueConfig,
    /// The user pools that usher serves.
    pub pools: PoolsConfig,
    pub(crate) groups: GroupsConfig,
    /// `None` when `profiles.enabled` is false.
    pub(crate) profiles: Option<ProfilesConfig>,
    pub(crate) worker: WorkerConfig,
    /// Calls a second to Cognito, by category of operations.
    pub quota: Limits,
    /// The administrators, and the groups that they may grant.
    pub admin: AdminConfig,
    pub(crate) invitations: InvitationsConfig,
    /// The app client of the console that `usher worker` serves; `None` switches it off.
    pub(crate) console: Option<AppClient>,
    pub(crate) load: LoadConfig,
    pub(crate) http: HttpConfig,
    /// Metrics in the log; the others are fetched over HTTP.
    pub(crate) metrics: MetricsConfig,
}

/// What a command cannot do without, among the settings without a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Required {
    /// `queue.url`.
    Queue,
    /// `queue.dead_letter_url`, or `queue.url` to ask SQS for it.
    DeadLetterQueue,
    /// `profiles.table`, unless profiles are switched off.
    Profiles,
}

#[derive(Debug, Clone)]
pub(crate) struct QueueConfig {
    /// An error if it is missing and the command does not need it.
    pub url: Result<String, InvalidConfig>,
    /// `None`: the queue that the `RedrivePolicy` names.
    pub dead_letter_url: Option<String>,
    /// Visibility timeout of a receive.
    pub visibility: Duration,
    /// Long poll, whole seconds.
    pub wait: Duration,
}

/// The section `[pools]` of the configuration.
#[derive(Debug, Clone)]
pub struct PoolsConfig {
    /// Ids of the served pools; empty means any pool.
    pub allowed: BTreeSet<PoolId>,
}

impl PoolsConfig {
    /// Whether usher handles events of this pool.
    pub(crate) fn is_allowed(&self, pool: &PoolId) -> bool {
        self.allowed.is_empty() || self.allowed.contains(pool)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ProfilesConfig {
    /// Name or ARN of the `DynamoDB` table; an error if it is missing and the command does not
    /// need it.
    pub table: Result<String, InvalidConfig>,
    /// Name of the partition key of the table.
    pub key: String,
    /// The other attributes of a profile.
    pub attributes: BTreeMap<String, Template>,
    /// The attribute that names the owner of a profile.
    pub owner: Option<OwnerAttribute>,
    /// Name of an index of the table by the owner attribute.
    pub owner_index: Option<String>,
    /// Whether a new password, or a sign-in through a provider, provisions a user without a
    /// profile.
    pub without_sign_up: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct WorkerConfig {
    /// Messages that are provisioned at once.
    pub concurrency: NonZeroUsize,
    /// Attempts before a message becomes a dead letter.
    pub max_attempts: u32,
    /// Time to finish messages in progress after a stop signal.
    pub drain: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct LoadConfig {
    /// Pools in which `usher load run` may create users; empty means none.
    pub allowed_pools: BTreeSet<PoolId>,
}

#[derive(Debug, Clone)]
pub(crate) struct HttpConfig {
    /// Address of health, readiness and metrics; `None` switches them off.
    pub listen: Option<SocketAddr>,
    /// Address of the administrators' API, `/accept` and `/console`; `None` switches all off.
    pub public_listen: Option<SocketAddr>,
}

#[derive(Debug, Clone)]
pub(crate) struct MetricsConfig {
    /// Namespace of the metrics that `CloudWatch` reads from the worker's log; `None`
    /// switches them off.
    pub cloudwatch: Option<String>,
}

impl Config {
    /// Sign-ups a second that this process's part of the quota allows. Each costs one call
    /// for each default group; groups of rules are not counted.
    pub(crate) fn sign_up_rate(&self) -> f64 {
        let groups = u32::try_from(self.groups.default.len()).unwrap_or(1).max(1);
        self.quota.part_of(self.quota.user_update) / f64::from(groups)
    }

    /// Checks every key of the layers, for a process that needs all of them.
    ///
    /// # Errors
    /// [`InvalidConfig`] with every violation.
    pub fn from_layers(layers: &Layers) -> Result<Self, InvalidConfig> {
        Self::for_command(layers, &[Required::Queue, Required::Profiles])
    }

    /// Like [`Self::from_layers`], for a command that needs only the `required` settings.
    pub(crate) fn for_command(
        layers: &Layers,
        required: &[Required],
    ) -> Result<Self, InvalidConfig> {
        let mut read = Reader::new(layers);
        let admins = admin::read_groups(&mut read);
        let groups = groups::read(&mut read, &admins);
        let privileged = groups.privileged.clone();
        let queue_url = read.queue_url();
        let dead_letter_url = read.optional_url("queue.dead_letter_url");
        let finds_dead_letters = required.contains(&Required::DeadLetterQueue);
        if required.contains(&Required::Queue) || finds_dead_letters && dead_letter_url.is_none() {
            read.require(&queue_url);
        }
        let config = Self {
            queue: QueueConfig {
                url: queue_url,
                dead_letter_url,
                visibility: read.duration("queue.visibility", secs(10)..=secs(3600)),
                wait: read.whole_seconds("queue.wait", 1..=20),
            },
            pools: PoolsConfig {
                allowed: read_pools(&mut read, "pools.allowed"),
            },
            groups,
            profiles: read_profiles(&mut read, required.contains(&Required::Profiles)),
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
            console: app_client::read(&mut read, "console", "sign in to the console"),
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
        // A long poll in progress must end within the drain, or its messages stay hidden
        // until their visibility timeout ends.
        if read.is_valid("worker.drain")
            && read.is_valid("queue.wait")
            && config.worker.drain < config.queue.wait + secs(5)
        {
            read.reject("worker.drain", "must be at least 5s longer than queue.wait");
        }
        let source = config.queue.url.as_ref().ok();
        if source.is_some() && config.queue.dead_letter_url.as_ref() == source {
            read.reject(
                "queue.dead_letter_url",
                "must not be the same queue as queue.url",
            );
        }
        let HttpConfig {
            listen,
            public_listen,
        } = config.http;
        // The system chooses a different port for each 0.
        let is_same = listen == public_listen && listen.is_some_and(|address| address.port() != 0);
        if config.has_public_server() && is_same {
            read.reject(
                "http.public_listen",
                "must not be the same address as http.listen",
            );
        }
        if config.console.is_some()
            && public_listen.is_none()
            && read.is_valid("http.public_listen")
        {
            let rule = "needs http.public_listen: where the console is served";
            read.reject("console.client_id", rule);
        }
        read.finish(config)
    }

    /// Whether the administrators' API, `/accept` or `/console` is switched on.
    pub(crate) fn has_public_server(&self) -> bool {
        !self.admin.client_ids.is_empty()
            || self.invitations.page.is_some()
            || self.console.is_some()
    }
}

/// Rejects empty and invalid entries. Otherwise a typing error would allow any pool, or
/// dead-letter the events of a served pool as foreign.
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

fn read_profiles(read: &mut Reader<'_>, is_required: bool) -> Option<ProfilesConfig> {
    const TABLE_KEY: &str = "profiles.table";
    let enabled = read.boolean("profiles.enabled");
    let table = read.text(TABLE_KEY);
    let key = read.required_text("profiles.key", "the table's partition key");
    let attributes = template::read_attributes(read, &key);
    let owner = OwnerAttribute::find_in(&attributes);
    let owner_index = read_owner_index(read, owner.as_ref());
    let without_sign_up = read.boolean("profiles.without_sign_up");
    if !enabled {
        return None;
    }
    let table = if table.is_empty() {
        Err(read.missing(
            TABLE_KEY,
            "required: the name of the DynamoDB table, or set profiles.enabled = false",
        ))
    } else {
        read.check_table_name(TABLE_KEY, &table);
        Ok(table)
    };
    if is_required {
        read.require(&table);
    }
    Some(ProfilesConfig {
        table,
        key,
        attributes,
        owner,
        owner_index,
        without_sign_up,
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

/// Checks the rule of `CloudWatch` for a namespace.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Namespace>
fn read_namespace(read: &mut Reader<'_>) -> Option<String> {
    const CLOUDWATCH_KEY: &str = "metrics.cloudwatch";
    let name = read.text(CLOUDWATCH_KEY);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-/#:".contains(c);
    if name.len() > 255
        || !name.chars().all(is_allowed)
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

/// Reads a variable of AWS for the Lambda, which does not load the SDK's configuration.
pub fn env_var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The log filter in `RUST_LOG`: levels and `TARGET=LEVEL`, separated by commas.
pub fn log_filter() -> Option<String> {
    std::env::var("RUST_LOG")
        .ok()
        .filter(|filter| !filter.is_empty())
}

/// Whether the environment allows colours: `NO_COLOR` is unset or empty, and `TERM` is not
/// `dumb`.
///
/// <https://no-color.org>
pub(crate) fn allows_colors() -> bool {
    are_colors_allowed(
        std::env::var_os("NO_COLOR").as_deref(),
        std::env::var_os("TERM").as_deref(),
    )
}

fn are_colors_allowed(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests;
