//! Executes an invitation: creates the user, adds the groups and writes the profile.
//!
//! `AdminCreateUser` takes no groups and fires no `PostConfirmation`, so all of it is
//! done here. A failed call may have created the user, so the pool is read before a failure
//! is reported.

use std::sync::atomic::{AtomicBool, Ordering};

use super::command_result::{CommandResult, InvitationResult, MailStatus};
use super::{Outcome, Provisioner, Rejection, RejectionClass, groups_for, internal_error};
use crate::aws::{Class, Failure, FindUserError, PoolUser, UsernameCandidates};
use crate::config::{Config, GroupName};
use crate::event::{AdminCommand, Invitation, PoolId, Scope, SignUp, Username};
use crate::reason::Reason;
use crate::retry::{Transient, retry_inline};

impl Provisioner {
    pub(super) async fn invite(
        &self,
        command: &AdminCommand,
        invitation: &Invitation,
    ) -> CommandResult {
        let pool = &command.pool;
        // Before a user is created and gets a mail.
        if let Err(refused) = self.require_groups(pool, &invitation.groups).await {
            return refused;
        }
        let InvitedUser {
            user,
            mut mail,
            looked_up,
        } = match self.create_user(command, invitation).await {
            Ok(invited) => invited,
            Err(outcome) => return CommandResult::new(outcome),
        };
        // A user who was looked up by name may be another one.
        if looked_up && !is_invitee(&user, invitation) {
            let asked = invitation.username.as_ref();
            if asked.is_some_and(|asked| user.is_ambiguous(asked)) {
                return CommandResult::new(FindUserError::Ambiguous);
            }
            return CommandResult::rejected(
                Reason::UsernameTaken,
                RejectionClass::Conflict,
                "another user, with another or unverified e-mail address, has this name",
            );
        }
        let existed = mail == MailStatus::NotSent;
        let sign_up = SignUp {
            pool: pool.clone(),
            username: user.username.clone(),
            sub: user.sub.clone(),
            client_id: None,
            attributes: user.attributes.clone(),
            scope: Scope::Full,
        };
        let groups = groups_of_invited(&self.config, &sign_up, invitation);
        let mut outcome = self.ensure_groups_and_profile(&sign_up, &groups).await;
        // Last: a mail cannot be taken back, and the steps before may be repeated.
        let done = matches!(outcome, Outcome::Done | Outcome::AlreadyDone(_));
        if done && existed && invitation.resend && user.is_invited() {
            match self.resend_mail(pool, &user).await {
                Ok(sent) => mail = sent,
                Err(result) => outcome = result.outcome,
            }
        }
        CommandResult {
            user: Some(user),
            invitation: Some(InvitationResult {
                created: !existed,
                mail,
                groups,
            }),
            ..CommandResult::new(outcome)
        }
    }

    /// Rejects a command with a group that does not exist.
    pub(super) async fn require_groups(
        &self,
        pool: &PoolId,
        groups: impl IntoIterator<Item = &GroupName>,
    ) -> Result<(), CommandResult> {
        for group in groups {
            match self.group_exists(pool, group).await {
                Ok(true) => {}
                Ok(false) => {
                    let rejected = CommandResult::rejected(
                        Reason::GroupNotFound,
                        RejectionClass::Failure(Class::Permanent),
                        "a group that was asked for does not exist",
                    );
                    return Err(rejected.with_group(group));
                }
                Err(failure) => return Err(CommandResult::new(failure)),
            }
        }
        Ok(())
    }

    /// Sends a new code to a user who has not used theirs.
    pub(super) async fn resend_invitation(
        &self,
        pool: &PoolId,
        username: &Username,
    ) -> CommandResult {
        let user = match self.find_user(pool, username).await {
            Ok(user) => user,
            Err(result) => return result,
        };
        match self.resend_mail(pool, &user).await {
            Ok(mail) => CommandResult {
                user: Some(user),
                invitation: Some(InvitationResult {
                    created: false,
                    mail,
                    groups: Vec::new(),
                }),
                ..CommandResult::new(Outcome::Done)
            },
            Err(result) => result.with_user(user),
        }
    }

