//! The metrics that `deploy/prometheus` and `deploy/grafana` name.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::Descriptions;
use crate::telemetry::metrics::describe;

/// The metrics in the queries of a file, without the suffixes of a histogram.
fn metrics_in(file: &str, recorder: &Descriptions) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).expect("text");
    let described = recorder.0.lock().expect("no test panics here");
    let kind = |name: &str| described.get(name).map(|(kind, _)| *kind);
    let metric = |rest: &str| {
        let is_name = |c: &char| c.is_ascii_lowercase() || *c == '_';
        let series: String = rest.chars().take_while(is_name).collect();
        let series = format!("usher_{series}");
        let of_histogram = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|suffix| series.strip_suffix(suffix))
            .filter(|name| kind(name) == Some("histogram"));
        if let Some(name) = of_histogram {
            return name.to_owned();
        }
        let known = kind(&series);
        assert!(
            known.is_some_and(|kind| kind != "histogram"),
            "{file} names {series}, which no worker serves"
        );
        series
    };
    text.split("usher_").skip(1).map(metric).collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_that_a_worker_serves() {
    let recorder = Arc::new(Descriptions::default());
    metrics::with_local_recorder(&*recorder, describe);
    let alerts = metrics_in("deploy/prometheus/alerts.yaml", &recorder);
    assert!(alerts.contains("usher_breaker_open"), "{alerts:?}");
    let shown = metrics_in("deploy/grafana/usher.json", &recorder);
    let served = recorder.0.lock().expect("no test panics here");
    let served: BTreeSet<String> = served.keys().cloned().collect();
    assert_eq!(shown, served, "the dashboard shows each metric");
}
