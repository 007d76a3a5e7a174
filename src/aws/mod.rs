//! The real services, one file each. `aws_sdk_*` appears nowhere else.
//!
//! The SDK's own retries are off but in the trigger: attempts must not multiply, the worker's rate
//! budget has to see every throttle, and the SDK would also retry Cognito's
//! permanent `LimitExceededException`.

mod batch_get;
mod call;
mod classify;
mod client;
mod directory;
mod error;
mod identity;
mod item;
mod keys;
mod lambda;
mod listing;
mod mailing;
mod message;
mod moves;
mod next_page;
mod not_accepted;
mod owners;
mod people;
#[cfg(test)]
pub(crate) mod played;
mod pool_settings;
mod profiles;
mod queue;
mod queue_host;
mod records;
mod region;
mod resend;
#[cfg(feature = "dev")]
mod sandbox;
mod send;
mod sign_in;
mod users;

pub use call::with_deadline;
pub use client::{ATTEMPT, Aws, NoRegion};
pub use directory::Directory;
pub use error::{Class, Failure, Service};
pub use keys::{KeySets, KeysError};
pub use listing::{Listed, Listing, Page, Status};
pub use message::{Depth, Outgoing, QueueFacts, Received, Redrive, Undone};
pub use moves::{MoveTask, Moves};
pub use not_accepted::{Fault, NotAccepted};
pub use people::{NoPerson, People, Person};
pub use pool_settings::{Members, PoolSettings, Refused};
pub use profiles::{Profiles, Put, TableKey};
pub use queue::{BATCH, Queue};
pub use records::{Record, Records};
pub use resend::Names;
#[cfg(feature = "dev")]
pub use sandbox::{Pool, PoolKind, Sandbox, SignedIn, Tokens};
pub use sign_in::{Acceptance, App, SignIn};
pub use users::{Created, SignInName, Users};
