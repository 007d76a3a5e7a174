//! Treats another event than a sign-up as one if the user has no profile.
//!
//! A new password is the only event of users of an import, and of those whose password an
//! administrator has reset. A sign-in may be the only one of users of an identity provider.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-using-import-tool.html>

use super::profile::ProfileStep;
use super::{Ignored, Outcome, Provisioner, internal_error, outcome_of_optional_read};
use crate::aws::{Cognito, Failure, ProfileTable};
use crate::config::Config;
use crate::event::SignUp;
use crate::retry::retry_inline;

/// Whether the user needs provisioning after such an event: `profiles.without_sign_up`
/// is on, and they have no profile. False without profiles, since nothing shows which
/// users are finished. Costs one read of the table and, with an owner index, its queries.
///
/// # Errors
/// When a call fails.
pub(crate) async fn is_unprovisioned(
    config: &Config,
    cognito: &Cognito,
    table: Option<&ProfileTable>,
    user: &SignUp,
) -> Result<bool, Failure> {
    let settings = config.profiles.as_ref();
    let settings = settings.filter(|settings| settings.without_sign_up);
    let (Some(settings), Some(table)) = (settings, table) else {
        return Ok(false);
    };
    let sub = match &user.sub {
        Some(sub) => Some(sub.clone()),
        None => retry_inline(|| cognito.sub_of(&user.pool, &user.username)).await?,
    };
    let Some(sub) = sub else {
        // Provisioning rejects it with the reason.
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
    /// Provisions the user if [`is_unprovisioned`]. These reads do not block sign-ups when they
    /// fail.
    pub(super) async fn provision_if_no_profile(&self, user: &SignUp) -> Outcome {
        let table = match &self.profile {
            Ok(step) => step.as_ref().map(ProfileStep::table),
            Err(missing) => return internal_error(&missing.to_string()),
        };
        match is_unprovisioned(&self.config, &self.cognito, table, user).await {
            Ok(true) => {
                self.ensure_groups_and_profile(user, &self.groups_for(user))
                    .await
            }
            Ok(false) => Outcome::Ignored(Ignored::NotNeeded),
            Err(failure) => outcome_of_optional_read(failure),
        }
    }
}
