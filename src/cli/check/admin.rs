//! The calls of the administrators' API, and the app client of `/accept`.

use std::collections::BTreeMap;

use super::{Findings, NO_SUCH_USER};
use crate::aws::{AcceptError, Acceptance, Cognito, SignIn, UsernameCandidates};
use crate::config::{Config, GroupName};
use crate::event::{PoolId, Username};

impl Findings {
    /// Checks only calls that the API or `admin.verify_membership` makes.
    pub(super) async fn check_admin(&mut self, config: &Config, cognito: &Cognito, pool: &PoolId) {
        let has_api = !config.admin.client_ids.is_empty();
        if !has_api && !config.admin.verify_membership {
            return;
        }
        let (Some(no_such_user), Some(group)) =
            (Username::new(NO_SUCH_USER), GroupName::new(NO_SUCH_USER))
        else {
            return;
        };
        let expected_codes = ["UserNotFoundException", "ResourceNotFoundException"];
        if has_api {
            let removed = cognito.remove_from_group(pool, &no_such_user, &group).await;
            let what = format!("cognito-idp:AdminRemoveUserFromGroup on {pool}");
            self.check_allowed(&what, removed, &expected_codes);
            // Resending the invitation of no user changes nothing. A pool may accept none of the
            // names, but says so only to callers with the permission.
            let resent = cognito
                .resend_invitation(pool, &UsernameCandidates::for_no_user(&no_such_user))
                .await;
            let what = format!("cognito-idp:AdminCreateUser on {pool}");
            let invalid_parameter = "InvalidParameterException";
            self.check_allowed(
                &what,
                resent,
                &[&expected_codes[..], &[invalid_parameter]].concat(),
            );
        }
        let groups = cognito.groups_of(pool, &no_such_user).await.map(|_| ());
        let what = format!("cognito-idp:AdminListGroupsForUser on {pool}");
        self.check_allowed(&what, groups, &expected_codes);
    }

    /// Signs in a user who does not exist. The error shows whether the app client works.
    pub(super) async fn check_accept_client(&mut self, sign_in: SignIn) {
        let no_such_user = Acceptance {
            username: NO_SUCH_USER,
            code: NO_SUCH_USER,
            password: "Never-tr1ed",
            attributes: &BTreeMap::new(),
        };
        let what = "app client of /accept";
        match sign_in.accept(&no_such_user).await {
            // Cognito accepted the client, and called a trigger for the user who does not exist.
            Err(AcceptError::Misconfigured(_, failure))
                if failure.code == "UserLambdaValidationException" =>
            {
                self.add_right(what, "takes passwords".to_owned());
            }
            Err(AcceptError::Misconfigured(fault, failure)) => {
                self.add_wrong(what, &format!("{failure}: {fault}"));
            }
            Err(AcceptError::Unavailable(failure)) => self.add_wrong(what, &failure),
            Err(AcceptError::Busy) => self.add_untested(what, "Cognito throttles: check again"),
            _ => self.add_right(what, "takes passwords".to_owned()),
        }
    }
}
