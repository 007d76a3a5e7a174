//! Reports for the unit tests.

use std::collections::BTreeMap;

use super::{
    Cleaned, Finished, Injected, LatencyBin, LatencyWindow, LoadReport, Planned, Quantiles, Sample,
    WorkerTotals,
};
use crate::load::{Difference, DifferenceKind};

/// A run without messages and observations.
pub(super) fn empty() -> LoadReport {
    LoadReport {
        run: "lt-0".to_owned(),
        pool: "eu-central-1_Example".to_owned(),
        seed: 0,
        began: "2026-03-01T10:00:00.25Z".parse().expect("a time"),
        seconds: 0.0,
        planned: Planned::default(),
        injected: Injected {
            messages: 0,
            not_sent: 0,
            seconds: 0.0,
            per_second: 0.0,
            late_ms: None,
            send_ms: None,
        },
        finished: Finished {
            sign_ups: 0,
            seconds: 0.0,
            per_second: 0.0,
        },
        latency_ms: None,
        worker: None,
        timeline: Vec::new(),
        latency_over_time: Vec::new(),
        histogram: Vec::new(),
        verified: false,
        differences: Vec::new(),
        cleaned: None,
    }
}

/// 2,000 sign-ups in 20 seconds for a worker that provisions 20 a second.
pub(super) fn full() -> LoadReport {
    LoadReport {
        run: "lt-7f3a".to_owned(),
        seed: 42,
        seconds: 101.3,
        planned: Planned {
            sign_ups: 2_000,
            duplicates: 100,
            poison: 20,
            bystanders: 50,
            seconds: 20.0,
        },
        injected: Injected {
            messages: 2_120,
            not_sent: 0,
            seconds: 20.1,
            per_second: 105.5,
            late_ms: Some(quantiles(2_120, 1.0)),
            send_ms: Some(quantiles(2_120, 9.0)),
        },
        finished: Finished {
            sign_ups: 2_000,
            seconds: 100.4,
            per_second: 19.92,
        },
        latency_ms: Some(quantiles(2_000, 8_000.0)),
        worker: Some(WorkerTotals {
            workers: 2,
            unanswered: 0,
            messages: 2_120,
            calls: BTreeMap::from([
                ("cognito AdminAddUserToGroup".to_owned(), 4_000),
                ("dynamodb PutItem".to_owned(), 2_000),
            ]),
            calls_per_message: Some(2.83),
            throttled: BTreeMap::from([("user_update".to_owned(), 31)]),
        }),
        timeline: (0..=101).map(timeline_sample).collect(),
        latency_over_time: (0..10_u32)
            .map(|window| LatencyWindow {
                from_second: f64::from(window) * 2.0,
                to_second: f64::from(window) * 2.0 + 2.0,
                latency_ms: quantiles(200, f64::from(window) * 800.0 + 400.0),
            })
            .collect(),
        histogram: (0..12_u32)
            .map(|bar| LatencyBin {
                from_ms: 100.0 * 1.8_f64.powf(f64::from(bar)),
                to_ms: 100.0 * 1.8_f64.powf(f64::from(bar + 1)),
                count: u64::from(bar * bar * 4),
            })
            .collect(),
        verified: true,
        cleaned: Some(Cleaned {
            messages: 0,
            dead_letters: 20,
            profiles: 2_000,
            users: 2_050,
            complete: true,
        }),
        ..empty()
    }
}

/// A run with many differences and with hostile text.
pub(super) fn unhealthy() -> LoadReport {
    let mut report = full();
    report.verified = false;
    report.injected.not_sent = 3;
    report.differences = (0..60)
        .map(|n| {
            difference(
                DifferenceKind::MissingGroup,
                &format!("lt-7f3a-{n:05}"),
                "members",
            )
        })
        .collect();
    report.differences.push(difference(
        DifferenceKind::WrongReason,
        "<script>alert(\"x\")</script>",
        "'bad' & \u{1b}[31m",
    ));
    report
}

pub(super) fn difference(kind: DifferenceKind, who: &str, detail: &str) -> Difference {
    Difference {
        kind,
        who: who.to_owned(),
        sub: None,
        detail: detail.to_owned(),
    }
}

fn quantiles(count: u64, unit: f64) -> Quantiles {
    Quantiles {
        count,
        p50: unit * 5.0,
        p90: unit * 9.0,
        p99: unit * 9.9,
        p99_9: unit * 10.0,
        max: unit * 10.1,
    }
}

fn timeline_sample(second: u32) -> Sample {
    let sent = u64::from(second.min(20)) * 106;
    let finished = u64::from(second) * 20;
    Sample {
        second: f64::from(second),
        planned: sent,
        injected: sent,
        finished: finished.min(2_000),
        visible: Some(sent.saturating_sub(finished)),
        hidden: Some(40),
        delayed: Some(5),
        oldest_seconds: f64::from(second) * 0.8,
        throttled: Some(u64::from(second.min(31))),
    }
}
