//! Numbers as people read them.

use indicatif::{HumanCount, HumanFloatCount};

/// The only conversion of a count: the lint wants a reason.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact to 2^53, and drawn or rounded after that"
)]
pub(super) fn to_f64(count: u64) -> f64 {
    count as f64
}

/// `12,345`
pub(super) fn count(count: u64) -> String {
    HumanCount(count).to_string()
}

/// `1 user`, `2 users`
pub(in crate::load) fn plural(n: u64, noun: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(n))
}

/// At most `places` decimal places, without final zeros: `1,234.5`.
pub(super) fn decimal(value: f64, places: usize) -> String {
    format!("{:.places$}", HumanFloatCount(value))
}

/// `1 call`, `2.83 calls`, with at most `places` decimal places.
pub(super) fn decimal_plural(value: f64, places: usize, noun: &str) -> String {
    let value = decimal(value, places);
    let ending = if value == "1" { "" } else { "s" };
    format!("{value} {noun}{ending}")
}

/// `19.9/s`
pub(super) fn rate(per_second: f64) -> String {
    let places = if per_second < 1.0 { 2 } else { 1 };
    format!("{}/s", decimal(per_second, places))
}

/// A length of time with about three digits: `9.2 ms`, `842 ms`, `1.23 s`, `83.2 s`,
/// `20 min`. indicatif's `HumanDuration` would round 101 s to 2 minutes.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 599.95 {
        let [text] = durations([seconds]);
        return text;
    }
    format!("{} min", decimal(seconds / 60.0, 1))
}

/// Lengths of time in one unit, so that they can be compared: `0.84 s`, `20 s`, `1,214.5 s`.
pub(super) fn durations<const N: usize>(seconds: [f64; N]) -> [String; N] {
    let are_short = seconds.iter().all(|seconds| *seconds < 0.9995);
    let (per_second, unit, places) = if are_short {
        (1_000.0, "ms", 1)
    } else {
        (1.0, "s", 2)
    };
    seconds.map(|seconds| {
        let value = seconds * per_second;
        let places = if value < 10.0 { places } else { places - 1 };
        format!("{} {unit}", decimal(value, places))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit_that_fits_its_size() {
        for (seconds, written) in [
            (0.0, "0 ms"),
            (0.001_24, "1.2 ms"),
            (0.009_96, "10 ms"),
            (0.842_4, "842 ms"),
            (0.999_6, "1 s"),
            (9.234, "9.23 s"),
            (20.0, "20 s"),
            (83.24, "83.2 s"),
            (599.96, "10 min"),
            (14_400.0, "240 min"),
        ] {
            assert_eq!(duration(seconds), written);
        }
    }

    #[test]
    fn lengths_of_time_in_a_row_have_one_unit() {
        let rows = [
            ([0.0012, 0.0123, 0.842], ["1.2 ms", "12 ms", "842 ms"]),
            ([0.842, 6.828, 14.8], ["0.84 s", "6.83 s", "14.8 s"]),
            ([0.0012, 61.04, 1_214.5], ["0 s", "61 s", "1,214.5 s"]),
        ];
        for (seconds, written) in rows {
            assert_eq!(durations(seconds), written);
        }
    }

    #[test]
    fn counts_and_rates_have_separators_and_few_decimals() {
        assert_eq!(plural(1, "user"), "1 user");
        assert_eq!(plural(12_345, "user"), "12,345 users");
        let groups = [1.04, 2.83].map(|groups| decimal_plural(groups, 1, "group"));
        assert_eq!(groups, ["1 group", "2.8 groups"]);
        let rates = [0.0, 0.254, 19.94, 20.0, 1_234.44].map(rate);
        assert_eq!(rates, ["0/s", "0.25/s", "19.9/s", "20/s", "1,234.4/s"]);
    }
}
