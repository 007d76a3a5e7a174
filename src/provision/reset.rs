//! A user who has chosen a new password: a sign-up, if they have no record.
//!
//! Users of an import, and those whose password an administrator has reset, come in this way
//! only: Cognito sends no event of a sign-up for them.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-using-import-tool.html>

use super::profile::ProfileStep;
use super::{Ignored, Outcome, Provisioner, outcome_of_optional_read};
use crate::aws::{Directory, Failure, ProfileTable};
use crate::config::Config;
use crate::event::SignUp;
use crate::retry::retry_inline;

/// Whether this user is to be provisioned after a new password: that is switched on, and they
/// have no record. Without profiles, nothing shows who is finished: then false. One read of
/// the table; where the configuration has an index, its queries as well.
///
/// # Errors
/// As any call.
pub(crate) async fn is_unprovisioned(
    config: &Config,
    directory: &Directory,
    table: Option<&ProfileTable>,
    user: &SignUp,
) -> Result<bool, Failure> {
    let settings = config.profiles.as_ref();
    let settings = settings.filter(|settings| settings.after_password_reset);
    let (Some(settings), Some(table)) = (settings, table) else {
        return Ok(false);
    };
    let sub = match &user.sub {
        Some(sub) => Some(sub.clone()),
        None => retry_inline(|| directory.sub_of(&user.pool, &user.username)).await?,
    };
    let Some(sub) = sub else {
        // The sign-up says why it cannot be done.
        return Ok(true);
    };
    let ids = [sub.as_str()];
    if !retry_inline(|| table.existing(&ids)).await?.is_empty() {
        return Ok(false);
    }
    let (Some(owner), Some(index)) = (&settings.owner, &settings.owner_index) else {
        return Ok(true);
    };
    let values = owner.values(&user.pool, &sub, &user.username);
    let is_elsewhere = table.has_owner(index, owner.name(), &values).await?;
    Ok(!is_elsewhere)
}

impl Provisioner {
    /// What is to be done for the user, or that nothing is. These reads do not stop sign-ups
    /// when they fail.
    pub(super) async fn after_reset(&self, user: &SignUp) -> Outcome {
        let table = self.profile.as_ref().map(ProfileStep::table);
        match is_unprovisioned(&self.config, &self.directory, table, user).await {
            Ok(true) => {
                self.ensure_groups_and_profile(user, &self.groups_for(user))
                    .await
            }
            Ok(false) => Outcome::Ignored(Ignored::ForgotPassword),
            Err(failure) => outcome_of_optional_read(failure),
        }
    }
}
