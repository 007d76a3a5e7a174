//! Formats numbers for the text and the page.

use std::fmt::Display;

/// Stands for NaN and infinity.
const UNKNOWN_VALUE: &str = "unknown";

/// Converts a count to a float; only here, because of the lint.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact to 2^53, and drawn or rounded after that"
)]
pub(super) fn to_f64(count: u64) -> f64 {
    count as f64
}

/// A whole number with thousands separated: `12,345`.
pub(super) fn group_digits(whole: impl Display) -> String {
    let digits = whole.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 user`, `2 users`.
pub(super) fn pluralize(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", group_digits(count))
}

/// A number with `places` decimal places and thousands separated.
pub(super) fn decimal(value: f64, places: usize) -> String {
    if !value.is_finite() {
        return UNKNOWN_VALUE.to_owned();
    }
    let text = format!("{value:.places$}");
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", group_digits(whole)),
        None => group_digits(text),
    }
}

/// A rate: `19.9/s`.
pub(super) fn rate(per_second: f64) -> String {
    if !per_second.is_finite() {
        return UNKNOWN_VALUE.to_owned();
    }
    let places = match per_second {
        value if value >= 1_000.0 => 0,
        value if value >= 1.0 || value <= 0.0 => 1,
        _ => 2,
    };
    format!("{}/s", decimal(per_second, places))
}

/// A latency: milliseconds below ten seconds, then seconds, then minutes. The limits
/// are lower by half of the last digit, so that rounding never reaches them.
pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if !ms.is_finite() => UNKNOWN_VALUE.to_owned(),
        ms if ms < 9.95 => format!("{} ms", decimal(ms, 1)),
        ms if ms < 9_999.5 => format!("{} ms", decimal(ms, 0)),
        ms if ms < 599_950.0 => format!("{} s", decimal(ms / 1_000.0, 1)),
        ms => format!("{} min", decimal(ms / 60_000.0, 1)),
    }
}

/// A length of time: seconds below ten minutes, then minutes, without a final `.0`.
pub(super) fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() {
        return UNKNOWN_VALUE.to_owned();
    }
    let (value, unit) = if seconds < 599.95 {
        (seconds, "s")
    } else {
        (seconds / 60.0, "min")
    };
    let value = decimal(value, 1);
    format!("{} {unit}", value.strip_suffix(".0").unwrap_or(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let written: Vec<String> = [0, 7, 999, 1_000, 12_345, 1_234_567]
            .map(group_digits)
            .to_vec();
        assert_eq!(
            written,
            ["0", "7", "999", "1,000", "12,345", "1,234,567"].map(str::to_owned)
        );
        assert_eq!(group_digits(-123), "-123");
        assert_eq!(decimal(1_234.56, 1), "1,234.6");
        assert_eq!(pluralize(1, "user"), "1 user");
        assert_eq!(pluralize(0, "user"), "0 users");
    }

    #[test]
    fn a_latency_has_a_unit_that_fits_its_size() {
        for (ms, written) in [
            (0.0, "0.0 ms"),
            (1.24, "1.2 ms"),
            (9.96, "10 ms"),
            (842.4, "842 ms"),
            (9_999.4, "9,999 ms"),
            (9_999.6, "10.0 s"),
            (83_240.0, "83.2 s"),
            (599_960.0, "10.0 min"),
            (14_400_000.0, "240.0 min"),
            (f64::NAN, "unknown"),
            (f64::INFINITY, "unknown"),
        ] {
            assert_eq!(milliseconds(ms), written);
        }
    }

    #[test]
    fn a_length_of_time_has_no_final_zero() {
        for (value, written) in [
            (20.0, "20 s"),
            (100.44, "100.4 s"),
            (599.96, "10 min"),
            (14_400.0, "240 min"),
            (f64::NAN, "unknown"),
        ] {
            assert_eq!(seconds(value), written);
        }
    }

    #[test]
    fn a_rate_has_fewer_decimals_the_larger_it_is() {
        for (value, written) in [
            (0.0, "0.0/s"),
            (0.25, "0.25/s"),
            (19.94, "19.9/s"),
            (1_234.4, "1,234/s"),
            (f64::NAN, "unknown"),
        ] {
            assert_eq!(rate(value), written);
        }
    }
}
