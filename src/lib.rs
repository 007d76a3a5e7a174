//! usher puts every user who signs up in an Amazon Cognito user pool into the
//! right groups and gives them one profile record.
//!
//! A thin Lambda, [`trigger`], forwards the `PostConfirmation` event to an SQS
//! queue; a long-running [`worker`] does the rest. An event meets the modules in
//! this order:
//!
//! - [`trigger`]: the Lambda: one `SendMessage`, the event back as it came
//! - [`event`]: what a message says: lenient, pure parsing
//! - [`worker`]: from the queue and back to it: receive, keep, settle, drain
//! - [`provision`]: what is done for a user: groups, profile, outcome
//! - [`aws`]: the real services, one file each
//! - [`admin`]: administrators, and what they ask for
//! - [`dead_letter`]: the letter that a failed message becomes, and the way back
//! - [`reconcile`]: users whose event never came
//! - [`load`]: what a deployment does with many sign-ups, and whether it is right
//! - [`attach`]: the Lambda's way into a user pool's triggers
//! - [`http`]: health, readiness, metrics, the administrators' API, `/accept`
//!
//! Around them: [`cli`], the commands; `dev`, the whole system on one machine.
//! Below them, the leaves: [`config`], [`quota`], [`retry`], [`shutdown`],
//! [`telemetry`].

pub mod admin;
pub mod attach;
pub mod aws;
pub mod cli;
pub mod config;
pub mod dead_letter;
#[cfg(feature = "dev")]
pub mod dev;
pub mod event;
pub mod http;
pub mod load;
pub mod provision;
pub mod quota;
pub mod reconcile;
pub mod retry;
pub mod shutdown;
pub mod telemetry;
pub mod trigger;
pub mod worker;
