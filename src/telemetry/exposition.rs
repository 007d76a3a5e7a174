//! Parses usher's metrics from the text format of Prometheus.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::BTreeMap;
use std::ops::{AddAssign, Sub};
use std::str::FromStr;

/// Samples by name and labels, as in `usher_messages_total{outcome="done"}`. Whole numbers,
/// unless `V` is another type.
pub(crate) type Samples<V = u64> = BTreeMap<String, V>;

/// Reads the samples of usher's metrics; skips values that are no `V`.
pub(crate) fn parse_samples<V: FromStr>(text: &str) -> Samples<V> {
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
pub(crate) fn increase<V: PartialOrd + Sub<Output = V>>(before: V, now: V) -> V {
    if now < before { now } else { now - before }
}

/// Adds the increase of each counter between two readings of a process to `sums`.
pub(crate) fn add_increases<V>(sums: &mut Samples<V>, before: &Samples<V>, now: &Samples<V>)
where
    V: Copy + Default + PartialOrd + Sub<Output = V> + AddAssign,
{
    for (name, count) in now {
        let before = before.get(name).copied().unwrap_or_default();
        *sums.entry(name.clone()).or_default() += increase(before, *count);
    }
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
        let samples: Samples = parse_samples(text);
        let names: Vec<&String> = samples.keys().collect();
        let message = r#"usher_messages_total{outcome="done",reason=""}"#;
        assert_eq!(names, ["usher_breaker_open", message]);
        assert_eq!(samples[message], 5);
        assert_eq!(family(message), "usher_messages_total");
        assert_eq!(label(message, "outcome"), "done");
        assert_eq!(label(message, "reason"), "");
        assert_eq!(label("usher_breaker_open", "outcome"), "");
        assert_eq!((increase(3, 10), increase(10, 4)), (7, 4));
        let with_fractions: Samples<f64> = parse_samples(text);
        assert_eq!(with_fractions.len(), 3);
    }
}
