//! The way of a function into a user pool's triggers, and out again, with every other
//! setting left as it is.
//!
//! `slot` is what may be set, `settings` what a pool has and what may be sent back to
//! it, `plan` what is to be changed, `record` what it was before.

mod plan;
mod record;
mod settings;
mod slot;

pub use plan::{Change, Plan, Refusal, Wish};
pub use record::{NoRecord, Record};
pub use settings::{Difference, Settings};
pub use slot::{FunctionArn, NotAFunction, Slot};
