//! Authorizes administrators, and performs their commands.
//!
//! `token` verifies a bearer token with the keys of `jwks_cache`; `refusal_limiter` limits
//! the time that refused tokens cost. `authorizer` checks that the caller is an
//! administrator. `command_service` performs a command at once, or queues it. `user_lookup`
//! reads users and profiles.

mod authorizer;
mod command_service;
mod jwks_cache;
mod refusal_limiter;
mod token;
mod user_lookup;

pub(crate) use authorizer::{AuthError, Authorizer};
pub(crate) use command_service::{CommandService, Submission, UnavailableReason};
pub use jwks_cache::JwksCache;
pub use token::{TokenError, TokenVerifier};
pub(crate) use user_lookup::{FoundUsers, LookupError, UserLookup, UserView};
