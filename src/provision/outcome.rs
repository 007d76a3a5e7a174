//! The outcome of one message. A handler only returns an [`Outcome`]; the worker's `settle`
//! turns it into calls of SQS.

use std::time::Duration;

use crate::aws::{Class, Failure, FindUserError};
use crate::event::Malformed;
use crate::reason::Reason;

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that the message asks for was done.
    Done,
    /// The profile existed, or the same was done a moment ago.
    AlreadyDone(AlreadyDone),
    Ignored(Ignored),
    /// Another attempt may succeed.
    Retry(Retry),
    /// No attempt will succeed.
    Rejected(Rejection),
    /// No message will succeed until the deployment is fixed.
    Blocked(Failure),
}

/// Why nothing is done for a well-formed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The event is not a sign-up, and the user has a profile, or such events are switched off.
    NotNeeded,
}

impl Ignored {
    /// The short code for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotNeeded => "not_needed",
        }
    }
}

/// How it is known that nothing more was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlreadyDone {
    /// The profile existed; the groups were ensured nevertheless.
    ProfileExists,
    /// The same sign-up or command was done a moment ago.
    Duplicate,
}

/// Why and how to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retry {
    /// Becomes the dead letter's reason if no attempt succeeds.
    pub cause: Rejection,
    /// Fewer attempts than `worker.max_attempts`, where more would seldom help.
    pub max_attempts: Option<u32>,
    pub pause: Pause,
    /// The call that failed, when the service may be down.
    pub(crate) possible_outage: Option<Failure>,
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The usual back-off, with jitter.
    Backoff,
    /// The same time after each attempt.
    Fixed(Duration),
    /// This time after the first attempt, doubled after each further one, at most a minute.
    Doubled(Duration),
}

/// Why a message goes to the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The short code, `usher.reason`.
    pub reason: Reason,
    /// The kind of error, `usher.class`.
    pub class: RejectionClass,
    /// A text without personal data, `usher.error`.
    pub error: String,
    /// The call that a service refuses permanently. The message is at fault, unless the
    /// service refuses the call for every message.
    pub(crate) refused_call: Option<Box<Failure>>,
}

/// The kind of error that a dead letter carries as `usher.class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RejectionClass {
    /// The message is not one that usher can use.
    Malformed,
    /// It asks for something that is not allowed.
    Forbidden,
    /// The command conflicts with the state of the user pool.
    Conflict,
    /// A fault of usher itself.
    Internal,
    /// A call failed.
    Failure(Class),
}

impl RejectionClass {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::Internal => "internal",
            Self::Failure(class) => class.name(),
        }
    }
}

/// Attempts for a user or a group that is missing, perhaps not visible yet.
const NOT_YET_MAX_ATTEMPTS: u32 = 5;
/// Consistency lag lasts seconds, so the long back-off is not needed.
const NOT_YET_PAUSE: Duration = Duration::from_secs(3);
const MAX_PAUSE: Duration = Duration::from_mins(1);

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

    pub(crate) fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Done | Self::AlreadyDone(AlreadyDone::ProfileExists) => None,
            Self::AlreadyDone(AlreadyDone::Duplicate) => Some(&Reason::Duplicate),
            Self::Ignored(Ignored::NotNeeded) => Some(&Reason::NotNeeded),
            Self::Retry(retry) => Some(&retry.cause.reason),
            Self::Rejected(rejection) => Some(&rejection.reason),
            Self::Blocked(failure) => Some(&failure.reason),
        }
    }

    /// The code of the reason; empty when there is none.
    pub(crate) fn reason_code(&self) -> &str {
        self.reason().map_or("", Reason::as_str)
    }

    /// For a sign-up: Cognito has confirmed the user, so a missing one is not visible yet. That
    /// may take minutes. Eight attempts take three and a half.
    #[must_use]
    pub(super) fn for_confirmed_user(self) -> Self {
        match self {
            Self::Retry(retry) if retry.cause.reason == Reason::UserNotFound => {
                Self::Retry(Retry {
                    max_attempts: None,
                    pause: Pause::Doubled(NOT_YET_PAUSE),
                    ..retry
                })
            }
            outcome => outcome,
        }
    }

    /// For an invitation: a Lambda that could not be run may run the next time.
    #[must_use]
    pub(super) fn retry_if_lambda_failed(self) -> Self {
        match self {
            Self::Rejected(rejection) if rejection.reason == Reason::UnexpectedLambda => {
                Self::Retry(Retry::new(rejection))
            }
            outcome => outcome,
        }
    }

    /// Combines the outcomes of two steps that were both tried. A step that can still succeed
    /// decides, so that the message is not rejected too early.
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
    /// The pause after this many attempts; `back_off` is the usual one.
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
    pub(crate) fn new(reason: Reason, class: RejectionClass, error: &str) -> Self {
        Self {
            reason,
            class,
            error: error.to_owned(),
            refused_call: None,
        }
    }

    pub(super) fn user_not_found(error: &str) -> Self {
        let class = RejectionClass::Failure(Class::NotYet);
        Self::new(Reason::UserNotFound, class, error)
    }

    /// The message's pool is not among `pools.allowed`. Either foreign messages arrive here, or
    /// the list is wrong: the dead letter waits until an operator decides.
    pub(crate) fn foreign_pool() -> Self {
        Self::new(
            Reason::ForeignPool,
            RejectionClass::Forbidden,
            "the user pool is not among pools.allowed",
        )
    }
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        Self {
            class: RejectionClass::Failure(failure.class),
            error: failure.to_string(),
            reason: failure.reason,
            refused_call: None,
        }
    }
}

impl From<Malformed> for Rejection {
    fn from(malformed: Malformed) -> Self {
        let error = malformed.to_string();
        Self::new(malformed.code().into(), RejectionClass::Malformed, &error)
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
    fn from(error: FindUserError) -> Self {
        match error {
            FindUserError::Failed(failure) => failure.into(),
            FindUserError::Ambiguous => Self::Rejected(Rejection::new(
                Reason::AmbiguousUser,
                RejectionClass::Conflict,
                &error.to_string(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::CognitoOperation;

    fn failure(class: Class) -> Failure {
        Failure {
            operation: CognitoOperation::AdminAddUserToGroup.into(),
            resource: "eu-west-1_x".into(),
            code: "SomethingException".to_owned(),
            reason: "something".into(),
            class,
            explanation: None,
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
            reason: Reason::UserNotFound,
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
        // A missing group may not exist at all.
        let group = Outcome::from(failure(Class::NotYet)).for_confirmed_user();
        assert_eq!(waits(group), [3, 3, 3, 3]);
        let long = Pause::Doubled(NOT_YET_PAUSE).after(900, |_| Duration::ZERO);
        assert_eq!(long, MAX_PAUSE);
    }

    #[test]
    fn a_failure_text_names_call_and_code_but_no_user() {
        let text = failure(Class::Permanent).to_string();
        assert_eq!(
            text,
            "cognito AdminAddUserToGroup on eu-west-1_x: SomethingException"
        );
    }
}
