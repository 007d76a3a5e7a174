//! Tests of the text, the page and their parts, with three runs as examples.

use std::collections::BTreeMap;

use super::chart::Chart;
use super::{
    Cleaned, Finished, Injected, LatencyBin, LatencyWindow, LoadReport, Planned, Quantiles,
    RunSettings, Sample, WorkerTotals,
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
        verified: true,
        differences: Vec::new(),
        requirements: Vec::new(),
        cleaned: None,
        settings: RunSettings::default(),
    }
}

/// 2,000 sign-ups in 20 seconds, with two groups each and 40 calls a second.
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
            messages: Some(2_120),
            calls: Some(BTreeMap::from([
                ("cognito AdminAddUserToGroup".to_owned(), 4_000),
                ("dynamodb PutItem".to_owned(), 2_000),
            ])),
            calls_per_message: Some(2.83),
            throttled: Some(BTreeMap::from([("user_update".to_owned(), 31)])),
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
        cleaned: Some(Cleaned {
            messages: 0,
            dead_letters: 20,
            profiles: 2_000,
            users: 2_050,
            complete: true,
        }),
        settings: RunSettings {
            command_line: "usher load run --count 2000 --rate 100".to_owned(),
            user_update: 40.0,
            groups: 2.0,
            earliest_end: 100.0,
            configuration: vec![("worker.concurrency", "32".to_owned())],
        },
        ..empty()
    }
}

/// A run with many differences and with hostile text.
pub(super) fn unhealthy() -> LoadReport {
    let mut report = full();
    report.verified = false;
    report.injected.not_sent = 3;
    report.differences = (0..160)
        .map(|n| Difference {
            kind: DifferenceKind::MissingGroup,
            who: format!("lt-7f3a-{n:05}"),
            sub: Some(format!("sub-{n}")),
            detail: "members".to_owned(),
        })
        .collect();
    report.differences.push(Difference {
        kind: DifferenceKind::WrongReason,
        who: "<script>alert(\"x\")</script>\n".to_owned(),
        sub: None,
        detail: "'bad' & \u{1b}[31m".to_owned(),
    });
    report
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

#[test]
fn the_longest_limit_explains_the_time() {
    let mut report = full();
    assert_eq!(
        report.limit(),
        "Limited by quota.user_update, 40/s: 2,000 sign-ups with 2 groups each need 100 s."
    );
    report.settings.groups = 1.0;
    report.settings.earliest_end = 50.0;
    let limit = report.limit();
    assert!(
        limit.contains("Cognito, which throttled 31 calls"),
        "{limit}"
    );
    report.worker = None;
    assert_eq!(
        report.limit(),
        "No limit explains it: the schedule lasts 20 s, and quota.user_update, 40/s, needs 50 s. Look at the workers."
    );
    report.planned.seconds = 100.0;
    assert_eq!(
        report.limit(),
        "Limited by the schedule: 2,000 sign-ups come in 100 s."
    );
    // The last sign-up needs the quota for a moment after the schedule.
    report.settings.earliest_end = 100.05;
    assert!(report.limit().starts_with("Limited by the schedule"));
    report.settings.earliest_end = 50.0;
    report.planned.seconds = 20.0;
    report.injected.late_ms = Some(quantiles(2_120, 6_000.0));
    let limit = report.limit();
    assert!(limit.contains("sent up to 60.6 s late"), "{limit}");
    assert_eq!(empty().limit(), "No sign-up finished.");
}

#[test]
fn differences_are_grouped_with_their_share() {
    let groups = unhealthy().difference_groups();
    let titles: Vec<&str> = groups.iter().map(|group| group.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "members missing for 160 of 2,000 users",
            "wrong reason for 1 of 20 poison messages: 'bad' & \u{fffd}[31m",
        ]
    );
    assert_eq!((groups[0].count, groups[0].names.len()), (160, 100));
    assert_eq!(groups[0].names[0], "lt-7f3a-00000 (sub-0)");
}

