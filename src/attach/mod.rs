//! The way of a function into a user pool's triggers, and out again, with every other
//! setting left as it is.
//!
//! `slot` is what may be set, `settings` what a pool has and what may be sent back to
//! it, `plan` what is to be changed, `record` what it was before.

mod plan;
mod record;
mod settings;
mod trigger_kind;

pub(crate) use plan::{AttachRequest, TriggerChange, TriggerPlan};
pub(crate) use record::AttachRecord;
pub(crate) use settings::SettingDifference;
pub use settings::UserPoolSettings;
pub(crate) use trigger_kind::{FunctionArn, TriggerKind};
