//! The result of one row: for people, for programs, and for the next run. It also decides whether
//! the run stops.

use serde::{Deserialize, Serialize};

use crate::provision::{CommandResult, MailStatus, Outcome};
use crate::reason::{Reason, explain_refusal};
use crate::users::operator::needs_only_time;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RowStatus {
    /// The user is new.
    Invited,
    /// The user existed, and has groups and profile now.
    Exists,
    /// The user existed, and was sent a new code.
    Resent,
    /// Another attempt would be refused, too.
    Refused,
    /// Another attempt may succeed.
    Failed,
}

/// Holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowResult {
    pub(crate) line: Option<u64>,
    pub(crate) status: RowStatus,
    pub(crate) sub: Option<String>,
    /// Whether the user is new; `None` if unknown.
    pub(crate) created: Option<bool>,
    /// The status of the mail, once the user exists.
    pub(crate) mail: Option<String>,
    pub(crate) reason: Option<String>,
    /// The group that is missing or not grantable.
    pub(crate) group: Option<String>,
}

impl RowStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Exists => "exists",
            Self::Resent => "resent",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn is_done(self) -> bool {
        matches!(self, Self::Invited | Self::Exists | Self::Resent)
    }
}

impl RowResult {
    pub(crate) fn new(line: Option<u64>, result: &CommandResult) -> Self {
        let invitation = result.invitation.as_ref();
        let mail = invitation.map(|invitation| invitation.mail);
        let over_limit = is_over_mail_limit(result);
        let (status, reason) = match &result.outcome {
            Outcome::Done | Outcome::AlreadyDone(_) => match invitation {
                _ if over_limit => (RowStatus::Failed, "limit_exceeded"),
                Some(invitation) if invitation.mail.has_failed() => {
                    (RowStatus::Failed, "mail_not_delivered")
                }
                Some(invitation) if invitation.created => (RowStatus::Invited, ""),
                Some(invitation) if invitation.mail == MailStatus::Sent => (RowStatus::Resent, ""),
                _ => (RowStatus::Exists, ""),
            },
            Outcome::Rejected(rejection) if !over_limit => {
                (RowStatus::Refused, rejection.reason.as_str())
            }
            Outcome::Ignored(why) => (RowStatus::Refused, why.code()),
            outcome => (RowStatus::Failed, outcome.reason_code()),
        };
        Self {
            line,
            status,
            sub: result.loggable_sub().map(str::to_owned),
            created: invitation.map(|invitation| invitation.created),
            mail: mail.map(|mail| mail.name().to_owned()),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            group: result.group.as_ref().map(ToString::to_string),
        }
    }

    /// Whether a mail to the user still has to be sent.
    pub(crate) fn has_pending_mail(&self) -> bool {
        self.mail.as_deref() == Some(MailStatus::Failed.name())
            || self.reason.as_deref() == Some("limit_exceeded")
    }

    /// The status of the mail, in words.
    pub(crate) fn mail_text(&self) -> String {
        match self.mail.as_deref() {
            None => "-".to_owned(),
            Some("not_sent") => "no mail".to_owned(),
            Some("no_code") => "no code".to_owned(),
            Some(mail) => format!("mail {mail}"),
        }
    }

    /// The reason in words, and what to do; empty without a reason. `remedy` says what gives a
    /// group that is not grantable.
    pub(crate) fn explanation(&self, remedy: &str) -> String {
        let group = self.group.as_deref();
        let reason = self.reason.as_deref();
        let reason = reason.map(|reason| explain_refusal(reason, group, remedy));
        reason.unwrap_or_default()
    }
}

/// Why the remaining rows are not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The pool has reached its daily limit of mails.
    MailLimit,
    /// Every row would fail for the same reason.
    Blocked(String),
    /// No call has succeeded within `--give-up-after`.
    Outage(String),
}

