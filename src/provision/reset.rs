//! A user who has chosen a new password: a sign-up, if they have no record.
//!
//! Users of an import, and those whose password an administrator has reset, come in this way
//! and no other: Cognito sends no event of a sign-up for them.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-using-import-tool.html>

use super::{Ignored, Outcome, Provisioner};
use crate::aws::{Failure, Profiles};
use crate::config;
use crate::event::{SignUp, Sub};
use crate::retry::quickly;

/// Whether this user is to be provisioned after a new password, where that is switched on:
/// they have no record. One read of the table; where the configuration has an index, its
/// queries as well.
///
/// # Errors
/// As any call.
pub async fn is_unprovisioned(
    table: &Profiles,
    settings: &config::Profiles,
    user: &SignUp,
    sub: &Sub,
) -> Result<bool, Failure> {
    let ids = [sub.as_str()];
    if !quickly(|| table.present(&ids)).await?.is_empty() {
        return Ok(false);
    }
    let (Some(owner), Some(index)) = (&settings.owner, &settings.owner_index) else {
        return Ok(true);
    };
    let values = owner.values(&user.pool, sub, &user.username);
    let is_elsewhere = quickly(|| table.has_owner(index, owner.attribute(), &values)).await?;
    Ok(!is_elsewhere)
}

impl Provisioner {
    /// What is to be done for the user, or that nothing is. Without profiles nothing tells who
    /// is finished, so nothing is.
    pub(super) async fn after_reset(&self, user: &SignUp) -> Outcome {
        let nothing = Outcome::Ignored(Ignored::ForgotPassword);
        let settings = self.config.profiles.as_ref();
        let settings = settings.filter(|settings| settings.after_password_reset);
        let (Some(profile), Some(settings)) = (&self.profile, settings) else {
            return nothing;
        };
        let sub = match &user.sub {
            Some(sub) => Ok(sub.clone()),
            None => self.sub_of(user).await,
        };
        let sub = match sub {
            Ok(sub) => sub,
            Err(outcome) => return outcome,
        };
        match is_unprovisioned(profile.table(), settings, user, &sub).await {
            Ok(true) => self.provide(user, &self.groups_for(user)).await,
            Ok(false) => nothing,
            Err(failure) => failure.into(),
        }
    }
}
