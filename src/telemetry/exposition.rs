//! Parses usher's metrics from the text format of Prometheus.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::BTreeMap;

/// Whole-number samples by name and labels, as in `usher_messages_total{outcome="done"}`.
pub(crate) type Samples = BTreeMap<String, u64>;

/// Reads the samples of usher's metrics; skips values that are not whole numbers.
pub(crate) fn parse_samples(text: &str) -> Samples {
    text.lines()
        .filter(|line| line.starts_with("usher_"))
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        })
        .collect()
}

/// The name of a sample without its labels.
pub(crate) fn family(sample: &str) -> &str {
    sample.split('{').next().unwrap_or(sample)
}

/// The value of a label; empty if the sample does not have it.
pub(crate) fn label<'a>(sample: &'a str, label: &str) -> &'a str {
    let Some((_, labels)) = sample.split_once('{') else {
        return "";
    };
    let labels = labels.trim_end_matches('}').split(',');
    labels
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == label)
        .map_or("", |(_, value)| value.trim_matches('"'))
}

/// The increase of a counter. A lower value means that the process restarted from zero.
pub(crate) fn increase(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_a_family_and_labels() {
        let text = r#"# TYPE usher_messages_total counter
usher_messages_total{outcome="done",reason=""} 5
usher_breaker_open 1
usher_quota_rate{category="user_update"} 17.5
other_total 9
"#;
        let samples = parse_samples(text);
        let names: Vec<&String> = samples.keys().collect();
        let message = r#"usher_messages_total{outcome="done",reason=""}"#;
        assert_eq!(names, ["usher_breaker_open", message]);
        assert_eq!(samples[message], 5);
        assert_eq!(family(message), "usher_messages_total");
        assert_eq!(label(message, "outcome"), "done");
        assert_eq!(label(message, "reason"), "");
        assert_eq!(label("usher_breaker_open", "outcome"), "");
        assert_eq!((increase(3, 10), increase(10, 4)), (7, 4));
    }
}
