//! The administrators' API, and each user's own profile.
//!
//! Each route is annotated with its input and output. A test compares the responses with the
//! document that the annotations make.

mod idempotency;
mod invitations;
mod members;
mod openapi;
mod problem;
mod requests;
mod response;
mod routes;
mod service;
mod users;

pub(super) use problem::Problem;
pub use routes::OPENAPI;
pub(crate) use routes::api_routes;
pub use service::Api;
