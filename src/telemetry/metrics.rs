//! Describes all metrics, and installs their recorder.

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

const DURATION_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0,
];
const RECEIVE_SIZE_BUCKETS: [f64; 11] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Adds recorded values to the buckets of their histograms: until then, a histogram stores
/// each one. Does nothing if no recorder is installed.
pub(crate) fn drain_histograms() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}

/// Installs the recorder of this process and describes every metric.
///
/// # Errors
/// When a recorder is installed already.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS)?
        .set_buckets_for_metric(
            Matcher::Full("usher_receive_messages".to_owned()),
            &RECEIVE_SIZE_BUCKETS,
        )?
        .install_recorder()?;
    describe();
    // An alarm needs a zero before the first event.
    metrics::gauge!("usher_breaker_open").set(0.0);
    metrics::gauge!("usher_messages_in_flight").set(0.0);
    metrics::counter!("usher_panics_total").absolute(0);
    for category in [
        "user_update",
        "user_read",
        "group_create",
        "user_list",
        "user_resource_read",
        "user_creation",
    ] {
        metrics::counter!("usher_quota_throttled_total", "category" => category).absolute(0);
    }
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// The kind of a metric.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// A histogram of times.
    Seconds,
}

const DESCRIPTIONS: [(Kind, &str, &str); 20] = [
    (
        Kind::Counter,
        "usher_messages_total",
        "Messages settled, by outcome and reason.",
    ),
    (
        Kind::Seconds,
        "usher_message_queue_seconds",
        "Time from SendMessage to the receive.",
    ),
    (
        Kind::Seconds,
        "usher_message_work_seconds",
        "Time from the receive to the outcome.",
    ),
    (
        Kind::Gauge,
        "usher_messages_in_flight",
        "Messages received and not settled: prefetched, in progress or held.",
    ),
    (
        Kind::Histogram,
        "usher_receive_messages",
        "Messages that one receive brought.",
    ),
    (
        Kind::Counter,
        "usher_aws_calls_total",
        "Calls by service, operation and error; error is empty for a success.",
    ),
    (
        Kind::Seconds,
        "usher_aws_call_seconds",
        "Duration of a call, by service and operation.",
    ),
    (
        Kind::Gauge,
        "usher_quota_limit",
        "Calls a second that the budget allows at most, by category.",
    ),
    (
        Kind::Gauge,
        "usher_quota_rate",
        "Calls a second that the budget allows now, by category.",
    ),
    (
        Kind::Gauge,
        "usher_quota_waiting",
        "Calls that wait for the budget now, by category.",
    ),
    (
        Kind::Seconds,
        "usher_quota_wait_seconds",
        "Time that a call waits for the budget, by category.",
    ),
    (
        Kind::Counter,
        "usher_quota_throttled_total",
        "Throttled calls, by category.",
    ),
    (
        Kind::Gauge,
        "usher_breaker_open",
        "1 while the breaker is open.",
    ),
    (
        Kind::Counter,
        "usher_panics_total",
        "Panics caught while working on a message.",
    ),
    (
        Kind::Counter,
        "usher_admin_actions_total",
        "Actions of administrators, by action and result.",
    ),
    (
        Kind::Counter,
        "usher_admin_denied_total",
        "Requests to the HTTP API and /console that were refused before any work, by reason.",
    ),
    (
        Kind::Counter,
        "usher_http_requests_total",
        "Requests to the HTTP API, /accept and /console, by status of the response.",
    ),
    (
        Kind::Counter,
        "usher_console_sign_ins_total",
        "Steps of sign-ins to /console, by result.",
    ),
    (
        Kind::Counter,
        "usher_invitations_accepted_total",
        "Acceptances of invitations, by result and reason.",
    ),
    (
        Kind::Counter,
        "usher_invitations_asked_total",
        "Requests for a new invitation.",
    ),
];

/// Adds the description of every metric to the recorder that is installed.
pub(crate) fn describe() {
    for (kind, name, meaning) in DESCRIPTIONS {
        match kind {
            Kind::Counter => describe_counter!(name, meaning),
            Kind::Gauge => describe_gauge!(name, meaning),
            Kind::Histogram => describe_histogram!(name, meaning),
            Kind::Seconds => describe_histogram!(name, Unit::Seconds, meaning),
        }
    }
}
