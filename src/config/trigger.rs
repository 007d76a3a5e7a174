//! What the Lambda needs of the configuration.

use super::admin;
use super::groups;
use super::invitations::{self, InvitationMail};
use super::reader::Reader;
use super::{Admin, Groups, Invalid, Layers, Pools, read_pools};

/// Each part stands by itself: a mistake in the rules of groups must not keep
/// sign-ups from being forwarded.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Where sign-ups and commands go.
    pub queue_url: Result<String, Invalid>,
    /// The pools that are ours.
    pub pools: Result<Pools, Invalid>,
    /// The rules of groups, for tokens.
    pub groups: Result<Groups, Invalid>,
    /// Who may call a mutation.
    pub admin: Result<Admin, Invalid>,
    /// The mail of an invitation.
    pub mail: Result<Option<InvitationMail>, Invalid>,
}

impl Trigger {
    /// From the layers, part by part.
    pub fn from_layers(layers: &Layers) -> Self {
        Self {
            queue_url: part(layers, |read| read.queue_url("queue.url")),
            pools: part(layers, |read| Pools {
                allowed: read_pools(read, "pools.allowed"),
            }),
            groups: part(layers, |read| {
                let admins = admin::read_groups(read);
                groups::read(read, &admins)
            }),
            admin: part(layers, |read| {
                let admins = admin::read_groups(read);
                let privileged = groups::read(read, &admins).privileged;
                admin::read(read, admins, privileged)
            }),
            mail: part(layers, invitations::read_mail),
        }
    }
}

fn part<T>(layers: &Layers, read: impl FnOnce(&mut Reader<'_>) -> T) -> Result<T, Invalid> {
    let mut reader = Reader::lenient(layers);
    let value = read(&mut reader);
    reader.finish(value)
}
