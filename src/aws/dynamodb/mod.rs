//! Amazon `DynamoDB`: the table of profiles, and the table of requests.

mod batch_get;
mod deletion;
mod item;
mod owners;
mod profiles;
mod request_table;
mod test_profiles;
mod time_to_live;

pub use profiles::{ProfileTable, PutResult};
pub(crate) use request_table::{RequestTable, Transition};
pub(crate) use test_profiles::{ProfileAttributes, TestProfiles};
