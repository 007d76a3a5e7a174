//! When sign-ups come: a sequence of stages. The schedule is fixed before anything is
//! sent and does not wait for the system (an open loop): real users do not wait either.

use std::time::Duration;

/// A part of the schedule, with its own rate.
#[derive(Debug, Clone, Copy, PartialEq)]
enum LoadStage {
    /// A rate that changes linearly; rates are sign-ups a second.
    Ramp { from: f64, to: f64, time: Duration },
    /// `count` sign-ups at a constant rate above 0.
    Steady { count: u32, rate: f64 },
    /// This many sign-ups at the same time.
    Burst(u32),
}

/// The schedule of a run, checked against the limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Stages(Vec<LoadStage>);

/// The syntax of stages, for error texts.
pub(crate) const GRAMMAR: &str =
    "ramp A..B over TIME, hold TIME, hold RATE for TIME, burst N, pause TIME";

pub(crate) const MAX_SIGN_UPS: u32 = 1_000_000;
const MAX_RATE: f64 = 10_000.0;
/// Lowest rate a second, except 0, which is a pause.
const MIN_RATE: f64 = 0.001;
const MAX_SCHEDULE_DURATION: Duration = Duration::from_hours(48);
/// Tolerance, in arrivals, for rounding errors.
const ROUNDING: f64 = 1e-6;

impl Stages {
    /// One stage of `count` sign-ups at `rate` a second.
    ///
    /// # Errors
    /// The limit that the stage violates.
    pub fn steady(count: u32, rate: f64) -> Result<Self, String> {
        let rate = check_rate(rate)?;
        if rate <= 0.0 {
            return Err("a rate is above 0".to_owned());
        }
        Self(vec![LoadStage::Steady { count, rate }]).checked()
    }

    /// Parses stages that follow `GRAMMAR`, separated by commas.
    ///
    /// # Errors
    /// The first invalid stage and the reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut stages = Vec::new();
        let mut rate = None;
        for part in text.split(',') {
            let with_stage = |why: String| format!("{:?}: {why}", part.trim());
            let stage = parse_stage(part, rate).map_err(with_stage)?;
            if let LoadStage::Ramp { to, .. } = stage
                && !is_pause(part)
            {
                rate = Some(to);
            }
            stages.push(stage);
        }
        Self(stages).checked()
    }

    fn checked(self) -> Result<Self, String> {
        let count: f64 = self.0.iter().map(LoadStage::arrivals).sum();
        if count < 1.0 - ROUNDING {
            return Err("it has no sign-ups".to_owned());
        }
        if count > f64::from(MAX_SIGN_UPS) {
            return Err(format!("more sign-ups than {MAX_SIGN_UPS}"));
        }
        if self.duration() > MAX_SCHEDULE_DURATION {
            return Err("longer than 48 hours".to_owned());
        }
        Ok(self)
    }

    /// Total length of the stages.
    pub fn duration(&self) -> Duration {
        let times = self.0.iter().map(LoadStage::duration);
        times.fold(Duration::ZERO, Duration::saturating_add)
    }

    /// When each sign-up is due, since the start; ascending.
    pub(crate) fn offsets(&self) -> Vec<Duration> {
        let mut offsets = Vec::new();
        let mut start = Duration::ZERO;
        // Fraction of the next arrival that is accrued; the first is due immediately.
        let mut carry = 1.0;
        for stage in &self.0 {
            match *stage {
                LoadStage::Burst(count) => {
                    offsets.extend(std::iter::repeat_n(start, count as usize));
                }
                LoadStage::Steady { count, rate } => {
                    let at = |n| start + Duration::from_secs_f64(f64::from(n) / rate);
                    offsets.extend((0..count).map(at));
                }
                LoadStage::Ramp { from, to, time } => {
                    let all = stage.arrivals();
                    let mut next = 1.0 - carry;
                    while next < all - ROUNDING {
                        let at = arrival_time(next, from, to, time.as_secs_f64());
                        offsets.push(start + Duration::from_secs_f64(at).min(time));
                        next += 1.0;
                    }
                    carry = (1.0 - (next - all)).clamp(0.0, 1.0);
                }
            }
            start += stage.duration();
        }
        offsets
    }
}

impl LoadStage {
    fn arrivals(&self) -> f64 {
        match self {
            Self::Ramp { from, to, time } => f64::midpoint(*from, *to) * time.as_secs_f64(),
            Self::Steady { count, .. } | Self::Burst(count) => f64::from(*count),
        }
    }

    fn duration(&self) -> Duration {
        match self {
            Self::Ramp { time, .. } => *time,
            // Longer than a Duration can hold: far above the limit.
            Self::Steady { count, rate } => {
                let time = Duration::try_from_secs_f64(f64::from(*count) / rate);
                time.unwrap_or(Duration::MAX)
            }
            Self::Burst(_) => Duration::ZERO,
        }
    }
}

/// The second at which `arrivals` is reached by the integral of the rate,
/// from t + (to - from) t² / 2 T.
fn arrival_time(arrivals: f64, from: f64, to: f64, time: f64) -> f64 {
    let slope = (to - from) / time;
    if slope.abs() < f64::EPSILON {
        return arrivals / from;
    }
    // This form of the solution avoids subtracting nearly equal numbers.
    let root = (from * from + 2.0 * slope * arrivals).max(0.0).sqrt();
    let divisor = from + root;
    if divisor > 0.0 {
        2.0 * arrivals / divisor
    } else {
        0.0
    }
}

