//! The codes that invitations are accepted with.

use serde_json::Value;

use super::Findings;
use crate::aws::{JsonObject, SettingsError};
use crate::config::InvitationsConfig;
use crate::event::PoolId;

impl Findings {
    /// Adds a finding where the pool makes no codes for invitations. Its users may sign in with
    /// a code for each sign-in, so a new user needs no password.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/how-to-create-user-accounts.html>
    pub(super) fn check_invitations(
        &mut self,
        invitations: &InvitationsConfig,
        pool: &PoolId,
        settings: &Result<JsonObject, SettingsError>,
    ) {
        let policies = settings.as_ref().ok().and_then(|all| all.get("Policies"));
        let factors = policies.map(|policies| &policies["SignInPolicy"]["AllowedFirstAuthFactors"]);
        let mut factors = factors.and_then(Value::as_array).into_iter().flatten();
        if !factors.any(|factor| factor == "EMAIL_OTP" || factor == "SMS_OTP") {
            return;
        }
        let what = format!("invitations in {pool}");
        let detail = "hold no code: EMAIL_OTP or SMS_OTP is among the pool's first factors, and \
                      so an invited person is confirmed at once, without a password";
        if invitations.page.is_some() {
            self.add_wrong(&what, &format!("{detail}; nobody can accept on /accept"));
        } else {
            self.add_right(&what, detail.to_owned());
        }
    }
}
