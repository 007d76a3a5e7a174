//! Administrators: who is one, and what they ask for.
//!
//! `token` verifies a bearer token with the keys of the `keyring`, as far as the
//! `refusal_limiter` lets bad ones take time; `gate` says whether its owner is an administrator, `desk` does what they ask for at once or puts it on
//! the queue, `office` looks things up for them.

mod authorizer;
mod command_service;
mod jwks_cache;
mod refusal_limiter;
mod token;
mod user_lookup;

pub(crate) use authorizer::{AuthError, Authorizer};
pub(crate) use command_service::{CommandService, Submission, UnavailableReason, command_message};
pub use jwks_cache::JwksCache;
pub use token::{TokenError, TokenVerifier};
pub(crate) use user_lookup::{LookupError, UserLookup};
