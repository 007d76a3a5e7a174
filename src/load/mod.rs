//! Load testing by queue injection: what a deployment does with many sign-ups, how
//! fast, and whether it was right.
//!
//! `stages` says when people sign up, `plan` what is sent when, `crew` makes the
//! users. `inject` sends and waits for nobody, `looks` and `watch` see what becomes
//! of it; `verify` looks at everything once more, and `clean` takes it away.

mod clean;
mod crew;
mod difference;
mod figures;
mod inject;
mod latency;
mod letters;
mod likeness;
mod looks;
mod plan;
mod poison;
pub mod report;
mod run;
mod run_id;
mod scrape;
mod sign_ups;
mod stages;
mod verify;
mod watch;

pub use clean::{Cleaner, Source};
pub use crew::{Crew, Maker, Person};
pub use difference::{Difference, Kind};
pub use inject::{Sends, Sent, inject};
pub use latency::Latency;
pub use looks::Seen;
pub use plan::{Plan, Shot, What};
pub use poison::Poison;
pub use report::Report;
pub use run::{Load, Observed, Services};
pub use run_id::{NoRunId, RunId, Tag};
pub use scrape::Workers;
pub use sign_ups::{NoSignUp, SignUps, real};
pub use stages::{GRAMMAR, MOST, Stages};
pub use verify::Verifier;
pub use watch::Settled;