/// `None` if the remaining rows are tried.
pub(crate) fn stop_reason(result: &CommandResult) -> Option<StopReason> {
    match &result.outcome {
        _ if is_over_mail_limit(result) => Some(StopReason::MailLimit),
        Outcome::Blocked(failure) => Some(StopReason::Blocked(failure.to_string())),
        Outcome::Retry(retry) if needs_only_time(retry) => {
            Some(StopReason::Outage(retry.cause.error.clone()))
        }
        _ => None,
    }
}

/// Before the user exists, `limit_exceeded` is the limit of mails. Later it may be the limit of
/// groups in the pool.
fn is_over_mail_limit(result: &CommandResult) -> bool {
    match (&result.outcome, &result.invitation) {
        (_, Some(invitation)) => invitation.mail == MailStatus::OverLimit,
        (Outcome::Rejected(rejection), None) => rejection.reason == Reason::LimitExceeded,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Class;
    use crate::provision::{InvitationResult, Rejection, RejectionClass, Retry};

    fn rejection(reason: Reason, class: Class) -> Rejection {
        Rejection::new(reason, RejectionClass::Failure(class), "words")
    }

    fn command_result(outcome: Outcome, invitation: Option<(bool, MailStatus)>) -> CommandResult {
        CommandResult {
            outcome,
            user: None,
            invitation: invitation.map(|(created, mail)| InvitationResult {
                created,
                mail,
                groups: Vec::new(),
            }),
            group: None,
        }
    }

    #[test]
    fn each_outcome_has_its_status_and_reason() {
        let rejected = |reason| Outcome::Rejected(rejection(reason, Class::Permanent));
        let retry = Outcome::Retry(Retry::new(rejection(Reason::Throttled, Class::Throttled)));
        for (outcome, invitation, status, reason) in [
            (
                Outcome::Done,
                Some((true, MailStatus::Sent)),
                RowStatus::Invited,
                None,
            ),
            (
                Outcome::Done,
                Some((true, MailStatus::Unknown)),
                RowStatus::Invited,
                None,
            ),
            (
                Outcome::Done,
                Some((true, MailStatus::NoCode)),
                RowStatus::Invited,
                None,
            ),
            (
                Outcome::Done,
                Some((false, MailStatus::NotSent)),
                RowStatus::Exists,
                None,
            ),
            (
                Outcome::Done,
                Some((false, MailStatus::Sent)),
                RowStatus::Resent,
                None,
            ),
            (
                Outcome::Done,
                Some((true, MailStatus::Failed)),
                RowStatus::Failed,
                Some("mail_not_delivered"),
            ),
            (
                Outcome::Done,
                Some((true, MailStatus::OverLimit)),
                RowStatus::Failed,
                Some("limit_exceeded"),
            ),
            (
                rejected(Reason::GroupNotFound),
                None,
                RowStatus::Refused,
                Some("group_not_found"),
            ),
            (
                rejected(Reason::LimitExceeded),
                None,
                RowStatus::Failed,
                Some("limit_exceeded"),
            ),
            (
                retry,
                Some((true, MailStatus::Sent)),
                RowStatus::Failed,
                Some("throttled"),
            ),
        ] {
            let row_result = RowResult::new(Some(2), &command_result(outcome, invitation));
            assert_eq!(
                (row_result.status, row_result.reason.as_deref()),
                (status, reason)
            );
        }
    }

    #[test]
    fn unsent_mail_stays_pending_and_daily_limit_stops_the_run() {
        let over = command_result(Outcome::Done, Some((true, MailStatus::OverLimit)));
        assert_eq!(stop_reason(&over), Some(StopReason::MailLimit));
        assert!(RowResult::new(None, &over).has_pending_mail());
        let failed = command_result(Outcome::Done, Some((true, MailStatus::Failed)));
        assert_eq!(stop_reason(&failed), None);
        assert!(RowResult::new(None, &failed).has_pending_mail());
        let groups = Outcome::Rejected(rejection(Reason::LimitExceeded, Class::Permanent));
        assert_eq!(
            stop_reason(&command_result(groups, Some((true, MailStatus::Sent)))),
            None
        );
    }
}
