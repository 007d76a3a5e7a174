//! Clients for SQS, Cognito, `DynamoDB` and STS. `aws_sdk_*` appears nowhere else.
//!
//! The SDK's own retries are off, except in the trigger: attempts must not multiply, and the
//! worker's rate budget has to see every throttle. The SDK would also retry Cognito's permanent
//! `LimitExceededException`.

mod accept_error;
mod batch_get;
mod call;
mod classify;
mod client;
mod directory;
mod error;
#[cfg(test)]
pub(crate) mod fake_cognito;
mod identity;
mod item;
mod jwks;
mod lambda;
mod listing;
mod mailing;
mod message;
mod move_tasks;
mod next_page;
mod owners;
mod pool_settings;
mod profiles;
mod queue;
mod queue_host;
mod region;
mod resend;
#[cfg(feature = "dev")]
mod sandbox;
mod send;
mod sign_in;
mod test_profiles;
mod user_manager;
mod users;

pub(crate) use accept_error::AcceptError;
pub(crate) use call::with_deadline;
pub(crate) use client::ATTEMPT_TIMEOUT;
pub use client::Aws;
pub use directory::Directory;
pub use error::Service;
pub(crate) use error::{Class, Failure};
pub use jwks::JwksClient;
pub(crate) use listing::{ListedUser, Listing};
pub use listing::{Page, UserStatus};
pub use message::{Depth, Outgoing, Received, RedrivePolicy};
pub(crate) use message::{FailedEntry, QueueAttributes};
pub(crate) use move_tasks::MoveTask;
pub use move_tasks::MoveTasks;
pub(crate) use pool_settings::SettingsError;
pub use pool_settings::{JsonObject, PoolSettings};
pub use profiles::{ProfileTable, PutResult};
pub(crate) use queue::MAX_BATCH_ENTRIES;
pub use queue::Queue;
pub(crate) use resend::UsernameCandidates;
#[cfg(feature = "dev")]
pub use sandbox::{PoolOptions, Sandbox, SandboxPool, SignInResult, Tokens};
pub(crate) use sign_in::{Acceptance, ClientCredentials, SignIn};
pub(crate) use test_profiles::{ProfileAttributes, TestProfiles};
pub use user_manager::PoolUser;
pub(crate) use user_manager::{FindUserError, UserManager};
pub use users::Users;
pub(crate) use users::{CreatedUser, SignInName};
