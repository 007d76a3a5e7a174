//! An invitation: the person, their groups, their profile.
//!
//! `AdminCreateUser` takes no groups and fires no `PostConfirmation`, so all of it is
//! done here. It may fail and have made the user all the same: what is there is looked
//! at before anything is said to have failed.

use std::sync::atomic::{AtomicBool, Ordering};

use super::command::CommandResult;
use super::outcome::CONFLICT;
use super::{Outcome, Provisioner, Retry};
use crate::aws::{Class, Failure, FindUserError, PoolUser, UsernameCandidates};
use crate::config::GroupName;
use crate::event::{AdminCommand, Invitation, PoolId, Scope, SignUp, Username};
use crate::retry::{Transient, retry_inline};

/// What became of an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvitationResult {
    /// Whether the person is new.
    pub created: bool,
    /// What became of the mail.
    pub mail: MailStatus,
    /// The groups that they must be in: by request and by the rules.
    pub groups: Vec<GroupName>,
}

/// What became of the mail with the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailStatus {
    /// Handed over by Cognito.
    Sent,
    /// The person exists, and nobody asked for another one.
    NotSent,
    /// Cognito could not send it. Ask for it again.
    Failed,
    /// Not sent, since the mails of a day are used up. Ask for it tomorrow.
    OverLimit,
    /// The answer was lost.
    Unknown,
    /// The user pool lets them in without a password: there is no code to accept, and none
    /// to send again.
    NoCode,
}

impl MailStatus {
    /// The name in answers and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::NotSent => "not_sent",
            Self::Failed | Self::OverLimit => "failed",
            Self::Unknown => "unknown",
            Self::NoCode => "no_code",
        }
    }

    /// The same to a person whom this order has made.
    fn for_new_user(self, person: &PoolUser) -> Self {
        if person.is_confirmed() {
            Self::NoCode
        } else {
            self
        }
    }

    /// Whether the person waits for it in vain.
    pub(crate) fn has_failed(self) -> bool {
        matches!(self, Self::Failed | Self::OverLimit)
    }

    fn from_failure(failure: &Failure) -> Self {
        if is_invalid_parameter(failure) {
            tracing::warn!(
                "invitation not sent: Cognito does not accept a value, most likely a character \
                 of the text; correct the CustomMessage trigger or the user pool's message, and \
                 send the invitation again"
            );
        }
        if failure.code == "LimitExceededException" {
            Self::OverLimit
        } else {
            Self::Failed
        }
    }
}

impl Provisioner {
    pub(super) async fn invite(
        &self,
        order: &AdminCommand,
        invitation: &Invitation,
    ) -> CommandResult {
        let pool = &order.pool;
        // Before anybody is made and gets a mail.
        for group in &invitation.groups {
            match retry_inline(|| self.groups.exists(pool, group)).await {
                Ok(true) => {}
                Ok(false) => {
                    return CommandResult::rejected(
                        "group_not_found",
                        Class::Permanent.name(),
                        "a group that was asked for does not exist",
                    );
                }
                Err(failure) => return CommandResult::new(failure),
            }
        }
        let InvitedUser {
            user: person,
            mut mail,
            looked_up,
        } = match self.create_user(order, invitation).await {
            Ok(made) => made,
            Err(outcome) => return CommandResult::new(outcome),
        };
        // Whoever was looked up by name may be somebody else.
        if looked_up && !is_invitee(&person, invitation) {
            let asked = invitation.username.as_ref();
            if asked.is_some_and(|asked| person.is_ambiguous(asked)) {
                return CommandResult::new(FindUserError::Ambiguous);
            }
            return CommandResult::rejected(
                "username_taken",
                CONFLICT,
                "somebody with another e-mail address, or one that is not verified, has this name",
            );
        }
        let existed = mail == MailStatus::NotSent;
        let sign_up = SignUp {
            pool: pool.clone(),
            username: person.username.clone(),
            sub: person.sub.clone(),
            client_id: None,
            attributes: person.attributes.clone(),
            scope: Scope::Full,
        };
        let groups = self.invited_user_groups(&sign_up, invitation);
        let mut outcome = self.ensure_groups_and_profile(&sign_up, &groups).await;
        // Last, since a mail cannot be taken back and what comes before may be repeated.
        let done = matches!(outcome, Outcome::Done | Outcome::AlreadyDone(_));
        if done && existed && invitation.resend && person.is_invited() {
            match self.resend_mail(pool, &person).await {
                Ok(sent) => mail = sent,
                Err(performed) => outcome = performed.outcome,
            }
        }
        CommandResult {
            outcome,
            user: Some(person),
            invitation: Some(InvitationResult {
                created: !existed,
                mail,
                groups,
            }),
        }
    }

