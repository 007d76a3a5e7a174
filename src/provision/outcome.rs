//! What became of one message. A handler only ever returns an [`Outcome`];
//! what that means for the queue is decided in one place of the worker.

use std::time::Duration;

use crate::aws::{Class, Failure, FindUserError};
use crate::event::Malformed;

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Groups and profile are there now.
    Done,
    /// The user had all of it, or was seen to a moment ago.
    AlreadyDone(AlreadyDone),
    /// Nothing was to be done.
    Ignored(Ignored),
    /// Another attempt may do better.
    Retry(Retry),
    /// No attempt will do better.
    Rejected(Rejection),
    /// No message will do better until the deployment is mended.
    Blocked(Failure),
}

/// Why nothing is done for a well-formed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// Someone with a record has chosen a new password, or such events are switched off.
    ForgotPassword,
}

impl Ignored {
    /// The short code for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::ForgotPassword => "forgot_password",
        }
    }
}

/// How it is known that nothing was left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlreadyDone {
    /// The profile existed; the groups were ensured all the same.
    ProfileExists,
    /// The same user with the same groups was done a moment ago.
    Duplicate,
}

/// Why and how to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retry {
    /// What was in the way; becomes the dead letter's reason if it stays so.
    pub cause: Rejection,
    /// Fewer attempts than `worker.max_attempts`, for what seldom changes.
    pub max_attempts: Option<u32>,
    /// The time between two attempts.
    pub pause: Pause,
    /// The call that failed, when it may be the service that is down.
    pub(crate) possible_outage: Option<Failure>,
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The usual back-off, with jitter.
    Backoff,
    /// The same time after each attempt.
    Fixed(Duration),
    /// This time after the first attempt, twice as long after each further one, and a minute
    /// at most.
    Doubled(Duration),
}

/// Why a message goes to the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The short code, `usher.reason`.
    pub reason: String,
    /// The kind of error, `usher.class`.
    pub class: &'static str,
    /// Words without personal data, `usher.error`.
    pub error: String,
    /// The call that a service refuses for good: the message's own fault, unless the
    /// service refuses it to everybody.
    pub(crate) refused_call: Option<Box<Failure>>,
}

/// The class of what is there already and says otherwise.
pub(super) const CONFLICT: &str = "conflict";

/// Tries for a user or a group that is not there, perhaps not yet.
const NOT_YET_MAX_ATTEMPTS: u32 = 5;
/// Consistency lag is a matter of seconds; no need for the long back-off.
const NOT_YET_PAUSE: Duration = Duration::from_secs(3);
const MAX_PAUSE: Duration = Duration::from_mins(1);
/// The reason of a failure that says that there is no such user.
const USER_NOT_FOUND: &str = "user_not_found";

impl Outcome {
    /// The name in logs and metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::AlreadyDone(_) => "already_done",
            Self::Ignored(_) => "ignored",
            Self::Retry(_) => "retry",
            Self::Rejected(_) => "rejected",
            Self::Blocked(_) => "blocked",
        }
    }

    /// Why, as a short code; empty when there is nothing to add.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Done | Self::AlreadyDone(AlreadyDone::ProfileExists) => "",
            Self::AlreadyDone(AlreadyDone::Duplicate) => "duplicate",
            Self::Ignored(why) => why.code(),
            Self::Retry(retry) => &retry.cause.reason,
            Self::Rejected(rejection) => &rejection.reason,
            Self::Blocked(failure) => &failure.reason,
        }
    }

    /// The same for a sign-up: Cognito has confirmed its user, so one that is not found is not
    /// visible yet. That may take minutes. Eight attempts take three and a half.
    #[must_use]
    pub(super) fn for_confirmed_user(self) -> Self {
        match self {
            Self::Retry(retry) if retry.cause.reason == USER_NOT_FOUND => Self::Retry(Retry {
                max_attempts: None,
                pause: Pause::Doubled(NOT_YET_PAUSE),
                ..retry
            }),
            outcome => outcome,
        }
    }

    /// The outcome of two steps, of which each was tried. A step that can still succeed
    /// is given the chance before the message is given up.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        let rank = |outcome: &Self| match outcome {
            Self::Done | Self::AlreadyDone(_) | Self::Ignored(_) => 0,
            Self::Rejected(_) => 1,
            Self::Retry(_) => 2,
            Self::Blocked(_) => 3,
        };
        if rank(&other) > rank(&self) {
            other
        } else {
            self
        }
    }
}

impl Retry {
    /// With the usual back-off and number of attempts.
    pub(crate) fn new(cause: Rejection) -> Self {
        Self {
            cause,
            max_attempts: None,
            pause: Pause::Backoff,
            possible_outage: None,
        }
    }
}

impl Pause {
    /// The pause after so many attempts; `back_off` is the usual one.
    pub(crate) fn after(self, attempts: u32, back_off: impl FnOnce(u32) -> Duration) -> Duration {
        match self {
            Self::Backoff => back_off(attempts),
            Self::Fixed(pause) => pause,
            Self::Doubled(first) => {
                let doublings = attempts.saturating_sub(1);
                let times = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                first.saturating_mul(times).min(MAX_PAUSE)
            }
        }
    }
}

