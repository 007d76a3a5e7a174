//! The real services, one file each. `aws_sdk_*` appears nowhere else.
//!
//! The SDK's own retries are off but in the trigger: attempts must not multiply, the worker's rate
//! budget has to see every throttle, and the SDK would also retry Cognito's
//! permanent `LimitExceededException`.

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

pub use accept_error::{AcceptError, DeploymentFault};
pub use call::with_deadline;
pub use client::{ATTEMPT_TIMEOUT, Aws, NoRegion};
pub use directory::Directory;
pub use error::{Class, Failure, Service};
pub use jwks::{JwksClient, JwksError};
pub use listing::{ListedUser, Listing, Page, UserStatus};
pub use message::{Depth, FailedEntry, Outgoing, QueueAttributes, Received, RedrivePolicy};
pub use move_tasks::{MoveTask, MoveTasks};
pub use pool_settings::{JsonObject, PoolSettings, SettingsError};
pub use profiles::{KeySchema, ProfileTable, PutResult};
pub use queue::{MAX_BATCH_ENTRIES, Queue};
pub use resend::UsernameCandidates;
#[cfg(feature = "dev")]
pub use sandbox::{PoolOptions, Sandbox, SandboxPool, SignInResult, Tokens};
pub use sign_in::{Acceptance, ClientCredentials, SignIn};
pub use test_profiles::{ProfileAttributes, TestProfiles};
pub use user_manager::{FindUserError, PoolUser, UserManager};
pub use users::{CreatedUser, SignInName, Users};
