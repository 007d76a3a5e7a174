//! What the Lambda needs of the configuration.

use super::admin;
use super::groups;
use super::invitations::{self, InvitationMail};
use super::reader::Reader;
use super::{AdminConfig, GroupsConfig, InvalidConfig, Layers, PoolsConfig, read_pools};

/// The Lambda's settings: what it forwards with, and what it decides on access by.
#[derive(Debug, Clone)]
pub struct TriggerConfig {
    /// Where sign-ups and commands go. Read by itself: a mistake anywhere else must not
    /// keep sign-ups from being forwarded.
    pub(crate) queue_url: Result<String, InvalidConfig>,
    /// What mutations, tokens and mails are answered by; the error says why they are
    /// switched off.
    pub(crate) access: Result<AccessConfig, InvalidConfig>,
}

/// What the Lambda decides on access by. There is none unless the whole configuration was
/// read without an error: a part that stands in for one that cannot be read would let in
/// whomever the defaults let in.
#[derive(Debug, Clone)]
pub(crate) struct AccessConfig {
    pools: PoolsConfig,
    groups: GroupsConfig,
    admin: AdminConfig,
    mail: Option<InvitationMail>,
}

impl TriggerConfig {
    /// From the layers.
    pub fn from_layers(layers: &Layers) -> Self {
        let mut read = Reader::lenient(layers);
        let queue_url = read.queue_url("queue.url");
        Self {
            queue_url: read.finish(queue_url),
            access: AccessConfig::from_layers(layers),
        }
    }
}

impl AccessConfig {
    /// Every layer and every key must be known, and the values that the Lambda reads be
    /// right. Values that only the service reads are not looked at.
    fn from_layers(layers: &Layers) -> Result<Self, InvalidConfig> {
        let mut read = Reader::new(layers);
        // Without a queue nothing is sent, and who is let in is still known.
        read.optional_url("queue.url");
        let admins = admin::read_groups(&mut read);
        let groups = groups::read(&mut read, &admins);
        let privileged = groups.privileged.clone();
        let access = Self {
            pools: PoolsConfig {
                allowed: read_pools(&mut read, "pools.allowed"),
            },
            admin: admin::read(&mut read, admins, privileged),
            mail: invitations::read_mail(&mut read),
            groups,
        };
        read.finish(access)
    }

    /// The pools that are ours.
    pub(crate) fn pools(&self) -> &PoolsConfig {
        &self.pools
    }

    /// The rules of groups, for tokens.
    pub(crate) fn groups(&self) -> &GroupsConfig {
        &self.groups
    }

    /// Who may call a mutation.
    pub(crate) fn admin(&self) -> &AdminConfig {
        &self.admin
    }

    /// The mail of an invitation; `None` leaves it to the user pool.
    pub(crate) fn mail(&self) -> Option<&InvitationMail> {
        self.mail.as_ref()
    }
}