impl Rejection {
    /// The user pool does not know the user.
    pub(super) fn user_not_found(error: &str) -> Self {
        Self {
            reason: USER_NOT_FOUND.to_owned(),
            class: Class::NotYet.name(),
            error: error.to_owned(),
            refused_call: None,
        }
    }

    /// The message's pool is not among `pools.allowed`. Either somebody else's messages
    /// come here, or the list is wrong: the message is kept until somebody has looked.
    pub(crate) fn foreign_pool() -> Self {
        Self {
            reason: Self::FOREIGN_POOL.to_owned(),
            class: Self::FORBIDDEN,
            error: "the user pool is not among pools.allowed".to_owned(),
            refused_call: None,
        }
    }

    /// The reason of [`Self::foreign_pool`].
    pub(crate) const FOREIGN_POOL: &str = "foreign_pool";

    /// The class of what nobody may do.
    pub(super) const FORBIDDEN: &str = "forbidden";
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        Self {
            class: failure.class.name(),
            error: failure.to_string(),
            reason: failure.reason,
            refused_call: None,
        }
    }
}

impl From<Malformed> for Rejection {
    fn from(malformed: Malformed) -> Self {
        Self {
            reason: malformed.code().to_owned(),
            class: "malformed",
            error: malformed.to_string(),
            refused_call: None,
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure.class {
            Class::Throttled | Class::Busy => Self::Retry(Retry::new(failure.into())),
            Class::Transient => Self::Retry(Retry {
                possible_outage: Some(failure.clone()),
                ..Retry::new(failure.into())
            }),
            Class::NotYet => Self::Retry(Retry {
                cause: failure.into(),
                max_attempts: Some(NOT_YET_MAX_ATTEMPTS),
                pause: Pause::Fixed(NOT_YET_PAUSE),
                possible_outage: None,
            }),
            Class::Permanent => Self::Rejected(Rejection {
                refused_call: Some(Box::new(failure.clone())),
                ..failure.into()
            }),
            Class::Systemic | Class::Credentials => Self::Blocked(failure),
        }
    }
}

impl From<FindUserError> for Outcome {
    fn from(none: FindUserError) -> Self {
        match none {
            FindUserError::Failed(failure) => failure.into(),
            FindUserError::Ambiguous => Self::Rejected(Rejection {
                reason: "ambiguous_user".to_owned(),
                class: CONFLICT,
                error: none.to_string(),
                refused_call: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Service;

    fn failure(class: Class) -> Failure {
        Failure {
            service: Service::Cognito,
            operation: "AdminAddUserToGroup",
            resource: "eu-west-1_x".to_owned(),
            code: "SomethingException".to_owned(),
            reason: "something".to_owned(),
            class,
        }
    }

    #[test]
    fn each_class_of_failure_has_its_outcome() {
        for (class, name) in [
            (Class::Throttled, "retry"),
            (Class::Busy, "retry"),
            (Class::Transient, "retry"),
            (Class::NotYet, "retry"),
            (Class::Permanent, "rejected"),
            (Class::Systemic, "blocked"),
            (Class::Credentials, "blocked"),
        ] {
            assert_eq!(Outcome::from(failure(class)).name(), name, "{class:?}");
        }
    }

    #[test]
    fn the_step_that_can_still_succeed_decides() {
        let retry = || Outcome::from(failure(Class::Transient));
        let rejected = || Outcome::from(failure(Class::Permanent));
        let blocked = || Outcome::from(failure(Class::Systemic));
        assert_eq!(rejected().and(retry()).name(), "retry");
        assert_eq!(retry().and(rejected()).name(), "retry");
        assert_eq!(retry().and(blocked()).name(), "blocked");
        assert_eq!(Outcome::Done.and(rejected()).name(), "rejected");
    }

    #[test]
    fn a_sign_up_waits_minutes_for_its_user_and_a_command_does_not() {
        let missing = Failure {
            reason: USER_NOT_FOUND.to_owned(),
            ..failure(Class::NotYet)
        };
        let waits = |outcome: Outcome| {
            let Outcome::Retry(retry) = outcome else {
                panic!("no retry: {outcome:?}")
            };
            let attempts = retry.max_attempts.unwrap_or(8);
            let pauses = (1..attempts).map(|n| retry.pause.after(n, |_| Duration::ZERO));
            pauses.map(|pause| pause.as_secs()).collect::<Vec<_>>()
        };
        let command = Outcome::from(missing.clone());
        assert_eq!(waits(command), [3, 3, 3, 3]);
        let sign_up = Outcome::from(missing).for_confirmed_user();
        assert_eq!(waits(sign_up), [3, 6, 12, 24, 48, 60, 60]);
        // A group has no such promise.
        let group = Outcome::from(failure(Class::NotYet)).for_confirmed_user();
        assert_eq!(waits(group), [3, 3, 3, 3]);
        let long = Pause::Doubled(NOT_YET_PAUSE).after(900, |_| Duration::ZERO);
        assert_eq!(long, MAX_PAUSE);
    }

    #[test]
    fn a_failure_names_call_and_code_and_nobody() {
        let text = failure(Class::Permanent).to_string();
        assert_eq!(
            text,
            "cognito AdminAddUserToGroup on eu-west-1_x: SomethingException"
        );
    }
}
