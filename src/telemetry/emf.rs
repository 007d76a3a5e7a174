//! Metrics without an API call: `CloudWatch` extracts them from a log line.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use serde_json::{Value, json};

/// One line in the embedded metric format.
///
/// `dimension` is a name and a value. With `add_total`, every metric is also published
/// without the dimension. Each metric is a name and a count.
pub fn line(
    namespace: &str,
    dimension: (&str, &str),
    add_total: bool,
    metrics: &[(&str, u64)],
) -> String {
    let (name, value) = dimension;
    // A dimension may not be empty.
    let value = if value.is_empty() { "unknown" } else { value };
    let mut sets = vec![json!([name])];
    if add_total {
        sets.push(json!([]));
    }
    let named: Vec<Value> = metrics
        .iter()
        .map(|(metric, _)| json!({"Name": metric, "Unit": "Count"}))
        .collect();
    let directive = json!({"Namespace": namespace, "Dimensions": sets, "Metrics": named});
    let now = jiff::Timestamp::now().as_millisecond();
    let mut line = json!({
        "_aws": {"Timestamp": now, "CloudWatchMetrics": [directive]},
        name: value,
    });
    for (metric, count) in metrics {
        line[*metric] = json!(count);
    }
    line.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_follows_the_embedded_metric_format() {
        let line = line("usher", ("Queue", ""), true, &[("Done", 3), ("Panics", 0)]);
        assert!(!line.contains('\n'), "one event of the log");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert!(line["_aws"]["Timestamp"].as_i64() > Some(1_700_000_000_000));
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "usher");
        assert_eq!(directive["Dimensions"], json!([["Queue"], []]));
        assert_eq!(line["Queue"], "unknown", "a dimension may not be empty");
        for metric in directive["Metrics"].as_array().expect("metrics") {
            assert!(line[metric["Name"].as_str().expect("a name")].is_number());
        }
        assert_eq!(line["Done"], 3);
    }
}