    /// Those of the rules and those that were asked for. An administrator writes the
    /// attributes that the rules look at, so a rule gives no group with power here that
    /// they could not give by name.
    fn invited_user_groups(&self, user: &SignUp, invitation: &Invitation) -> Vec<GroupName> {
        let admin = &self.config.admin;
        let mut groups = self.groups_for(user);
        groups.retain(|group| {
            !self.config.groups.privileged.contains(group) || admin.grantable.allows(group)
        });
        for group in &invitation.groups {
            if !groups.contains(group) {
                groups.push(group.clone());
            }
        }
        groups
    }

    /// A new code for somebody who has not used theirs.
    pub(super) async fn resend_invitation(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> CommandResult {
        let person = match retry_inline(|| self.users.find(pool, username)).await {
            Ok(person) => person,
            Err(none) => return CommandResult::new(none),
        };
        match self.resend_mail(pool, &person).await {
            Ok(mail) => CommandResult {
                outcome: Outcome::Done,
                user: Some(person),
                invitation: Some(InvitationResult {
                    created: false,
                    mail,
                    groups: Vec::new(),
                }),
            },
            Err(performed) => performed.with_user(person),
        }
    }

    async fn create_user(
        &self,
        order: &AdminCommand,
        invitation: &Invitation,
    ) -> Result<InvitedUser, Outcome> {
        let pool = &order.pool;
        let name = invitation
            .sign_in_name()
            .ok_or_else(|| internal_error("an invitation without a name"))?;
        // An answer that was lost may have been a yes.
        let lost = AtomicBool::new(false);
        let made = retry_inline(|| async {
            let made = self
                .users
                .invite(pool, &name, &invitation.email, &invitation.attributes)
                .await;
            if matches!(&made, Err(failure) if failure.class == Class::Transient) {
                lost.store(true, Ordering::Relaxed);
            }
            made
        })
        .await;
        let failure = match made {
            Ok(person) => {
                return Ok(InvitedUser {
                    mail: MailStatus::Sent.for_new_user(&person),
                    user: person,
                    looked_up: false,
                });
            }
            Err(failure) => failure,
        };
        let found = |person, mail| InvitedUser {
            user: person,
            mail,
            looked_up: true,
        };
        let is_new = |person: &PoolUser| lost.load(Ordering::Relaxed) || order.has_created(person);
        if failure.code == "UsernameExistsException" || is_alias_conflict(&failure) {
            let person = self
                .find_existing_user(&name, order, invitation, &failure)
                .await?;
            let mail = if is_new(&person) {
                MailStatus::Unknown.for_new_user(&person)
            } else {
                MailStatus::NotSent
            };
            return Ok(found(person, mail));
        }
        // A new user cannot be missing: Cognito is reported to answer so to a value.
        if failure.reason == "user_not_found" {
            return Err(Outcome::Rejected(super::Rejection {
                reason: "invalid_parameter".to_owned(),
                class: Class::Permanent.name(),
                ..failure.into()
            }));
        }
        if !may_have_created_user(&failure) {
            return Err(failure.into());
        }
        match retry_inline(|| self.users.get(pool, &name)).await {
            // A value of the invitation was refused: nobody is like it, and this is somebody
            // who was there before.
            Ok(person)
                if is_invalid_parameter(&failure)
                    && !has_invitation_values(&person, invitation) =>
            {
                Err(failure.into())
            }
            // Somebody whose alias the name is.
            Ok(person)
                if !person.has_generated_username() && !person.username.eq_ignore_case(&name) =>
            {
                Err(failure.into())
            }
            Ok(person) => {
                let mail = MailStatus::from_failure(&failure);
                let mail = if is_new(&person) {
                    mail.for_new_user(&person)
                } else {
                    mail
                };
                Ok(found(person, mail))
            }
            // It did not make the user.
            Err(missing) if missing.reason == "user_not_found" => {
                Err(Outcome::from(failure).retry_if_lambda_failed())
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// The user who has the name, which Cognito refused. It is reported to say that a free
    /// name exists when somebody else has the address or the phone number for an alias.
    ///
    /// By the name that is wanted, which may be a UUID of the app's own. The address shows
    /// whose it is.
    async fn find_existing_user(
        &self,
        name: &Username,
        order: &AdminCommand,
        invitation: &Invitation,
        refused: &Failure,
    ) -> Result<PoolUser, Outcome> {
        let pool = &order.pool;
        let missing = match retry_inline(|| self.users.get(pool, name)).await {
            Err(missing) if missing.reason == "user_not_found" => missing,
            found => return found.map_err(Outcome::from),
        };
        let given = |name| invitation.attributes.get(name);
        // Only a verified number is an alias.
        let is_verified = given("phone_number_verified")
            .is_some_and(|verified| verified.eq_ignore_ascii_case("true"));
        let phone_number = given("phone_number").filter(|_| is_verified);
        let preferred = given("preferred_username");
        for alias in [Some(&invitation.email), phone_number, preferred] {
            let alias = alias.and_then(|alias| Username::parse(alias).ok());
            let Some(alias) = alias.filter(|alias| alias != name) else {
                continue;
            };
            match retry_inline(|| self.users.get(pool, &alias)).await {
                Ok(person) if person.username.eq_ignore_case(name) => return Ok(person),
                // Their own name: this pool has no aliases.
                Ok(person) if person.username.eq_ignore_case(&alias) => {}
                Ok(_) => return Err(alias_exists()),
                Err(none) if none.reason == "user_not_found" => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        if is_alias_conflict(refused) {
            return Err(alias_exists());
        }
        // They are not visible everywhere yet.
        Err(missing.into())
    }

    async fn resend_mail(
        &self,
        pool: &PoolId,
        person: &PoolUser,
    ) -> Result<MailStatus, CommandResult> {
        let accepted = || {
            CommandResult::rejected(
                "already_accepted",
                CONFLICT,
                "the person has accepted an invitation, signed up, or needs no password",
            )
        };
        if !person.is_invited() {
            return Err(accepted());
        }
        // Cognito would send a code that it then refuses.
        if !person.enabled {
            return Err(CommandResult::rejected(
                "user_disabled",
                CONFLICT,
                "the user is disabled",
            ));
        }
        let names = UsernameCandidates::for_user(person);
        let resent = retry_inline(|| async {
            let resent = self.users.resend(pool, &names).await;
            resent.map_err(RetryIfThrottled)
        });
        match resent.await.map_err(|RetryIfThrottled(failure)| failure) {
            Ok(()) => Ok(MailStatus::Sent),
            Err(failure) if failure.reason == "timeout" => Ok(MailStatus::Unknown),
            Err(failure) if failure.code == "UnsupportedUserStateException" => Err(accepted()),
            Err(failure) if may_have_created_user(&failure) => {
                Ok(MailStatus::from_failure(&failure))
            }
            Err(failure) => Err(CommandResult::new(failure)),
        }
    }
}

/// A person, and what became of their mail.
struct InvitedUser {
    user: PoolUser,
    mail: MailStatus,
    /// The answer of another call says that they are there.
    looked_up: bool,
}

/// A call that makes a new code each time: only one that was not let through is
/// repeated.
struct RetryIfThrottled(Failure);

impl Transient for RetryIfThrottled {
    fn is_transient(&self) -> bool {
        self.0.class == Class::Throttled
    }
}

/// Whether Cognito did not accept something. That may be the text of the mail, which is
/// looked at once the user is made.
fn is_invalid_parameter(failure: &Failure) -> bool {
    failure.code == "InvalidParameterException"
}

/// What the documentation has for an address or a number of somebody else.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
fn is_alias_conflict(failure: &Failure) -> bool {
    failure.code == "AliasExistsException"
}

/// Whether they were made as the invitation has them, and have not accepted yet.
fn has_invitation_values(person: &PoolUser, invitation: &Invitation) -> bool {
    let mut given = invitation.attributes.iter();
    person.is_invited()
        && is_invitee(person, invitation)
        && given.all(|(name, value)| person.attributes.get(name).unwrap_or_default() == value)
}

/// Somebody who is there already is the one who is invited when the address is the same
/// and verified: anybody can sign up with an address that is not theirs.
fn is_invitee(person: &PoolUser, invitation: &Invitation) -> bool {
    let get = |name| person.attributes.get(name).unwrap_or_default();
    get("email").eq_ignore_ascii_case(&invitation.email)
        && get("email_verified").eq_ignore_ascii_case("true")
        && person.status != "UNCONFIRMED"
}

impl AdminCommand {
    /// Whether the person was made since this was asked for, and so by it.
    fn has_created(&self, person: &PoolUser) -> bool {
        self.requested_at
            .zip(person.created)
            .is_some_and(|(asked, created)| created >= asked)
    }
}

/// Errors of sending the message, and of the Lambdas beside the creation.
/// `LimitExceeded` is the mails of a day, `InvalidParameter` may be the mail's text.
fn may_have_created_user(failure: &Failure) -> bool {
    is_invalid_parameter(failure)
        || matches!(
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
    fn retry_if_lambda_failed(self) -> Self {
        match self {
            Self::Rejected(rejection) if rejection.reason == "unexpected_lambda" => {
                Self::Retry(Retry::new(rejection))
            }
            outcome => outcome,
        }
    }
}

fn alias_exists() -> Outcome {
    Outcome::Rejected(super::Rejection {
        reason: "alias_exists".to_owned(),
        class: CONFLICT,
        error: "another user has this e-mail address or phone number".to_owned(),
        refused_call: None,
    })
}

fn internal_error(error: &str) -> Outcome {
    Outcome::Rejected(super::Rejection {
        reason: "internal".to_owned(),
        class: "internal",
        error: error.to_owned(),
        refused_call: None,
    })
}
