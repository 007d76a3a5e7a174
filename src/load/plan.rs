//! What is sent when: all of it decided before the first message goes.

use std::time::Duration;

use super::stages::Stages;

/// What one message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMessage {
    /// The sign-up of the user of this number.
    SignUp(u32),
    /// The same once more, as Cognito and SQS deliver it.
    Duplicate(u32),
    /// A message that is not to be provisioned.
    Poison(u32),
}

/// One message and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledMessage {
    /// Since the begin of the schedule.
    pub at: Duration,
    /// What goes.
    pub message: LoadMessage,
}

/// The schedule with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadPlan {
    /// In the order of their times.
    pub messages: Vec<ScheduledMessage>,
    /// Users, each with one sign-up; numbered from 0 in the order of their times.
    pub sign_ups: u32,
    /// Sign-ups that go twice.
    pub duplicates: u32,
    /// Messages that are not to be provisioned.
    pub poison: u32,
    /// Users for whom nothing is sent.
    pub(crate) bystanders: u32,
    /// Length of the stages.
    pub duration: Duration,
}

/// Within this time the same event comes again: a trigger that did not answer in
/// its five seconds is called once more.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html>
const MAX_DUPLICATE_WINDOW: Duration = Duration::from_secs(5);
const MIN_DUPLICATE_WINDOW: Duration = Duration::from_secs(1);

impl LoadPlan {
    /// The same for the same arguments. `duplicates` and `poison` are shares of the
    /// sign-ups, 0 to 1, and come beside them.
    pub fn new(stages: &Stages, duplicates: f64, poison: f64, seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let offsets = stages.offsets();
        let duration = stages.duration();
        let sign_ups = u32::try_from(offsets.len()).unwrap_or(u32::MAX);
        let (duplicates, poison) = (share(sign_ups, duplicates), share(sign_ups, poison));
        let mut messages: Vec<ScheduledMessage> = (0..)
            .zip(&offsets)
            .map(|(n, at)| ScheduledMessage {
                at: *at,
                message: LoadMessage::SignUp(n),
            })
            .collect();
        let again = chance.choose_multiple(messages.clone(), duplicates as usize);
        for shot in again {
            if let LoadMessage::SignUp(n) = shot.message {
                // Those of the last moments not long after the end, or the rate of
                // the whole would look smaller than it was.
                let within = duration
                    .saturating_sub(shot.at)
                    .clamp(MIN_DUPLICATE_WINDOW, MAX_DUPLICATE_WINDOW);
                messages.push(ScheduledMessage {
                    at: shot.at + within.mul_f64(chance.f64()),
                    message: LoadMessage::Duplicate(n),
                });
            }
        }
        messages.extend((0..poison).map(|n| ScheduledMessage {
            at: duration.mul_f64(chance.f64()),
            message: LoadMessage::Poison(n),
        }));
        // Stable: of what is due at once, sign-ups go first.
        messages.sort_by_key(|shot| shot.at);
        Self {
            messages,
            sign_ups,
            duplicates,
            poison,
            bystanders: (sign_ups / 100).clamp(1, 20),
            duration,
        }
    }

    /// When the sign-up of each user is due.
    pub(crate) fn due_times(&self) -> Vec<Duration> {
        let due = self.messages.iter().filter_map(|shot| match shot.message {
            LoadMessage::SignUp(_) => Some(shot.at),
            LoadMessage::Duplicate(_) | LoadMessage::Poison(_) => None,
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
        let plan = LoadPlan::new(&stages, 0.05, 0.01, 7);
        assert_eq!(
            (plan.sign_ups, plan.duplicates, plan.poison),
            (2000, 100, 20)
        );
        assert_eq!(plan.messages.len(), 2120);
        assert!(plan.messages.is_sorted_by_key(|shot| shot.at));
        let due = plan.due_times();
        let mut again = BTreeSet::new();
        for shot in &plan.messages {
            if let LoadMessage::Duplicate(n) = shot.message {
                assert!(again.insert(n), "{n} goes three times");
                let after = shot.at.saturating_sub(due[n as usize]);
                assert!(
                    shot.at >= due[n as usize] && after <= MAX_DUPLICATE_WINDOW,
                    "{after:?}"
                );
            }
        }
        assert_eq!(again.len(), 100);
        assert_eq!(plan, LoadPlan::new(&stages, 0.05, 0.01, 7));
        assert_ne!(plan, LoadPlan::new(&stages, 0.05, 0.01, 8));
    }

    #[test]
    fn a_small_share_is_one_and_none_is_none() {
        let stages = Stages::steady(3, 100.0).expect("stages");
        let plan = LoadPlan::new(&stages, 0.0, 0.01, 7);
        assert_eq!((plan.duplicates, plan.poison, plan.bystanders), (0, 1, 1));
    }
}
