//! What is sent when: all of it decided before the first message goes.

use std::time::Duration;

use super::stages::Stages;

/// What one message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The sign-up of the user of this number.
    SignUp(u32),
    /// The same once more, as Cognito and SQS deliver it.
    Again(u32),
    /// A message that is not to be provisioned.
    Poison(u32),
}

/// One message and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    /// Since the begin of the schedule.
    pub at: Duration,
    /// What goes.
    pub what: What,
}

/// The schedule with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In the order of their times.
    pub shots: Vec<Shot>,
    /// Users, each with one sign-up; numbered from 0 in the order of their times.
    pub sign_ups: u32,
    /// Sign-ups that go twice.
    pub duplicates: u32,
    /// Messages that are not to be provisioned.
    pub poison: u32,
    /// Users for whom nothing is sent.
    pub bystanders: u32,
    /// Length of the stages.
    pub length: Duration,
}

/// Within this time the same event comes again: a trigger that did not answer in
/// its five seconds is called once more.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html>
const AGAIN: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(1);

impl Plan {
    /// The same for the same arguments. `duplicates` and `poison` are shares of the
    /// sign-ups, 0 to 1, and come beside them.
    pub fn new(stages: &Stages, duplicates: f64, poison: f64, seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let offsets = stages.offsets();
        let length = stages.length();
        let sign_ups = u32::try_from(offsets.len()).unwrap_or(u32::MAX);
        let (duplicates, poison) = (share(sign_ups, duplicates), share(sign_ups, poison));
        let mut shots: Vec<Shot> = (0..)
            .zip(&offsets)
            .map(|(n, at)| Shot {
                at: *at,
                what: What::SignUp(n),
            })
            .collect();
        let again = chance.choose_multiple(shots.clone(), duplicates as usize);
        for shot in again {
            if let What::SignUp(n) = shot.what {
                // Those of the last moments not long after the end, or the rate of
                // the whole would look smaller than it was.
                let within = length.saturating_sub(shot.at).clamp(SOON, AGAIN);
                shots.push(Shot {
                    at: shot.at + within.mul_f64(chance.f64()),
                    what: What::Again(n),
                });
            }
        }
        shots.extend((0..poison).map(|n| Shot {
            at: length.mul_f64(chance.f64()),
            what: What::Poison(n),
        }));
        // Stable: of what is due at once, sign-ups go first.
        shots.sort_by_key(|shot| shot.at);
        Self {
            shots,
            sign_ups,
            duplicates,
            poison,
            bystanders: (sign_ups / 100).clamp(1, 20),
            length,
        }
    }

    /// When the sign-up of each user is due.
    pub fn due(&self) -> Vec<Duration> {
        let due = self.shots.iter().filter_map(|shot| match shot.what {
            What::SignUp(_) => Some(shot.at),
            What::Again(_) | What::Poison(_) => None,
        });
        due.collect()
    }
}

/// At least one of them when any are asked for.
fn share(of: u32, share: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a u32"
    )]
    let count = (f64::from(of) * share.clamp(0.0, 1.0) - 1e-9).ceil() as u32;
    count
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_plan_has_just_what_was_asked_for_and_depends_on_the_seed_alone() {
        let stages = Stages::steady(2000, 100.0).expect("stages");
        let plan = Plan::new(&stages, 0.05, 0.01, 7);
        assert_eq!(
            (plan.sign_ups, plan.duplicates, plan.poison),
            (2000, 100, 20)
        );
        assert_eq!(plan.shots.len(), 2120);
        assert!(plan.shots.is_sorted_by_key(|shot| shot.at));
        let due = plan.due();
        let mut again = BTreeSet::new();
        for shot in &plan.shots {
            if let What::Again(n) = shot.what {
                assert!(again.insert(n), "{n} goes three times");
                let after = shot.at.saturating_sub(due[n as usize]);
                assert!(shot.at >= due[n as usize] && after <= AGAIN, "{after:?}");
            }
        }
        assert_eq!(again.len(), 100);
        assert_eq!(plan, Plan::new(&stages, 0.05, 0.01, 7));
        assert_ne!(plan, Plan::new(&stages, 0.05, 0.01, 8));
    }

    #[test]
    fn a_small_share_is_one_and_none_is_none() {
        let stages = Stages::steady(3, 100.0).expect("stages");
        let plan = Plan::new(&stages, 0.0, 0.01, 7);
        assert_eq!((plan.duplicates, plan.poison, plan.bystanders), (0, 1, 1));
    }
}
