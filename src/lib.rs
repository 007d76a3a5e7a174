//! usher adds every user who signs up in an Amazon Cognito user pool to the right
//! groups, and writes one profile for them.
//!
//! A Lambda function, [`trigger`], forwards the `PostConfirmation` event to an SQS
//! queue. A long-running [`worker`] receives the message and provisions the user.
//!
//! The modules; an event passes the first five in this sequence:
//!
//! - [`trigger`]: the Lambda function: forwards sign-ups, and returns the event unchanged
//! - [`worker`]: receives messages, keeps them hidden, settles them, drains at the end
//! - [`message`]: the envelope of an event, and the builders of what is sent
//! - [`event`]: parses a message into a sign-up, an admin command or a reconcile
//! - [`provision`]: adds a user to groups, writes the profile, gives the outcome
//! - [`aws`]: the clients of the AWS services
//! - [`admin`]: authorizes administrators, and performs or queues their commands
//! - [`dead_letter`]: lists, exports and replays dead letters
//! - [`reconcile`]: finds users who were missed, and queues a sign-up for each
//! - [`load`]: sends many sign-ups to a deployment, and verifies the results
//! - [`attach`]: sets and removes the function in the triggers of a user pool
//! - [`users`]: reads the groups and the profile of one user, and queues a sign-up for them
//! - [`status`]: reads the state of queue, dead letters, workers and triggers
//! - `check`: tests the settings and permissions of a deployment
//! - `console`: pages for operators
//! - [`http`]: health, readiness, metrics, the API for administrators, `/accept`
//!
//! [`cli`] holds the commands, and `dev` runs the whole system on one machine.
//! [`app`] builds their clients and components.
//! All of them use `cache`, [`config`], [`quota`], `rate_limiter`, [`reason`], [`retry`],
//! [`shutdown`], [`telemetry`] and `text`.

pub mod admin;
pub mod app;
pub mod attach;
pub mod aws;
mod cache;
mod check;
pub mod cli;
pub mod config;
mod console;
pub mod dead_letter;
#[cfg(feature = "dev")]
pub mod dev;
pub mod event;
pub mod http;
pub mod load;
pub mod message;
pub mod provision;
pub mod quota;
mod rate_limiter;
pub mod reason;
pub mod reconcile;
pub mod retry;
pub mod shutdown;
pub mod status;
pub mod telemetry;
mod text;
pub mod trigger;
pub mod users;
pub mod worker;
