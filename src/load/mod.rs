//! Load testing by queue injection: measures throughput and latency, and verifies
//! the results.
//!
//! `stages` says when users sign up, `plan` which message is sent when, and
//! `test_users` creates the users. `inject` sends without waiting for the worker;
//! `profile_poller` and `watch` observe. `verify` checks everything at the end, and
//! `clean` removes it.

mod build_report;
mod clean;
mod dead_letters;
mod difference;
mod inject;
mod latency;
mod plan;
mod poison;
mod profile_matcher;
mod profile_poller;
mod progress;
pub mod report;
mod run;
mod run_id;
mod scrape;
mod sign_ups;
mod stages;
mod test_users;
mod verify;
mod watch;

pub(crate) use clean::{Cleaner, SourceQueueState};
pub(crate) use difference::{Difference, DifferenceKind};
pub use inject::{InjectionProgress, inject};
pub use plan::{LoadMessage, LoadPlan};
pub use poison::Poison;
pub(crate) use report::{Comparison, LoadReport, Requirement, Source};
pub(crate) use run::{LoadRun, LoadServices};
pub use run_id::{RunId, Tag};
pub(crate) use scrape::MetricsScraper;
pub use sign_ups::SignUpTemplate;
pub(crate) use sign_ups::parse_recorded;
pub(crate) use stages::MAX_SIGN_UPS;
pub use stages::Stages;
pub use test_users::TestUser;
pub(crate) use test_users::{TestUsers, UserFactory};
pub(crate) use verify::LoadVerifier;
pub(crate) use watch::RunEnd;
