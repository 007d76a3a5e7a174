//! Which message is sent when: decided before the first is sent.

use std::time::Duration;

use super::stages::Stages;

/// The kind and number of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMessage {
    /// The sign-up of the user with this number.
    SignUp(u32),
    /// The same sign-up again, as Cognito and SQS may deliver it.
    Duplicate(u32),
    /// A message that must not be provisioned.
    Poison(u32),
}

/// One message and the time at which it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledMessage {
    /// Time since the start of the schedule.
    pub at: Duration,
    /// Kind and number of the message.
    pub message: LoadMessage,
}

/// The schedule of a run with all its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadPlan {
    /// All messages, ordered by their times.
    pub messages: Vec<ScheduledMessage>,
    /// Users with one sign-up each; numbered from 0, ordered by their times.
    pub sign_ups: u32,
    /// Sign-ups that are sent twice.
    pub duplicates: u32,
    /// Messages that must not be provisioned.
    pub poison: u32,
    /// Users for whom no message is sent.
    pub(crate) bystanders: u32,
    /// Total length of the stages.
    pub duration: Duration,
}

/// A duplicate comes within this time: Cognito calls a trigger again that does not
/// answer in five seconds.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html>
const MAX_DUPLICATE_WINDOW: Duration = Duration::from_secs(5);
const MIN_DUPLICATE_WINDOW: Duration = Duration::from_secs(1);

impl LoadPlan {
    /// The same arguments give the same plan. `duplicates` and `poison` are shares of
    /// the sign-ups, 0 to 1, and are sent in addition to them.
    pub fn new(stages: &Stages, duplicates: f64, poison: f64, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
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
        let repeated = rng.choose_multiple(messages.clone(), duplicates as usize);
        for scheduled in repeated {
            if let LoadMessage::SignUp(n) = scheduled.message {
                // Duplicates of the last sign-ups come soon after the end; otherwise
                // the rate of the whole run would seem too low.
                let within = duration
                    .saturating_sub(scheduled.at)
                    .clamp(MIN_DUPLICATE_WINDOW, MAX_DUPLICATE_WINDOW);
                messages.push(ScheduledMessage {
                    at: scheduled.at + within.mul_f64(rng.f64()),
                    message: LoadMessage::Duplicate(n),
                });
            }
        }
        messages.extend((0..poison).map(|n| ScheduledMessage {
            at: duration.mul_f64(rng.f64()),
            message: LoadMessage::Poison(n),
        }));
        // The sort is stable: of messages due at the same time, sign-ups come first.
        messages.sort_by_key(|scheduled| scheduled.at);
        Self {
            messages,
            sign_ups,
            duplicates,
            poison,
            bystanders: (sign_ups / 100).clamp(1, 20),
            duration,
        }
    }

    /// When the sign-up of each user is due, by number.
    pub(crate) fn due_times(&self) -> Vec<Duration> {
        let due = self
            .messages
            .iter()
            .filter_map(|scheduled| match scheduled.message {
                LoadMessage::SignUp(_) => Some(scheduled.at),
                LoadMessage::Duplicate(_) | LoadMessage::Poison(_) => None,
            });
        due.collect()
    }
}

/// A share above 0 gives at least one, if there are any sign-ups.
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
    fn plan_has_the_requested_counts_and_depends_only_on_the_seed() {
        let stages = Stages::steady(2000, 100.0).expect("stages");
        let plan = LoadPlan::new(&stages, 0.05, 0.01, 7);
        assert_eq!(
            (plan.sign_ups, plan.duplicates, plan.poison),
            (2000, 100, 20)
        );
        assert_eq!(plan.messages.len(), 2120);
        assert!(plan.messages.is_sorted_by_key(|scheduled| scheduled.at));
        let due = plan.due_times();
        let mut duplicated = BTreeSet::new();
        for scheduled in &plan.messages {
            if let LoadMessage::Duplicate(n) = scheduled.message {
                assert!(duplicated.insert(n), "{n} is sent three times");
                let after = scheduled.at.saturating_sub(due[n as usize]);
                assert!(
                    scheduled.at >= due[n as usize] && after <= MAX_DUPLICATE_WINDOW,
                    "{after:?}"
                );
            }
        }
        assert_eq!(duplicated.len(), 100);
        assert_eq!(plan, LoadPlan::new(&stages, 0.05, 0.01, 7));
        assert_ne!(plan, LoadPlan::new(&stages, 0.05, 0.01, 8));
    }

    #[test]
    fn a_small_share_gives_one_message_and_zero_gives_none() {
        let stages = Stages::steady(3, 100.0).expect("stages");
        let plan = LoadPlan::new(&stages, 0.0, 0.01, 7);
        assert_eq!((plan.duplicates, plan.poison, plan.bystanders), (0, 1, 1));
    }
}
