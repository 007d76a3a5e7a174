//! Attaches a function to a user pool's triggers and detaches it, with every other setting
//! unchanged.
//!
//! `trigger_kind` has the triggers that may be set, `settings` a pool's settings and those that
//! may be sent back to it, `plan` the changes, `backup` the settings before a change.

mod backup;
mod plan;
mod settings;
mod trigger_kind;

pub(crate) use backup::PoolBackup;
pub(crate) use plan::{AttachRequest, TriggerChange, TriggerPlan};
pub(crate) use settings::SettingDifference;
pub use settings::UserPoolSettings;
pub(crate) use trigger_kind::{FunctionArn, TriggerKind};
