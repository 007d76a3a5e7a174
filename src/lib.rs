//! usher puts every user who signs up in an Amazon Cognito user pool into the
//! right groups and gives them one profile record.
//!
//! A thin Lambda [`trigger`] forwards the `PostConfirmation` event to an SQS
//! queue; a long-running [`worker`] does the rest. The modules, in the order in
//! which an event meets them:

pub mod aws; // the real services, one file each
pub mod dead_letter; // the letter that a failed message becomes
pub mod event; // what a message says: lenient, pure parsing
pub mod http;
pub mod provision; // what is done for a user: groups, profile, outcome
pub mod trigger; // the Lambda: one SendMessage, the event back as it came
pub mod worker; // from the queue and back to it: receive, keep, settle, drain // health, readiness, metrics

pub mod cli; // the commands
#[cfg(feature = "dev")]
pub mod dev; // the whole system on one machine

pub mod config; // every key, its source, its rule
pub mod quota; // Cognito's request rates as budgets
pub mod retry; // back-off, quick and by redelivery
pub mod shutdown; // signals
pub mod telemetry; // logs, metrics, health
