//! Why a message body is refused.

/// Why a body is not an event that usher can process. None of these quotes the body, which
/// may hold personal data or a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Empty, or only white space.
    #[error("the body is empty")]
    EmptyBody,
    /// Not JSON, or truncated JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// A JSON string, number or array, …
    #[error("the body is JSON but not an object")]
    NotAnObject,
    /// An SNS subscription without raw message delivery.
    #[error(
        "the body is an SNS envelope; switch raw message delivery on for the queue's subscription"
    )]
    SnsEnvelope,
    /// A command that this version does not know, or a sign-up that a reconcile of another
    /// version queued.
    #[error("the body asks usher for something that this version does not know")]
    UnsupportedCommand,
    /// A command with a missing or invalid field.
    #[error("the body is an usher command with a wrong field")]
    BadCommand,
    /// An object without the members of a Cognito event.
    #[error("the body is not a Cognito trigger event")]
    NotAnEvent,
    /// A Cognito event without `triggerSource`.
    #[error("the event has no triggerSource")]
    NoTriggerSource,
    /// An event of another trigger, such as `UserMigration`.
    #[error("the event comes from a trigger that usher does not serve")]
    OtherTrigger,
    /// A sign-up with a missing or malformed user pool id.
    #[error("the event names no user pool")]
    NoUserPool,
    /// A sign-up without a user name.
    #[error("the event names no user")]
    NoUserName,
}

impl Malformed {
    pub(crate) const ALL: [Self; 11] = [
        Self::EmptyBody,
        Self::NotJson,
        Self::NotAnObject,
        Self::SnsEnvelope,
        Self::UnsupportedCommand,
        Self::BadCommand,
        Self::NotAnEvent,
        Self::NoTriggerSource,
        Self::OtherTrigger,
        Self::NoUserPool,
        Self::NoUserName,
    ];

    /// The short code that a dead letter carries as `usher.reason`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::EmptyBody => "empty_body",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::SnsEnvelope => "sns_envelope",
            Self::UnsupportedCommand => "unsupported_command",
            Self::BadCommand => "bad_command",
            Self::NotAnEvent => "not_an_event",
            Self::NoTriggerSource => "no_trigger_source",
            Self::OtherTrigger => "other_trigger",
            Self::NoUserPool => "no_user_pool",
            Self::NoUserName => "no_user_name",
        }
    }
}