#[test]
fn a_full_report_as_text() {
    assert_eq!(
        full().text(),
        "\
run          lt-7f3a
pool         eu-central-1_Example
seed         42
began        2026-03-01 10:00:00 UTC, took 101.3 s
planned      2,000 sign-ups, 100 duplicates, 20 poison messages, 50 bystanders; 20 s
injected     2,120 messages in 20.1 s: 105.5/s
finished     2,000 of 2,000 sign-ups in 100.4 s: 19.9/s
queue        at most 1,720 waiting, after 20 s
oldest       sign-up waited 80.8 s, after 101 s
workers      2 asked, 2,120 messages settled, 2.83 calls each
calls        cognito AdminAddUserToGroup 4,000
             dynamodb PutItem 2,000
throttled    user_update 31
cleaned      2,050 users, 2,000 profiles, 20 dead letters, 0 messages; nothing is left

                    p50       p90       p99       max
sent late          5 ms      9 ms    9.9 ms     10 ms
SQS answer        45 ms     81 ms     89 ms     91 ms
latency            40 s      72 s    79.2 s    80.8 s

Limited by quota.user_update, 40/s: 2,000 sign-ups with 2 groups each need 100 s.
Verified: every group, profile and dead letter is right
"
    );
}

#[test]
fn an_empty_report_names_the_unknown_figures() {
    let text = empty().text();
    for line in [
        "queue        depth not known\n",
        "oldest       age not known\n",
        "workers      not asked\n",
        "cleaned      nothing was removed\n",
        "sent late    nothing was sent\n",
        "latency      no profile was seen\n\nNo sign-up finished.\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn figures_of_a_silent_worker_are_not_known() {
    let mut report = full();
    report.worker = Some(WorkerTotals {
        workers: 1,
        unanswered: 101,
        messages: None,
        calls: None,
        calls_per_message: None,
        throttled: None,
    });
    let text = report.text();
    for line in [
        "workers      1 asked; 101 times without an answer\n",
        "calls        not known: the worker did not answer\n",
        "throttled    not known: the worker did not answer\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let page = report.html();
    let cell = "<dt>throttled</dt><dd>not known: the worker did not answer</dd>";
    assert!(page.contains(cell), "{page}");
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["worker"]["throttled"], serde_json::Value::Null);
    assert_eq!(json["worker"]["calls"], serde_json::Value::Null);
}

#[test]
fn differences_come_in_groups_and_without_control_characters() {
    let text = unhealthy().text();
    assert!(
        text.ends_with(
            "
members missing for 160 of 2,000 users: lt-7f3a-00000 (sub-0), lt-7f3a-00001 (sub-1), lt-7f3a-00002 (sub-2), …
wrong reason for 1 of 20 poison messages: 'bad' & \u{fffd}[31m: <script>alert(\"x\")</script>\u{fffd}
--output json lists all of them

Limited by quota.user_update, 40/s: 2,000 sign-ups with 2 groups each need 100 s.
161 differences: not every result is right
"
        ),
        "{text}"
    );
    assert!(text.contains("; 3 not sent\n"));
}

#[test]
fn many_kinds_of_differences_leave_the_figures_on_the_screen() {
    let mut report = full();
    report.verified = false;
    report.differences = (0..12)
        .map(|n| Difference {
            kind: DifferenceKind::NotVerified,
            who: format!("lt-7f3a-{n}"),
            sub: None,
            detail: format!("error {n:02}"),
        })
        .collect();
    let text = report.text();
    let end = text.find("not verified: error 09").expect("ten kinds");
    assert!(!text.contains("error 10"), "{text}");
    let rest = "and 2 more kinds\n--output json lists all of them\n";
    assert!(text[end..].contains(rest), "{text}");
}

/// Checks that elements are closed in order and that all attributes are closed. `open` are
/// the elements around `body`.
pub(super) fn assert_well_formed<'a>(body: &'a str, mut open: Vec<&'a str>) {
    for tag in body.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').expect("a closed tag");
        assert!(!text.contains('>'), "{text}");
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
        let name = tag.split([' ', '/']).next().expect("a name");
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_page_has_no_script_and_no_external_resources() {
    for report in [full(), unhealthy(), empty()] {
        let page = report.html();
        for outside in [
            "http:", "https:", "//", "src=", "url(", "@import", "<script", "<link", "style=",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'"));
        assert!(!page.contains("NaN") && !page.contains("inf "));
        let (_, body) = page.split_once("</head>").expect("a head");
        assert_well_formed(body, vec!["html"]);
    }
}

#[test]
fn the_page_answers_first_and_ends_with_how_the_run_was_made() {
    let page = unhealthy().html();
    assert!(page.contains("<title>161 differences: load test of 2,000 sign-ups</title>"));
    let order = [
        "<h1>161 differences: not every result is right</h1>",
        "Limited by quota.user_update, 40/s",
        "members missing for 160 of 2,000 users",
        "and 60 more; the JSON form of the report lists all",
        "<h3>Throughput</h3>",
        "<h3>Queue depth</h3>",
        "cognito AdminAddUserToGroup 4,000",
        "lt-7f3a</dd>",
        concat!("usher ", env!("CARGO_PKG_VERSION")),
        "usher load run --count 2000 --rate 100",
        "worker.concurrency",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|text| page.find(text).unwrap_or_else(|| panic!("{text}: {page}")))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.contains("&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;\u{fffd}"));
    assert!(full().html().contains("<h1>Verified: every group"));
}

fn line<'a>(chart: &'a Chart, name: &str) -> &'a super::chart::Line {
    let line = chart.lines.iter().find(|line| line.name == name);
    line.expect("a line of this name")
}

#[test]
fn the_charts_show_what_was_sent_provisioned_and_allowed() {
    let chart = Chart::throughput(&full());
    assert_eq!(
        chart.label(),
        "Throughput, messages and sign-ups a second: sent at most 106/s, provisioned at most 20/s, allowed 20/s"
    );
    assert_eq!(
        chart.points(&line(&chart, "allowed").segments[0]),
        "0.0,183.3 0.0,183.3 1000.0,183.3"
    );
    let labels = |ticks: &[super::chart::Tick]| -> Vec<String> {
        ticks.iter().map(|tick| tick.label.clone()).collect()
    };
    assert_eq!(
        labels(&chart.y_ticks()),
        ["0", "20", "40", "60", "80", "100", "120"]
    );
    let times = ["0 s", "20 s", "40 s", "60 s", "80 s", "100 s"];
    assert_eq!(labels(&chart.x_ticks()), times);
    assert_eq!(chart.y_ticks()[6].at, "0.0");

    // A limit that is far away would flatten the other lines.
    let mut report = full();
    report.settings.user_update = 100_000.0;
    let chart = Chart::throughput(&report);
    assert!(line(&chart, "allowed").segments.is_empty());
    assert_eq!(chart.y_ticks()[6].at, "0.0");
    report.settings.groups = 0.0;
    assert_eq!(Chart::throughput(&report).lines.len(), 2);
}

#[test]
fn a_chart_ends_with_the_work_and_keeps_gaps_and_peaks() {
    let mut report = empty();
    report.timeline = (0..6_000_u32)
        .map(|second| Sample {
            second: f64::from(second),
            visible: match second {
                2_000..=3_000 => None,
                4_321 => Some(9_999),
                second => Some(u64::from(second < 5_000)),
            },
            ..Sample::default()
        })
        .collect();
    let chart = Chart::queue(&report);
    let waiting = line(&chart, "waiting");
    assert_eq!(waiting.value, "at most 9,999");
    assert_eq!(waiting.segments.len(), 2);
    let points = chart.points(&waiting.segments[1]);
    assert!(points.contains("864.2,0.0"), "{points}");
    assert_eq!(chart.x_ticks().last().expect("ticks").label, "80 min");
    assert!(line(&chart, "delayed").segments.is_empty());
    assert_eq!(line(&chart, "delayed").value, "unknown");
    assert!(report.html().len() < 30_000, "{}", report.html().len());
}

/// Scripts read these fields.
#[test]
fn the_json_form_has_the_fields_of_the_first_release() {
    let json = serde_json::to_value(unhealthy()).expect("JSON");
    let keys = |of: &serde_json::Value| -> String {
        let object = of.as_object().expect("an object");
        object.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    for (part, expected) in [
        (
            "",
            "began cleaned differences finished histogram injected latency_ms latency_over_time planned pool requirements run seconds seed timeline verified worker",
        ),
        ("/planned", "bystanders duplicates poison seconds sign_ups"),
        (
            "/injected",
            "late_ms messages not_sent per_second seconds send_ms",
        ),
        ("/finished", "per_second seconds sign_ups"),
        ("/latency_ms", "count max p50 p90 p99 p99.9"),
        (
            "/worker",
            "calls calls_per_message messages throttled unanswered workers",
        ),
        (
            "/timeline/0",
            "delayed finished hidden injected oldest_seconds planned second throttled visible",
        ),
        (
            "/latency_over_time/0",
            "count from_second max p50 p90 p99 p99.9 to_second",
        ),
        ("/histogram/0", "count from_ms to_ms"),
        ("/differences/0", "detail kind sub who"),
        ("/differences/160", "detail kind who"),
        ("/cleaned", "complete dead_letters messages profiles users"),
    ] {
        assert_eq!(
            keys(json.pointer(part).expect("a part")),
            expected,
            "{part}"
        );
    }
    assert_eq!(json["differences"][0]["kind"], "missing_group");
}
