//! Alarms and the dashboard: their metrics are written, and the runbook has their sections.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{of_type, template};
use crate::policies::text;

/// Metrics in usher's namespace that alarms and the dashboard read, each with the name of
/// its dimension.
fn watched(template: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for alarm in of_type(template, "AWS::CloudWatch::Alarm").into_values() {
        let metrics = alarm["Metrics"].as_array().into_iter().flatten();
        let metrics = metrics.map(|metric| &metric["MetricStat"]["Metric"]);
        for metric in metrics.chain([alarm]) {
            if metric["Namespace"] == "usher" {
                let name = metric["MetricName"].as_str().expect("a name");
                let dimension = metric["Dimensions"][0]["Name"].as_str().expect("a name");
                found.insert((name.to_owned(), dimension.to_owned()));
            }
        }
    }
    for (_, dashboard) in of_type(template, "AWS::CloudWatch::Dashboard") {
        let body = dashboard["DashboardBody"]["Fn::Sub"][0]
            .as_str()
            .expect("text");
        // Only these references are outside JSON strings.
        let body = ["DesiredCount", "OldestMessageSeconds"]
            .iter()
            .fold(body.to_owned(), |body, name| {
                body.replace(&format!("${{{name}}}"), "1")
            });
        let body: Value = serde_json::from_str(&body).expect("JSON");
        for widget in body["widgets"].as_array().expect("widgets") {
            let metrics = widget["properties"]["metrics"].as_array();
            for metric in metrics.into_iter().flatten().filter(|m| m[0] == "usher") {
                let part = |at: usize| metric[at].as_str().expect("text").to_owned();
                found.insert((part(1), part(2)));
            }
        }
    }
    found
}

#[test]
fn the_metrics_that_are_watched_are_written() {
    let written: BTreeSet<(String, String)> = [
        "AlreadyDone",
        "Blocked",
        "BreakerOpen",
        "Done",
        "Ignored",
        "InFlight",
        "NotReady",
        "Panics",
        "Rejected",
        "Retried",
        "Throttled",
    ]
    .map(|name| (name.to_owned(), "Queue".to_owned()))
    .into_iter()
    .chain([("ForwardFailed".to_owned(), "UserPoolId".to_owned())])
    .collect();
    assert_eq!(watched(&template()), written);
    // The files that write lines for CloudWatch name each metric and dimension.
    let sources: String = sources("src")
        .into_iter()
        .filter(|source| source.contains("emf::line("))
        .collect();
    for (metric, dimension) in written {
        for name in [metric, dimension] {
            assert!(sources.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}

fn sources(folder: &str) -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(std::fs::read_to_string(path).expect("text"));
            }
        }
    }
    found
}

/// The link target of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

#[test]
fn every_alarm_links_a_runbook_section_and_reports_its_end() {
    let runbook = text("docs/OPERATIONS.md");
    let sections: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(anchor)
        .collect();
    let template = template();
    let alarms = of_type(&template, "AWS::CloudWatch::Alarm");
    assert!(!alarms.is_empty());
    for (name, alarm) in alarms {
        let description = alarm["AlarmDescription"].as_str().expect("text");
        let (_, section) = description.split_once("docs/OPERATIONS.md#").expect(name);
        assert!(sections.contains(section.trim()), "{name}: {section}");
        assert!(alarm["AlarmActions"].is_array(), "{name}");
        assert_eq!(alarm["AlarmActions"], alarm["OKActions"], "{name}");
        assert!(alarm["TreatMissingData"].is_string(), "{name}");
    }
}

#[test]
fn trigger_alarms_watch_the_function_in_use() {
    let template = template();
    let in_use = json!({"Fn::If": [
        "MakesTrigger",
        {"Ref": "Trigger"},
        {"Ref": "TriggerFunctionName"},
    ]});
    let alarms = of_type(&template, "AWS::CloudWatch::Alarm").into_iter();
    let of_lambda = alarms.filter(|(_, alarm)| alarm["Namespace"] == "AWS/Lambda");
    let looked_at: Vec<&str> = of_lambda
        .map(|(name, alarm)| {
            let dimension = json!([{"Name": "FunctionName", "Value": in_use}]);
            assert_eq!(alarm["Dimensions"], dimension, "{name}");
            name
        })
        .collect();
    assert_eq!(looked_at, ["TriggerErrorsAlarm", "TriggerThrottledAlarm"]);
}
