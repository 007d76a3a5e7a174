//! The kinds of service faults, and the fault that each causes in one call.

use std::time::Duration;

use axum::http::StatusCode;

use super::{Call, Damaged, Delivery, Fault, Partial};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FaultKind {
    Throttling,
    /// Status 500 or 503.
    Overload,
    Latency(Latency),
    LostConnections,
    TimeOuts,
    /// Half of an answer, the page of a proxy, or no JSON.
    Garbled,
    /// A user who is not visible everywhere yet.
    UserLag,
    /// A group that is not visible everywhere yet.
    GroupLag,
    NoPool,
    NoTable,
    NoQueue,
    AccessDenied,
    ExpiredToken,
    /// The clock of the service is this many hours off.
    ClockSkew(i64),
    /// The service refuses the user permanently.
    Refusals,
    Duplicates,
    PartialBatches,
    /// Batches that report success without effect: in SQS, too, a deleted message can
    /// be delivered again.
    LostWrites,
    /// The queue has more than 120,000 messages in flight.
    OverLimit,
    EmptyPolls,
}

/// The distribution of the time that answers take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Latency {
    Uniform {
        most: Duration,
    },
    Exponential {
        mean: Duration,
    },
    /// Pareto: mostly short, sometimes longer than any client waits.
    LongTail {
        least: Duration,
    },
}

pub(super) const COGNITO: &[&str] = &["AdminAddUserToGroup", "CreateGroup", "AdminGetUser"];
pub(super) const TABLE: &[&str] = &["PutItem"];
pub(super) const BATCHES: &[&str] = &["DeleteMessageBatch", "ChangeMessageVisibilityBatch"];
pub(super) const RECEIVE: &[&str] = &["ReceiveMessage"];
pub(super) const SEND: &[&str] = &["SendMessage"];
pub(super) const START: &[&str] = &["GetQueueAttributes", "GetQueueUrl"];

/// Longer than the five seconds that clients wait.
const TOO_LONG: Duration = Duration::from_millis(5500);
const LONGEST: f64 = 8.0;

impl FaultKind {
    /// The fault that this kind causes in one call.
    pub(super) fn fault(self, call: &Call, random: &mut fastrand::Rng) -> Fault {
        let operation = call.operation.as_str();
        let refused = |code| Fault::Error(StatusCode::BAD_REQUEST, code);
        match self {
            Self::Throttling => refused(throttle(operation, random)),
            Self::Overload => {
                let (status, code) = overload(operation, random);
                before_or_after(Damaged::Error(status, code), random)
            }
            Self::Latency(latency) => Fault::Delay(latency.draw(random)),
            Self::LostConnections => {
                let how = pick(&[Damaged::Reset, Damaged::Closed], random);
                before_or_after(how, random)
            }
            // Receives are excluded, because they wait longer.
            Self::TimeOuts => before_or_after(Damaged::Late(TOO_LONG), random),
            Self::Garbled => {
                let how = [
                    Damaged::Truncated,
                    Damaged::NotJson,
                    Damaged::Page(StatusCode::OK),
                    Damaged::Page(StatusCode::BAD_GATEWAY),
                    Damaged::Page(StatusCode::GATEWAY_TIMEOUT),
                ];
                before_or_after(pick(&how, random), random)
            }
            Self::UserLag => refused("UserNotFoundException"),
            Self::GroupLag | Self::NoPool | Self::NoTable => refused("ResourceNotFoundException"),
            Self::NoQueue => refused("AWS.SimpleQueueService.NonExistentQueue"),
            Self::AccessDenied => refused("AccessDeniedException"),
            Self::ExpiredToken => refused("ExpiredTokenException"),
            Self::ClockSkew(hours) => match random.u8(..4) {
                0 => refused("InvalidSignatureException"),
                1 => Fault::Error(StatusCode::FORBIDDEN, "RequestTimeTooSkewed"),
                _ => Fault::Skewed(hours),
            },
            Self::Refusals => refused("InvalidParameterException"),
            Self::Duplicates => {
                let how = [Delivery::Twice, Delivery::Unhidden, Delivery::Earlier];
                Fault::Delivery(pick(&how, random))
            }
            Self::PartialBatches => Fault::Partial(Partial {
                entries: random.u16(1..),
                effect: random.bool(),
                code: Some(pick(
                    &[
                        "InternalError",
                        "ServiceUnavailable",
                        "ReceiptHandleIsInvalid",
                    ],
                    random,
                )),
            }),
            Self::LostWrites => Fault::Partial(Partial {
                entries: random.u16(1..),
                effect: false,
                code: None,
            }),
            Self::OverLimit => Fault::Error(StatusCode::FORBIDDEN, "OverLimit"),
            Self::EmptyPolls => Fault::Delivery(Delivery::Empty),
        }
    }
}

impl Latency {
    fn draw(self, random: &mut fastrand::Rng) -> Duration {
        // Never 0, because of the logarithm and the division.
        let share = 1.0 - random.f64();
        let seconds = match self {
            Self::Uniform { most } => most.as_secs_f64() * share,
            Self::Exponential { mean } => -mean.as_secs_f64() * share.ln(),
            Self::LongTail { least } => least.as_secs_f64() / share.powf(1.2),
        };
        Duration::from_secs_f64(seconds.min(LONGEST))
    }
}

fn throttle(operation: &str, random: &mut fastrand::Rng) -> &'static str {
    let codes: &[&str] = if COGNITO.contains(&operation) {
        &["TooManyRequestsException", "ThrottlingException"]
    } else if TABLE.contains(&operation) {
        &[
            "ProvisionedThroughputExceededException",
            "ThrottlingException",
            "RequestLimitExceeded",
        ]
    } else {
        &["RequestThrottled", "ThrottlingException"]
    };
    pick(codes, random)
}

fn overload(operation: &str, random: &mut fastrand::Rng) -> (StatusCode, &'static str) {
    if random.u8(..3) == 0 {
        (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
    } else if COGNITO.contains(&operation) {
        (StatusCode::INTERNAL_SERVER_ERROR, "InternalErrorException")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")
    }
}

fn before_or_after(damaged: Damaged, random: &mut fastrand::Rng) -> Fault {
    if random.bool() {
        Fault::Before(damaged)
    } else {
        Fault::After(damaged)
    }
}

pub(super) fn pick<T: Copy>(from: &[T], random: &mut fastrand::Rng) -> T {
    from[random.usize(..from.len())]
}
