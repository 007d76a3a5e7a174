//! Load testing by queue injection: what a deployment does with many sign-ups, how
//! fast, and whether it was right.
//!
//! `stages` says when people sign up, `plan` what is sent when, `crew` makes the
//! users. `inject` sends and waits for nobody, `looks` and `watch` see what becomes
//! of it; `verify` looks at everything once more, and `clean` takes it away.

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
pub(crate) use report::LoadReport;
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
