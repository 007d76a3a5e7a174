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

pub use clean::{Cleaner, SourceQueueState};
pub use difference::{Difference, DifferenceKind};
pub use inject::{InjectionProgress, InjectionResult, inject};
pub use latency::LatencyHistogram;
pub use plan::{LoadMessage, LoadPlan, ScheduledMessage};
pub use poison::Poison;
pub use profile_poller::ObservedProfile;
pub use report::LoadReport;
pub use run::{LoadRun, LoadServices, RunObservation};
pub use run_id::{InvalidRunId, RunId, Tag};
pub use scrape::MetricsScraper;
pub use sign_ups::{NotASignUp, SignUpTemplate, parse_recorded};
pub use stages::{GRAMMAR, MAX_SIGN_UPS, Stages};
pub use test_users::{TestUser, TestUsers, UserFactory};
pub use verify::LoadVerifier;
pub use watch::RunEnd;
