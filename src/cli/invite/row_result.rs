//! What became of one row: for the terminal, for programs, and for the next run.

use serde::{Deserialize, Serialize};

use super::stop_reason::is_over_mail_limit;
use crate::cli::reasons::explain;
use crate::event::{Sub, is_loggable_sub};
use crate::provision::{CommandResult, MailStatus, Outcome};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RowStatus {
    /// The person is new.
    Invited,
    /// Was there, with groups and profile now.
    Exists,
    /// Was there, and has a new code.
    Resent,
    /// No attempt will do better as things are.
    Refused,
    /// Another one may.
    Failed,
}

/// One row's end, without personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowResult {
    pub(super) line: Option<u64>,
    pub(super) status: RowStatus,
    pub(super) sub: Option<String>,
    /// Whether the person is new, as far as that is known.
    pub(super) created: Option<bool>,
    /// What became of the mail, once the person exists.
    pub(super) mail: Option<String>,
    pub(super) reason: Option<String>,
}

impl RowStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Exists => "exists",
            Self::Resent => "resent",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    pub(super) fn is_done(self) -> bool {
        matches!(self, Self::Invited | Self::Exists | Self::Resent)
    }
}

impl RowResult {
    pub(super) fn new(line: Option<u64>, performed: &CommandResult) -> Self {
        let invited = performed.invitation.as_ref();
        let mail = invited.map(|invited| invited.mail);
        let over_limit = is_over_mail_limit(performed);
        let (status, reason) = match &performed.outcome {
            Outcome::Done | Outcome::AlreadyDone(_) => match invited {
                _ if over_limit => (RowStatus::Failed, "limit_exceeded"),
                Some(invited) if invited.mail.has_failed() => {
                    (RowStatus::Failed, "mail_not_delivered")
                }
                Some(invited) if invited.created => (RowStatus::Invited, ""),
                Some(invited) if invited.mail == MailStatus::Sent => (RowStatus::Resent, ""),
                _ => (RowStatus::Exists, ""),
            },
            Outcome::Rejected(rejection) if !over_limit => (RowStatus::Refused, &*rejection.reason),
            Outcome::Ignored(why) => (RowStatus::Refused, why.code()),
            outcome => (RowStatus::Failed, outcome.reason()),
        };
        let sub = performed.user.as_ref().and_then(|whom| whom.sub.as_ref());
        Self {
            line,
            status,
            sub: sub
                .map(Sub::as_str)
                .filter(|sub| is_loggable_sub(sub))
                .map(str::to_owned),
            created: invited.map(|invited| invited.created),
            mail: mail.map(|mail| mail.name().to_owned()),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
        }
    }

    /// Whether the person waits for a mail that never went.
    pub(super) fn has_pending_mail(&self) -> bool {
        self.mail.as_deref() == Some(MailStatus::Failed.name())
            || self.reason.as_deref() == Some("limit_exceeded")
    }

    pub(super) fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(line) = self.line {
            parts.push(format!("line {line}"));
        }
        parts.push(self.status.name().to_owned());
        parts.extend(self.sub.clone());
        parts.extend(self.mail.as_deref().map(|mail| match mail {
            "not_sent" => "no mail".to_owned(),
            "no_code" => "no code".to_owned(),
            mail => format!("mail {mail}"),
        }));
        parts.extend(self.reason.as_deref().map(explain));
        parts.join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::invite::stop_reason::{StopReason, stop_reason};
    use crate::provision::{InvitationResult, Rejection, Retry};

    fn rejection(reason: &str, class: &'static str) -> Rejection {
        Rejection {
            reason: reason.to_owned(),
            class,
            error: "words".to_owned(),
            refused_call: None,
        }
    }

    fn performed(outcome: Outcome, invited: Option<(bool, MailStatus)>) -> CommandResult {
        CommandResult {
            outcome,
            user: None,
            invitation: invited.map(|(created, mail)| InvitationResult {
                created,
                mail,
                groups: Vec::new(),
            }),
        }
    }

    #[test]
    fn each_end_has_its_status_and_reason() {
        let rejected = |reason| Outcome::Rejected(rejection(reason, "permanent"));
        let retry = Outcome::Retry(Retry::new(rejection("throttled", "throttled")));
        for (outcome, invited, status, reason) in [
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
                rejected("group_not_found"),
                None,
                RowStatus::Refused,
                Some("group_not_found"),
            ),
            (
                rejected("limit_exceeded"),
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
            let answer = RowResult::new(Some(2), &performed(outcome, invited));
            assert_eq!((answer.status, answer.reason.as_deref()), (status, reason));
        }
    }

    #[test]
    fn a_mail_that_never_went_is_owed_and_the_limit_of_a_day_ends_the_run() {
        let over = performed(Outcome::Done, Some((true, MailStatus::OverLimit)));
        assert_eq!(stop_reason(&over), Some(StopReason::MailLimit));
        assert!(RowResult::new(None, &over).has_pending_mail());
        let failed = performed(Outcome::Done, Some((true, MailStatus::Failed)));
        assert_eq!(stop_reason(&failed), None);
        assert!(RowResult::new(None, &failed).has_pending_mail());
        let groups = Outcome::Rejected(rejection("limit_exceeded", "permanent"));
        assert_eq!(
            stop_reason(&performed(groups, Some((true, MailStatus::Sent)))),
            None
        );
    }

    #[test]
    fn a_line_for_people_has_what_they_need() {
        let mut answer = RowResult {
            line: Some(7),
            status: RowStatus::Invited,
            sub: Some("1234".to_owned()),
            created: Some(true),
            mail: Some("sent".to_owned()),
            reason: None,
        };
        assert_eq!(answer.text(), "line 7  invited  1234  mail sent");
        answer.line = None;
        answer.mail = Some("no_code".to_owned());
        assert_eq!(answer.text(), "invited  1234  no code");
        answer.status = RowStatus::Exists;
        answer.mail = Some("not_sent".to_owned());
        assert_eq!(answer.text(), "exists  1234  no mail");
    }
}