fn parse_stage(text: &str, rate: Option<f64>) -> Result<LoadStage, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["ramp", rates, "over", time] => {
            let (from, to) = rates
                .split_once("..")
                .ok_or("a ramp goes from one rate to another: 0..200")?;
            Ok(LoadStage::Ramp {
                from: parse_rate(from)?,
                to: parse_rate(to)?,
                time: parse_time(time)?,
            })
        }
        ["hold", time] => {
            let rate = rate.ok_or("there is no rate before it to hold: hold RATE for TIME")?;
            if rate <= 0.0 {
                return Err("the rate before it is 0: write pause TIME".to_owned());
            }
            Ok(hold(rate, parse_time(time)?))
        }
        ["hold", rate, "for", time] => Ok(hold(parse_rate(rate)?, parse_time(time)?)),
        ["pause", time] => Ok(hold(0.0, parse_time(time)?)),
        ["burst", count] => match count.parse() {
            Ok(count @ 1..=MAX_SIGN_UPS) => Ok(LoadStage::Burst(count)),
            _ => Err(format!(
                "{count:?} is not a number of sign-ups from 1 to {MAX_SIGN_UPS}"
            )),
        },
        _ => Err(format!("a stage is one of: {GRAMMAR}")),
    }
}

fn is_pause(text: &str) -> bool {
    text.trim_start().starts_with("pause")
}

fn hold(rate: f64, time: Duration) -> LoadStage {
    LoadStage::Ramp {
        from: rate,
        to: rate,
        time,
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse()
        .map_err(|_| format!("{text:?} is not a number of sign-ups a second"))?;
    check_rate(rate)
}

fn check_rate(rate: f64) -> Result<f64, String> {
    if rate == 0.0 || (MIN_RATE..=MAX_RATE).contains(&rate) {
        Ok(rate)
    } else {
        Err(format!(
            "a rate is 0, or between {MIN_RATE} and {MAX_RATE} a second"
        ))
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| format!("{text:?} is not a time, such as 90s or 5m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(text: &str) -> Vec<f64> {
        let stages = Stages::parse(text).expect("stages");
        let offsets = stages.offsets();
        assert!(offsets.is_sorted(), "{text}");
        assert!(offsets.iter().all(|at| *at <= stages.duration()), "{text}");
        offsets.iter().map(Duration::as_secs_f64).collect()
    }

    #[test]
    fn a_steady_rate_gives_exactly_the_count_evenly() {
        for (count, rate) in [
            (2000, 100.0),
            (7, 3.0),
            (1, 0.1),
            (5, 7000.0),
            (19_999, 9999.0),
        ] {
            let offsets = Stages::steady(count, rate).expect("stages").offsets();
            assert_eq!(offsets.len(), count as usize);
            for (n, at) in (0_u32..).zip(&offsets) {
                let due = f64::from(n) / rate;
                assert!((at.as_secs_f64() - due).abs() < 1e-6, "{n} at {at:?}");
            }
        }
    }

    #[test]
    fn a_ramp_rises_evenly() {
        let ramp = offsets("ramp 0..200 over 60s");
        assert_eq!(ramp.len(), 6000);
        let before = |second| ramp.iter().filter(|at| **at < second).count();
        // A quarter of them come in the first half.
        assert!((1499..=1501).contains(&before(30.0)), "{}", before(30.0));
        let last = before(60.0) - before(59.0);
        assert!((198..=200).contains(&last), "{last} in the last second");
        let down = offsets("ramp 10..0 over 10s");
        assert_eq!(down.len(), 50);
    }

    #[test]
    fn stages_follow_each_other() {
        let all = offsets("hold 10 for 2s, pause 8s, burst 100, hold 1s");
        assert_eq!(all.len(), 130, "a pause has no rate to hold");
        assert!(all[..20].iter().all(|at| *at < 2.0));
        assert!(all[20..120].iter().all(|at| (*at - 10.0).abs() < 1e-6));
        let thirds = offsets("hold 0.5 for 3s, hold 0.5 for 3s, hold 10 for 1s");
        assert_eq!(
            thirds.len(),
            13,
            "what one stage leaves of a sign-up goes on: {thirds:?}"
        );
    }

    #[test]
    fn errors_name_the_invalid_part() {
        for (text, part) in [
            ("", "a stage is one of"),
            ("hold 5m", "no rate before it"),
            ("ramp 0..200", "a stage is one of"),
            ("ramp 200 over 60s", "from one rate to another"),
            ("burst 10, hold x for 5m", "\"x\" is not a number"),
            ("ramp 0..1e9 over 60s", "between 0.001 and 10000"),
            ("ramp 0..-1 over 60s", "between 0.001 and 10000"),
            ("ramp 0..3e-11 over 48h, burst 1", "between 0.001 and 10000"),
            ("ramp 10..0 over 5s, hold 1m", "write pause TIME"),
            ("hold 1 for 0s", "is not a time"),
            ("burst 0", "from 1 to"),
            ("pause 5m", "it has no sign-ups"),
            ("hold 10000 for 1h", "more sign-ups than 1000000"),
            ("hold 1 for 49h", "longer than 48 hours"),
        ] {
            let error = Stages::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(Stages::steady(10, 0.0).is_err());
        assert!(Stages::steady(10, f64::NAN).is_err());
        assert!(Stages::steady(u32::MAX, 1e-300).is_err());
    }
}
