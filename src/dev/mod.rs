//! The whole system on one machine, without an AWS account.
//!
//! An embedded endpoint on loopback stands in for SQS, Cognito and `DynamoDB`.
//! Everything else is real: users sign up through `SignUp` and `ConfirmSignUp`,
//! the endpoint calls the trigger's handler as Cognito calls the Lambda, and the
//! worker talks to the endpoint over HTTP. Reports are read back from Cognito and
//! `DynamoDB`, and never counted in the worker.
//!
//! Every Cognito write copies the pool's state, so the endpoint slows down from a
//! few thousand users on: it is not a target for benchmarks. Members that a service
//! does not know are refused in a request, and ignored in the response of a
//! trigger. `tests/model/constraints.py` takes the constraints from botocore's
//! models; `.ci/run model` reports when AWS has changed them.

mod accounts;
mod cognito;
mod constraints;
mod demo_failures;
mod dynamodb;
mod endpoint;
mod events;
mod hooks;
mod issuer;
mod move_tasks;
mod readback;
#[cfg(test)]
mod request_log_tests;
mod running;
mod sign_ups;
mod sqs;
mod stack;
mod sts;
mod summary;
mod trace_header;
mod wire;

pub use accounts::{ACCOUNT_PASSWORD, ADMIN_ACCOUNT, USER_ACCOUNT, access_token};
pub use cognito::MFA_CODE;
pub use endpoint::{EmbeddedEndpoint, check_constraints};
pub(crate) use events::{EventFiles, read_event_files};
pub use hooks::SentMail;
pub use issuer::Issuer;
pub(crate) use running::{RUNNING_DEV_PATH, RunningDev};
pub use stack::Stack;
pub(crate) use stack::{DEFAULT_PORT, StartError};
pub(crate) use summary::DevSummary;
#[cfg(test)]
pub(crate) use summary::{EventLine, EventOutcome, UserLine};
