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
pub(super) fn plural(n: u64, noun: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(n))
}

/// At most `places` decimal places, without final zeros: `1,234.5`.
pub(super) fn decimal(value: f64, places: usize) -> String {
    format!("{:.places$}", HumanFloatCount(value))
}

/// `19.9/s`
pub(super) fn rate(per_second: f64) -> String {
    let places = if per_second < 1.0 { 2 } else { 1 };
    format!("{}/s", decimal(per_second, places))
}

/// A length of time with about three digits: `9.2 ms`, `842 ms`, `1.23 s`, `83.2 s`,
/// `20 min`. indicatif's `HumanDuration` would round 101 s to 2 minutes.
pub(super) fn duration(seconds: f64) -> String {
    let (value, places, unit) = match seconds {
        s if s < 0.00995 => (s * 1_000.0, 1, "ms"),
        s if s < 0.9995 => (s * 1_000.0, 0, "ms"),
        s if s < 9.995 => (s, 2, "s"),
        s if s < 599.95 => (s, 1, "s"),
        s => (s / 60.0, 1, "min"),
    };
    format!("{} {unit}", decimal(value, places))
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
    fn counts_and_rates_have_separators_and_few_decimals() {
        assert_eq!(plural(1, "user"), "1 user");
        assert_eq!(plural(12_345, "user"), "12,345 users");
        let rates = [0.0, 0.254, 19.94, 20.0, 1_234.44].map(rate);
        assert_eq!(rates, ["0/s", "0.25/s", "19.9/s", "20/s", "1,234.4/s"]);
    }
}
