//! The part of the configuration that the Lambda uses.

use super::admin;
use super::groups;
use super::invitations::{self, InvitationMail};
use super::reader::Reader;
use super::{AdminConfig, GroupsConfig, InvalidConfig, Layers, PoolsConfig, read_pools};

/// The settings of the Lambda for forwarding and for access decisions.
#[derive(Debug, Clone)]
pub struct TriggerConfig {
    /// URL of the queue for sign-ups and admin commands. It is read separately: any other
    /// mistake must not stop sign-ups.
    pub(crate) queue_url: Result<String, InvalidConfig>,
    /// Settings for mutations, tokens and mails; an error switches all of them off.
    pub(crate) access: Result<AccessConfig, InvalidConfig>,
}

/// The settings for access decisions. They exist only if the configuration has no error:
/// otherwise a default could give access where the unreadable part does not.
#[derive(Debug, Clone)]
pub(crate) struct AccessConfig {
    pools: PoolsConfig,
    groups: GroupsConfig,
    admin: AdminConfig,
    mail: Option<InvitationMail>,
    provisions_without_sign_up: bool,
}

impl TriggerConfig {
    /// Reads the layers; errors are stored in the fields.
    pub fn from_layers(layers: &Layers) -> Self {
        let mut read = Reader::lenient(layers);
        let queue_url = read.queue_url();
        Self {
            queue_url: read.finish(()).and(queue_url),
            access: AccessConfig::from_layers(layers),
        }
    }
}

impl AccessConfig {
    /// Every layer must be readable, every key known, and every value that the Lambda reads
    /// valid. Values that only the worker reads are not checked.
    fn from_layers(layers: &Layers) -> Result<Self, InvalidConfig> {
        let mut read = Reader::new(layers);
        // An empty URL is accepted: access decisions need no queue.
        read.optional_url("queue.url");
        let admins = admin::read_groups(&mut read);
        let groups = groups::read(&mut read, &admins);
        let privileged = groups.privileged.clone();
        let brand = invitations::read_brand(&mut read);
        let access = Self {
            pools: PoolsConfig {
                allowed: read_pools(&mut read, "pools.allowed"),
            },
            admin: admin::read(&mut read, admins, privileged),
            mail: invitations::read_mail(&mut read, brand),
            provisions_without_sign_up: read.boolean("profiles.enabled")
                && read.boolean("profiles.without_sign_up"),
            groups,
        };
        read.finish(access)
    }

    pub(crate) fn pools(&self) -> &PoolsConfig {
        &self.pools
    }

    pub(crate) fn groups(&self) -> &GroupsConfig {
        &self.groups
    }

    /// Whether the worker provisions users who sign in and have no profile.
    pub(crate) fn provisions_without_sign_up(&self) -> bool {
        self.provisions_without_sign_up
    }

    pub(crate) fn admin(&self) -> &AdminConfig {
        &self.admin
    }

    /// `None`: the user pool sends its own invitation mail.
    pub(crate) fn mail(&self) -> Option<&InvitationMail> {
        self.mail.as_ref()
    }
}
