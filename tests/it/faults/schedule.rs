//! The faults of one run from a seed: which, where, when, how often.

use std::fmt;
use std::time::{Duration, Instant};

use super::service_faults::{
    BATCHES, COGNITO, FaultKind, Latency, RECEIVE, SEND, START, TABLE, pick,
};
use super::{Call, Fault};

#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    seed: u64,
    lasts: Duration,
    periods: Vec<Period>,
}

/// One kind of fault for a part of the run.
#[derive(Debug, Clone)]
struct Period {
    kind: FaultKind,
    on: Vec<&'static str>,
    /// The share of the calls that have the fault.
    rate: f64,
    from: Duration,
    to: Duration,
}

impl Schedule {
    /// The same seed makes the same schedule. The result of a run also depends on the
    /// sequence of the calls.
    pub(crate) fn new(seed: u64, lasts: Duration) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut periods: Vec<Period> = (0..random.usize(3..9))
            .map(|_| Period::any(lasts, &mut random))
            .collect();
        if random.bool() {
            periods.insert(0, Period::of_dead_letters(lasts, &mut random));
        }
        Self {
            seed,
            lasts,
            periods,
        }
    }

    /// The time in which faults occur.
    pub(crate) fn lasts(&self) -> Duration {
        self.lasts
    }

    /// The plan; its time begins with this call.
    pub(crate) fn plan(&self) -> impl FnMut(&Call) -> Option<Fault> + Send + use<> {
        let periods = self.periods.clone();
        let mut random = fastrand::Rng::with_seed(!self.seed);
        let begun = Instant::now();
        move |call| {
            let now = begun.elapsed();
            let period = periods.iter().find(|period| {
                (period.from..period.to).contains(&now)
                    && period.on.contains(&call.operation.as_str())
                    && random.f64() < period.rate
            })?;
            Some(period.kind.fault(call, &mut random))
        }
    }
}

impl Period {
    /// Faults of sends to the dead-letter queue. These are few and have four tries each, so
    /// a lower rate would fail almost none.
    fn of_dead_letters(lasts: Duration, random: &mut fastrand::Rng) -> Self {
        let kinds = [
            FaultKind::Throttling,
            FaultKind::Overload,
            FaultKind::LostConnections,
            FaultKind::Garbled,
        ];
        Self {
            kind: pick(&kinds, random),
            on: SEND.to_vec(),
            rate: 0.8,
            from: Duration::ZERO,
            to: lasts,
        }
    }

    fn any(lasts: Duration, random: &mut fastrand::Rng) -> Self {
        let kind = any_fault_kind(random);
        let whole = random.bool();
        // An outage is short, or no message would ever succeed.
        let outage = !whole && random.u8(..3) == 0;
        let (from, to) = if whole {
            (Duration::ZERO, lasts)
        } else {
            let from = lasts.mul_f64(random.f64() * 0.8);
            (from, from + lasts.mul_f64(0.1 + random.f64() * 0.3))
        };
        let rate = match kind {
            _ if outage => 1.0,
            // Refused messages never succeed, so few are refused.
            FaultKind::Refusals => 0.02,
            // Each time-out takes seconds.
            FaultKind::TimeOuts => 0.02 + random.f64() * 0.1,
            FaultKind::Latency(_) => 0.3 + random.f64() * 0.7,
            _ => 0.02 + random.f64() * 0.4,
        };
        Self {
            on: operations(kind, random),
            kind,
            rate,
            from,
            to,
        }
    }
}

fn any_fault_kind(random: &mut fastrand::Rng) -> FaultKind {
    let millis = |random: &mut fastrand::Rng, most| Duration::from_millis(random.u64(1..most));
    match random.u8(..23) {
        0..2 => FaultKind::Throttling,
        2..4 => FaultKind::Overload,
        4 => FaultKind::Latency(Latency::Uniform {
            most: millis(random, 1500),
        }),
        5 => FaultKind::Latency(Latency::Exponential {
            mean: millis(random, 400),
        }),
        6 => FaultKind::Latency(Latency::LongTail {
            least: millis(random, 60),
        }),
        7 => FaultKind::LostConnections,
        8 => FaultKind::TimeOuts,
        9..11 => FaultKind::Garbled,
        11 => FaultKind::UserLag,
        12 => FaultKind::GroupLag,
        13 => pick(
            &[FaultKind::NoPool, FaultKind::NoTable, FaultKind::NoQueue],
            random,
        ),
        14 => FaultKind::AccessDenied,
        15 => FaultKind::ExpiredToken,
        16 => FaultKind::ClockSkew(pick(&[-26, -5, 5, 26, 10_000], random)),
        17 => FaultKind::Refusals,
        18 => FaultKind::Duplicates,
        19 => FaultKind::PartialBatches,
        20 => FaultKind::LostWrites,
        21 => FaultKind::OverLimit,
        _ => FaultKind::EmptyPolls,
    }
}

/// The operations with this kind of fault: those of one service, or of all that can have it.
fn operations(kind: FaultKind, random: &mut fastrand::Rng) -> Vec<&'static str> {
    let known: &[&[&'static str]] = match kind {
        FaultKind::UserLag => &[&["AdminAddUserToGroup", "AdminGetUser"]],
        FaultKind::GroupLag | FaultKind::Refusals => &[&["AdminAddUserToGroup"]],
        FaultKind::NoPool => &[&["CreateGroup", "AdminGetUser"]],
        FaultKind::NoTable => &[TABLE],
        FaultKind::NoQueue => &[BATCHES, RECEIVE, SEND],
        FaultKind::Duplicates | FaultKind::OverLimit | FaultKind::EmptyPolls => &[RECEIVE],
        FaultKind::PartialBatches => &[BATCHES],
        FaultKind::LostWrites => &[&["DeleteMessageBatch"]],
        FaultKind::TimeOuts => &[COGNITO, TABLE, BATCHES, SEND],
        _ => &[COGNITO, TABLE, BATCHES, RECEIVE, SEND, START],
    };
    if random.bool() {
        known.concat()
    } else {
        pick(known, random).to_vec()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} for {:.1?}:", self.seed, self.lasts)?;
        for period in &self.periods {
            write!(
                f,
                "\n  {:.1?} to {:.1?}: {:?}, {:.0} % of {}",
                period.from,
                period.to,
                period.kind,
                period.rate * 100.0,
                period.on.join(", "),
            )?;
        }
        Ok(())
    }
}
