//! A point in time, as an operator writes it.

use std::time::SystemTime;

use jiff::tz::TimeZone;

/// `2026-08-07T12:00:00Z`, `2026-08-07`, `today` or `yesterday` (midnight, UTC), or how long
/// ago: `2h`, `3days`.
pub(crate) fn parse_time(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let today = || jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = match text {
        "today" => Some(today()),
        "yesterday" => today().yesterday().ok(),
        _ => text.parse::<jiff::civil::Date>().ok(),
    };
    if let Some(day) = day {
        let midnight = day.to_zoned(TimeZone::UTC);
        return midnight
            .map(|midnight| midnight.timestamp())
            .map_err(|error| error.to_string());
    }
    humantime::parse_duration(text)
        .ok()
        .and_then(|ago| SystemTime::now().checked_sub(ago))
        .and_then(|time| jiff::Timestamp::try_from(time).ok())
        .ok_or_else(|| {
            "must be a time (2026-08-07T12:00:00Z), a day in UTC (2026-08-07, today, yesterday) \
             or how long ago (2h)"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_time_a_day_and_how_long_ago() {
        let time = |text| parse_time(text).map(|time| time.to_string());
        assert_eq!(
            time("2026-08-07T14:00:00+02:00"),
            Ok("2026-08-07T12:00:00Z".to_owned())
        );
        assert_eq!(time("2026-08-07"), Ok("2026-08-07T00:00:00Z".to_owned()));
        let (today, yesterday) = (parse_time("today"), parse_time("yesterday"));
        let [today, yesterday] = [today, yesterday].map(|time| time.expect("a day").as_second());
        assert_eq!((today % 86_400, today - yesterday), (0, 86_400));
        let then = parse_time("2h").expect("a time").as_second();
        let ago = jiff::Timestamp::now().as_second() - then;
        assert!((7200..7210).contains(&ago));
        for invalid in ["", "midnight", "2026-13-01", "5"] {
            assert!(parse_time(invalid).is_err(), "{invalid}");
        }
    }
}
