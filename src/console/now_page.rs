//! The view Now: one sentence, figures, the findings of `usher status`, and two charts.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::response::Response;
use axum::{Extension, extract};
use jiff::Timestamp;

use super::caller::Asking;
use super::chart::Chart;
use super::job::{Job, JobKind};
use super::now::{INTERVAL, Reading, Sample, increase};
use super::page::{Frame, View, html};
use super::state::Console;
use super::text::{self, Moment, count, dead_letters};
use crate::aws::Depth;
use crate::config::Config;
use crate::status::{DEAD_LETTERS, Finding, State, work_left};

/// The last minutes, for throttled calls.
const RECENT: Duration = Duration::from_mins(5);

#[derive(Template)]
#[template(path = "console/now.html")]
struct NowPage<'a> {
    frame: Frame<'a>,
    reading: Option<Arc<Reading>>,
    headline: Headline,
    /// Calls a second: now, and at most.
    budget: Option<(f64, f64)>,
    throttled: Option<String>,
    charts: Vec<Chart>,
    /// The last reconcile of this console that has ended.
    reconcile: Option<Arc<Job>>,
}

/// The one sentence.
struct Headline {
    state: &'static str,
    text: String,
    /// When the queue will be empty.
    at: Option<Moment>,
}

pub(super) async fn show(
    extract::State(console): extract::State<Arc<Console>>,
    Extension(caller): Asking,
) -> Response {
    let (reading, samples) = {
        let readings = console.now.look();
        let samples: Vec<Sample> = readings.samples.iter().copied().collect();
        (readings.latest.clone(), samples)
    };
    let config = &console.services.config;
    let frame = Frame::new(&caller, View::Now, "Now").with_command("usher status");
    html(&NowPage {
        frame: Frame {
            moves: true,
            ..frame
        },
        headline: headline(reading.as_deref(), &samples, config),
        budget: reading.as_deref().and_then(budget),
        throttled: throttled(&samples),
        charts: Chart::of(&samples),
        reconcile: console.jobs.last(JobKind::Reconcile),
        reading,
    })
}

impl NowPage<'_> {
    fn waiting(&self) -> Option<String> {
        let depth = self.reading.as_ref()?.figures.queue?;
        Some(count(depth.visible + depth.delayed))
    }

    fn in_flight(&self) -> Option<String> {
        Some(count(self.reading.as_ref()?.figures.queue?.hidden))
    }

    fn dead_letters(&self) -> Option<String> {
        let depth = self.reading.as_ref()?.figures.dead_letters?;
        Some(count(depth.total()))
    }

    fn shows_dead_letters(&self) -> bool {
        View::DeadLetters.may(self.frame.role)
    }

    /// The findings that the caller can follow up.
    fn findings<'a>(&self, reading: &'a Reading) -> impl Iterator<Item = &'a Finding> {
        let shows_dead_letters = self.shows_dead_letters();
        let findings = reading.report.findings.iter();
        findings.filter(move |it| shows_dead_letters || it.what != DEAD_LETTERS)
    }
}

fn headline(reading: Option<&Reading>, samples: &[Sample], config: &Config) -> Headline {
    let say = |state, text: String| Headline {
        state,
        text,
        at: None,
    };
    let Some(Reading { report, figures }) = reading else {
        return say("unknown", "Reading the state …".to_owned());
    };
    let detail = |what: &str| {
        let mut findings = report.findings.iter();
        let found = findings.find(|it| it.what == what && it.state != State::Ok);
        found.map_or_else(String::new, |it| it.detail.clone())
    };
    let Some(depth) = figures.queue else {
        return say(
            "bad",
            format!("The queue cannot be read: {}", detail("queue")),
        );
    };
    let stopped = samples.iter().rev().take_while(|it| it.is_stopped).last();
    if let Some(Sample { at, .. }) = stopped {
        let text = format!("Workers have stopped: {}; since", detail("workers"));
        return Headline {
            at: Some(Moment(*at)),
            ..say("bad", text)
        };
    }
    let dead = figures.dead_letters.map_or(0, Depth::total);
    let waiting = depth.visible + depth.delayed + depth.hidden;
    if waiting == 0 && dead > 0 {
        let text = format!("All sign-ups are through, except {}.", dead_letters(dead));
        return say("warn", text);
    }
    if waiting == 0 {
        return say("good", "All sign-ups are through.".to_owned());
    }
    if depth.hidden == 0 && figures.ready_workers == 0 {
        let text = format!("{} waiting, and no worker receives.", count(waiting));
        return say("bad", text);
    }
    let rate = config.quota.user_update;
    let text = format!(
        "{} waiting; at {rate} calls a second empty at",
        count(waiting)
    );
    let at = Timestamp::now().checked_add(work_left(config, depth));
    Headline {
        at: at.ok().map(Moment),
        ..say("busy", text)
    }
}

/// The calls a second that the workers may make now, and at most.
fn budget(reading: &Reading) -> Option<(f64, f64)> {
    let gauge = |name: &str| {
        let sample = format!("{name}{{category=\"user_update\"}}");
        let value = reading.figures.metrics.get(&sample)?;
        Some((value * 10.0).round() / 10.0)
    };
    Some((gauge("usher_quota_rate")?, gauge("usher_quota_limit")?))
}

/// How many calls Cognito throttled in the last minutes.
fn throttled(samples: &[Sample]) -> Option<String> {
    let recent = RECENT.as_secs() / INTERVAL.as_secs();
    let recent = usize::try_from(recent).unwrap_or(usize::MAX);
    let samples = &samples[samples.len().saturating_sub(recent)..];
    let pairs = samples.windows(2);
    let counts = pairs.map(|pair| increase([&pair[0], &pair[1]], |it| it.throttled));
    let known: Vec<f64> = counts.flatten().collect();
    let sum: f64 = known.iter().sum();
    (!known.is_empty()).then(|| format!("{sum} throttled in 5 min"))
}
