//! From a seed to the troubles of one run: which, where, when, how often.

use std::fmt;
use std::time::{Duration, Instant};

use super::trouble::{BATCHES, COGNITO, Latency, RECEIVE, SEND, START, TABLE, Trouble, pick};
use super::{Call, Fault};

#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    seed: u64,
    lasts: Duration,
    spells: Vec<Spell>,
}

/// One trouble for a while.
#[derive(Debug, Clone)]
struct Spell {
    trouble: Trouble,
    on: Vec<&'static str>,
    /// Share of the calls.
    rate: f64,
    from: Duration,
    to: Duration,
}

impl Schedule {
    /// The same seed makes the same schedule. What happens under it also depends
    /// on the order in which calls come.
    pub(crate) fn new(seed: u64, lasts: Duration) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut spells: Vec<Spell> = (0..random.usize(3..9))
            .map(|_| Spell::any(lasts, &mut random))
            .collect();
        if random.bool() {
            spells.insert(0, Spell::of_letters(lasts, &mut random));
        }
        Self {
            seed,
            lasts,
            spells,
        }
    }

    /// From the first trouble to the last.
    pub(crate) fn lasts(&self) -> Duration {
        self.lasts
    }

    /// The plan; its time begins now.
    pub(crate) fn plan(&self) -> impl FnMut(&Call) -> Option<Fault> + Send + use<> {
        let spells = self.spells.clone();
        let mut random = fastrand::Rng::with_seed(!self.seed);
        let begun = Instant::now();
        move |call| {
            let now = begun.elapsed();
            let spell = spells.iter().find(|spell| {
                (spell.from..spell.to).contains(&now)
                    && spell.on.contains(&call.operation.as_str())
                    && random.f64() < spell.rate
            })?;
            Some(spell.trouble.fault(call, &mut random))
        }
    }
}

impl Spell {
    /// Letters are few, and each is tried four times: left to chance, hardly one
    /// would fail.
    fn of_letters(lasts: Duration, random: &mut fastrand::Rng) -> Self {
        let troubles = [
            Trouble::Throttling,
            Trouble::Overload,
            Trouble::LostConnections,
            Trouble::Garbled,
        ];
        Self {
            trouble: pick(&troubles, random),
            on: SEND.to_vec(),
            rate: 0.8,
            from: Duration::ZERO,
            to: lasts,
        }
    }

    fn any(lasts: Duration, random: &mut fastrand::Rng) -> Self {
        let trouble = any_trouble(random);
        let whole = random.bool();
        // An outage is short, or nothing would come to its end.
        let outage = !whole && random.u8(..3) == 0;
        let (from, to) = if whole {
            (Duration::ZERO, lasts)
        } else {
            let from = lasts.mul_f64(random.f64() * 0.8);
            (from, from + lasts.mul_f64(0.1 + random.f64() * 0.3))
        };
        let rate = match trouble {
            _ if outage => 1.0,
            // For good, and so for few.
            Trouble::Refusals => 0.02,
            // Each costs seconds.
            Trouble::TimeOuts => 0.02 + random.f64() * 0.1,
            Trouble::Latency(_) => 0.3 + random.f64() * 0.7,
            _ => 0.02 + random.f64() * 0.4,
        };
        Self {
            on: operations(trouble, random),
            trouble,
            rate,
            from,
            to,
        }
    }
}

fn any_trouble(random: &mut fastrand::Rng) -> Trouble {
    let millis = |random: &mut fastrand::Rng, most| Duration::from_millis(random.u64(1..most));
    match random.u8(..23) {
        0..2 => Trouble::Throttling,
        2..4 => Trouble::Overload,
        4 => Trouble::Latency(Latency::Uniform {
            most: millis(random, 1500),
        }),
        5 => Trouble::Latency(Latency::Exponential {
            mean: millis(random, 400),
        }),
        6 => Trouble::Latency(Latency::LongTail {
            least: millis(random, 60),
        }),
        7 => Trouble::LostConnections,
        8 => Trouble::TimeOuts,
        9..11 => Trouble::Garbled,
        11 => Trouble::UserLag,
        12 => Trouble::GroupLag,
        13 => pick(
            &[Trouble::NoPool, Trouble::NoTable, Trouble::NoQueue],
            random,
        ),
        14 => Trouble::AccessDenied,
        15 => Trouble::ExpiredToken,
        16 => Trouble::ClockSkew(pick(&[-26, -5, 5, 26, 10_000], random)),
        17 => Trouble::Refusals,
        18 => Trouble::Duplicates,
        19 => Trouble::PartialBatches,
        20 => Trouble::LostWrites,
        21 => Trouble::OverLimit,
        _ => Trouble::EmptyPolls,
    }
}

/// Where a trouble can be met: one service, or all that know it.
fn operations(trouble: Trouble, random: &mut fastrand::Rng) -> Vec<&'static str> {
    let known: &[&[&'static str]] = match trouble {
        Trouble::UserLag => &[&["AdminAddUserToGroup", "AdminGetUser"]],
        Trouble::GroupLag | Trouble::Refusals => &[&["AdminAddUserToGroup"]],
        Trouble::NoPool => &[&["CreateGroup", "AdminGetUser"]],
        Trouble::NoTable => &[TABLE],
        Trouble::NoQueue => &[BATCHES, RECEIVE, SEND],
        Trouble::Duplicates | Trouble::OverLimit | Trouble::EmptyPolls => &[RECEIVE],
        Trouble::PartialBatches => &[BATCHES],
        Trouble::LostWrites => &[&["DeleteMessageBatch"]],
        Trouble::TimeOuts => &[COGNITO, TABLE, BATCHES, SEND],
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
        for spell in &self.spells {
            write!(
                f,
                "\n  {:.1?} to {:.1?}: {:?}, {:.0} % of {}",
                spell.from,
                spell.to,
                spell.trouble,
                spell.rate * 100.0,
                spell.on.join(", "),
            )?;
        }
        Ok(())
    }
}