    async fn create_user(
        &self,
        command: &AdminCommand,
        invitation: &Invitation,
    ) -> Result<InvitedUser, Outcome> {
        let pool = &command.pool;
        let name = invitation
            .sign_in_name()
            .ok_or_else(|| internal_error("an invitation without a name"))?;
        // A call whose response was lost may have created the user.
        let lost = AtomicBool::new(false);
        let created = retry_inline(|| async {
            let created = self
                .cognito
                .create_invited_user(pool, &name, &invitation.email, &invitation.attributes)
                .await;
            if matches!(&created, Err(failure) if failure.class == Class::Transient) {
                lost.store(true, Ordering::Relaxed);
            }
            created
        })
        .await;
        let failure = match created {
            Ok(user) => {
                return Ok(InvitedUser {
                    mail: MailStatus::Sent.for_new_user(&user),
                    user,
                    looked_up: false,
                });
            }
            Err(failure) => failure,
        };
        let found = |user, mail| InvitedUser {
            user,
            mail,
            looked_up: true,
        };
        let is_new = |user: &PoolUser| lost.load(Ordering::Relaxed) || has_created(command, user);
        if failure.code == "UsernameExistsException" || is_alias_conflict(&failure) {
            let user = self
                .find_existing_user(&name, command, invitation, &failure)
                .await?;
            let mail = if is_new(&user) {
                MailStatus::Unknown.for_new_user(&user)
            } else {
                MailStatus::NotSent
            };
            return Ok(found(user, mail));
        }
        // A new user cannot be missing: Cognito is reported to send this code for an invalid value.
        if failure.reason == Reason::UserNotFound {
            return Err(Outcome::Rejected(Rejection {
                reason: Reason::InvalidParameter,
                class: RejectionClass::Failure(Class::Permanent),
                ..failure.into()
            }));
        }
        if !may_have_created_user(&failure) {
            return Err(failure.into());
        }
        match retry_inline(|| self.cognito.get_user(pool, &name)).await {
            // Cognito refused a value, so no user has these values. This one existed before.
            Ok(user)
                if is_invalid_parameter(&failure) && !has_invitation_values(&user, invitation) =>
            {
                Err(failure.into())
            }
            // The name is an alias of this user.
            Ok(user) if !user.has_generated_username() && !user.username.eq_ignore_case(&name) => {
                Err(failure.into())
            }
            Ok(user) => {
                let mail = failed_mail(&failure);
                let mail = if is_new(&user) {
                    mail.for_new_user(&user)
                } else {
                    mail
                };
                Ok(found(user, mail))
            }
            // The call did not create the user.
            Err(missing) if missing.reason == Reason::UserNotFound => {
                Err(Outcome::from(failure).retry_if_lambda_failed())
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// The user who has the name that Cognito refused. Cognito is reported to refuse a free name
    /// when another user has the address or the phone number as an alias.
    ///
    /// Takes the name as it is, which may be a UUID that the app chose. The caller compares the
    /// address.
    async fn find_existing_user(
        &self,
        name: &Username,
        command: &AdminCommand,
        invitation: &Invitation,
        refused: &Failure,
    ) -> Result<PoolUser, Outcome> {
        let pool = &command.pool;
        let missing = match retry_inline(|| self.cognito.get_user(pool, name)).await {
            Err(missing) if missing.reason == Reason::UserNotFound => missing,
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
            match retry_inline(|| self.cognito.get_user(pool, &alias)).await {
                Ok(user) if user.username.eq_ignore_case(name) => return Ok(user),
                // The alias is their user name: this pool has no aliases.
                Ok(user) if user.username.eq_ignore_case(&alias) => {}
                Ok(_) => return Err(alias_exists()),
                Err(error) if error.reason == Reason::UserNotFound => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        if is_alias_conflict(refused) {
            return Err(alias_exists());
        }
        // The user is not visible everywhere yet.
        Err(missing.into())
    }

    async fn resend_mail(
        &self,
        pool: &PoolId,
        user: &PoolUser,
    ) -> Result<MailStatus, CommandResult> {
        require_open_invitation(user)?;
        let names = UsernameCandidates::for_user(user);
        let resent = retry_inline(|| async {
            let resent = self.cognito.resend_invitation(pool, &names).await;
            resent.map_err(RetryIfThrottled)
        });
        match resent.await.map_err(|RetryIfThrottled(failure)| failure) {
            Ok(()) => Ok(MailStatus::Sent),
            Err(failure) if failure.reason == Reason::Timeout => Ok(MailStatus::Unknown),
            Err(failure) if failure.code == "UnsupportedUserStateException" => {
                Err(already_accepted().into())
            }
            Err(failure) if may_have_created_user(&failure) => Ok(failed_mail(&failure)),
            Err(failure) => Err(CommandResult::new(failure)),
        }
    }
}

/// The groups of the rules and those of the command. An administrator writes the attributes that
/// the rules read. So a rule gives no privileged group here that the administrator could not give
/// by name.
pub(crate) fn groups_of_invited(
    config: &Config,
    user: &SignUp,
    invitation: &Invitation,
) -> Vec<GroupName> {
    let mut groups = groups_for(&config.groups, user);
    groups.retain(|group| {
        !config.groups.privileged.contains(group) || config.admin.grantable.allows(group)
    });
    for group in &invitation.groups {
        if !groups.contains(group) {
            groups.push(group.clone());
        }
    }
    groups
}

/// A new or existing user, and the status of their mail.
struct InvitedUser {
    user: PoolUser,
    mail: MailStatus,
    /// The user comes from a second call, not from `AdminCreateUser`.
    looked_up: bool,
}

/// A failure of a call that makes a new code each time. It is repeated only after throttling.
struct RetryIfThrottled(Failure);

impl Transient for RetryIfThrottled {
    fn is_transient(&self) -> bool {
        self.0.class == Class::Throttled
    }
}

/// Rejects a user to whom no code can be sent.
pub(super) fn require_open_invitation(user: &PoolUser) -> Result<(), Rejection> {
    if !user.is_invited() {
        return Err(already_accepted());
    }
    // Cognito would send a code that it then refuses.
    if !user.enabled {
        return Err(Rejection::new(
            Reason::UserDisabled,
            RejectionClass::Conflict,
            "the user is disabled",
        ));
    }
    Ok(())
}

fn already_accepted() -> Rejection {
    Rejection::new(
        Reason::AlreadyAccepted,
        RejectionClass::Conflict,
        "the user has accepted an invitation, signed up, or needs no password",
    )
}

/// Whether Cognito refused a value. That may be the text of the mail, which it checks after it
/// has created the user.
fn is_invalid_parameter(failure: &Failure) -> bool {
    failure.code == "InvalidParameterException"
}

/// Whether this is the documented error for an address or a number of another user.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
fn is_alias_conflict(failure: &Failure) -> bool {
    failure.code == "AliasExistsException"
}

/// Whether the user has the invitation's values and has not accepted yet.
fn has_invitation_values(user: &PoolUser, invitation: &Invitation) -> bool {
    let mut given = invitation.attributes.iter();
    user.is_invited()
        && is_invitee(user, invitation)
        && given.all(|(name, value)| user.attributes.get(name).unwrap_or_default() == value)
}

/// Whether an existing user is the invited one: the address is the same and verified. Everyone
/// can sign up with an address that is not theirs.
fn is_invitee(user: &PoolUser, invitation: &Invitation) -> bool {
    let get = |name| user.attributes.get(name).unwrap_or_default();
    get("email").eq_ignore_ascii_case(&invitation.email)
        && get("email_verified").eq_ignore_ascii_case("true")
        && user.status != "UNCONFIRMED"
}

/// Whether the user was created after the command was requested, and so by it.
fn has_created(command: &AdminCommand, user: &PoolUser) -> bool {
    command
        .requested_at
        .zip(user.created)
        .is_some_and(|(asked, created)| created >= asked)
}

/// Whether the mail or a Lambda failed, after which the user may exist. `LimitExceeded` concerns
/// the mails of a day, `InvalidParameter` may concern the mail's text.
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

fn alias_exists() -> Outcome {
    Outcome::Rejected(Rejection::new(
        Reason::AliasExists,
        RejectionClass::Conflict,
        "another user has this e-mail address or phone number",
    ))
}

/// The status of a mail that Cognito refused to send.
fn failed_mail(failure: &Failure) -> MailStatus {
    if is_invalid_parameter(failure) {
        tracing::warn!(
            "invitation not sent: Cognito does not accept a value, most likely a character \
             of the text; correct the CustomMessage trigger or the user pool's message, and \
             send the invitation again"
        );
    }
    if failure.code == "LimitExceededException" {
        MailStatus::OverLimit
    } else {
        MailStatus::Failed
    }
}
