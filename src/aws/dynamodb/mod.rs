//! Amazon `DynamoDB`: the table of profiles.

mod batch_get;
mod deletion;
mod item;
mod owners;
mod profiles;
mod test_profiles;

pub use profiles::{ProfileTable, PutResult};
pub(crate) use test_profiles::{ProfileAttributes, TestProfiles};
