//! An invitation: the person, their groups, their profile.
//!
//! `AdminCreateUser` takes no groups and fires no `PostConfirmation`, so all of it is
//! done here. It may fail and have made the user all the same: what is there is looked
//! at before anything is said to have failed.

use std::sync::atomic::{AtomicBool, Ordering};

use super::order::Performed;
use super::{Outcome, Provisioner, Retry};
use crate::aws::{Class, Failure, Person};
use crate::config::GroupName;
use crate::event::{Invitation, PoolId, SignUp, Username};
use crate::retry::quickly;

/// What became of an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// Whether the person is new.
    pub created: bool,
    /// What became of the mail.
    pub mail: Mail,
    /// The groups that they must be in: by request and by the rules.
    pub groups: Vec<GroupName>,
}

/// What became of the mail with the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mail {
    /// Handed over by Cognito.
    Sent,
    /// The person exists, and nobody asked for another one.
    NotSent,
    /// Cognito could not send it. Ask for it again.
    Failed,
    /// The answer was lost.
    Unknown,
}

impl Mail {
    /// The name in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::NotSent => "not_sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Something is there already that says otherwise.
const CONFLICT: &str = "conflict";

impl Provisioner {
    pub(super) async fn invite(&self, pool: &PoolId, invitation: &Invitation) -> Performed {
        // Before anybody is made and gets a mail.
        for group in &invitation.groups {
            match quickly(|| self.groups.exists(pool, group)).await {
                Ok(true) => {}
                Ok(false) => {
                    return Performed::refused(
                        "group_not_found",
                        Class::Permanent.name(),
                        "a group that was asked for does not exist",
                    );
                }
                Err(failure) => return Performed::of(failure),
            }
        }
        let (person, created, mut mail) = match self.create(pool, invitation).await {
            Ok(made) => made,
            Err(outcome) => return Performed::of(outcome),
        };
        let is_theirs = |email: &str| email.eq_ignore_ascii_case(&invitation.email);
        if !created && !person.attributes.get("email").is_some_and(is_theirs) {
            return Performed::refused(
                "username_taken",
                CONFLICT,
                "somebody else has this user name",
            );
        }
        if !created && invitation.resend {
            let resent = self.send_again(pool, &person).await;
            match resent {
                Ok(sent) => mail = sent,
                Err(performed) => return performed.with(person),
            }
        }
        let sign_up = SignUp {
            pool: pool.clone(),
            username: person.username.clone(),
            sub: person.sub.clone(),
            client_id: None,
            attributes: person.attributes.clone(),
        };
        let mut groups = self.groups_for(&sign_up);
        for group in &invitation.groups {
            if !groups.contains(group) {
                groups.push(group.clone());
            }
        }
        let outcome = self.provide(&sign_up, &groups).await;
        Performed {
            outcome,
            whom: Some(person),
            invited: Some(Invited {
                created,
                mail,
                groups,
            }),
        }
    }

    /// A new code for somebody who has not used theirs.
    pub(super) async fn resend(&self, pool: &PoolId, username: &Username) -> Performed {
        let person = match quickly(|| self.people.look(pool, username)).await {
            Ok(person) => person,
            Err(failure) => return Performed::of(failure),
        };
        match self.send_again(pool, &person).await {
            Ok(mail) => Performed {
                outcome: Outcome::Done,
                whom: Some(person),
                invited: Some(Invited {
                    created: false,
                    mail,
                    groups: Vec::new(),
                }),
            },
            Err(performed) => performed.with(person),
        }
    }

    /// The person, whether they are new, and what became of the mail.
    async fn create(
        &self,
        pool: &PoolId,
        invitation: &Invitation,
    ) -> Result<(Person, bool, Mail), Outcome> {
        let name = invitation
            .sign_in_name()
            .ok_or_else(|| internal("an invitation without a name"))?;
        // An answer that was lost may have been a yes.
        let lost = AtomicBool::new(false);
        let made = quickly(|| async {
            let made = self
                .people
                .invite(pool, &name, &invitation.email, &invitation.attributes)
                .await;
            if matches!(&made, Err(failure) if failure.class == Class::Transient) {
                lost.store(true, Ordering::Relaxed);
            }
            made
        })
        .await;
        let failure = match made {
            Ok(person) => return Ok((person, true, Mail::Sent)),
            Err(failure) => failure,
        };
        let (created, mail) = match failure.code.as_str() {
            "UsernameExistsException" if lost.load(Ordering::Relaxed) => (true, Mail::Unknown),
            "UsernameExistsException" => (false, Mail::NotSent),
            _ if may_have_made_the_user(&failure) => (true, Mail::Failed),
            _ => return Err(failure.into()),
        };
        match quickly(|| self.people.look(pool, &name)).await {
            Ok(person) => Ok((person, created, mail)),
            // It did not make the user.
            Err(missing) if missing.reason == "user_not_found" && created => {
                Err(Outcome::from(failure).again_if_a_lambda_failed())
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn send_again(&self, pool: &PoolId, person: &Person) -> Result<Mail, Performed> {
        let accepted = || {
            Performed::refused(
                "already_accepted",
                CONFLICT,
                "the person has accepted an invitation, or signed up",
            )
        };
        if !person.is_invited() {
            return Err(accepted());
        }
        match quickly(|| self.people.resend(pool, &person.username)).await {
            Ok(()) => Ok(Mail::Sent),
            Err(failure) if failure.code == "UnsupportedUserStateException" => Err(accepted()),
            Err(failure) if may_have_made_the_user(&failure) => Ok(Mail::Failed),
            Err(failure) => Err(Performed::of(failure)),
        }
    }
}

/// Errors of sending the message, and of the Lambdas beside the creation.
/// `LimitExceeded` is the mails of a day.
fn may_have_made_the_user(failure: &Failure) -> bool {
    matches!(
        failure.code.as_str(),
        "CodeDeliveryFailureException"
            | "UnexpectedLambdaException"
            | "UserLambdaValidationException"
            | "InvalidLambdaResponseException"
            | "LimitExceededException"
    )
}

impl Outcome {
    /// A Lambda that could not be run may run the next time.
    fn again_if_a_lambda_failed(self) -> Self {
        match self {
            Self::Rejected(rejection) if rejection.reason == "unexpected_lambda" => {
                Self::Retry(Retry::because(rejection))
            }
            outcome => outcome,
        }
    }
}

fn internal(error: &str) -> Outcome {
    Outcome::Rejected(super::Rejection {
        reason: "internal".to_owned(),
        class: "internal",
        error: error.to_owned(),
    })
}
