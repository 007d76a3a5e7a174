//! Clients for SQS, Cognito, `DynamoDB` and STS. `aws_sdk_*` appears nowhere else.
//!
//! The SDK's own retries are off, except in the trigger: attempts must not multiply, and the
//! worker's rate budget has to see every throttle. The SDK would also retry Cognito's permanent
//! `LimitExceededException`.

mod call;
mod classify;
mod client;
pub(crate) mod cognito;
mod dynamodb;
mod endpoint;
mod error;
mod identity;
mod lambda;
mod operation;
mod page;
mod region;
#[cfg(feature = "dev")]
mod sandbox;
mod sqs;

pub(crate) use call::with_deadline;
pub(crate) use classify::Class;
pub(crate) use client::ATTEMPT_TIMEOUT;
pub use client::{Aws, NoRegion};
pub(crate) use cognito::{
    AcceptError, Acceptance, Challenge, ChallengeKind, CreatedUser, FindUserError,
    InvitationSettings, ListedUser, PasswordRules, PoolGroup, SessionTokens, SettingsError, SignIn,
    SignInError, SignInName, SignInProgress, UsernameCandidates,
};
pub use cognito::{
    AttributeKind, Cognito, JsonObject, JwksClient, PoolSettings, PoolUser, SchemaAttribute,
    UserStatus,
};
pub(crate) use dynamodb::{ProfileAttributes, RequestTable, TestProfiles, Transition};
pub use dynamodb::{ProfileTable, PutResult};
pub(crate) use error::Failure;
pub use operation::{CognitoOperation, DynamoDbOperation, Operation, Service, SqsOperation};
pub use page::Page;
#[cfg(feature = "dev")]
pub(crate) use sandbox::SIGN_UP_PASSWORD;
#[cfg(feature = "dev")]
pub use sandbox::{PoolOptions, Sandbox, SandboxPool, SignInResult, Tokens};
pub(crate) use sqs::{
    BatchEntry, BatchOperation, FailedEntry, MAX_BATCH_ENTRIES, MAX_BATCHES_IN_PARALLEL, MoveTask,
    QueueAttributes, VisibilityExtender, VisibilityGuard,
};
pub use sqs::{Depth, MoveTasks, Outgoing, Queue, Received, RedrivePolicy};
