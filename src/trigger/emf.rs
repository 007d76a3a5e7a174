//! A metric without a call: `CloudWatch` reads it out of the log line.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use serde_json::{Value, json};

/// The line that counts one sign-up which could not be forwarded.
pub(super) fn forward_failed(pool: &str) -> String {
    line(pool, jiff::Timestamp::now().as_millisecond()).to_string()
}

fn line(pool: &str, millis: i64) -> Value {
    let pool = if pool.is_empty() { "unknown" } else { pool };
    json!({
        "_aws": {
            "Timestamp": millis,
            "CloudWatchMetrics": [{
                "Namespace": "usher",
                "Dimensions": [["UserPoolId"], []],
                "Metrics": [{"Name": "ForwardFailed", "Unit": "Count"}],
            }],
        },
        "UserPoolId": pool,
        "ForwardFailed": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_what_the_format_asks_for() {
        let line = line("", 1_786_104_000_000);
        let metric = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metric["Metrics"][0]["Name"], "ForwardFailed");
        assert!(line["ForwardFailed"].is_number());
        for dimension in metric["Dimensions"][0].as_array().expect("a set") {
            assert!(line[dimension.as_str().expect("a name")].is_string());
        }
        assert_eq!(
            line["UserPoolId"], "unknown",
            "a dimension may not be empty"
        );
    }
}
