//! What the administrators' API and `/accept` need.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Findings, NO_SUCH_USER};
use crate::aws::{
    AcceptError, Acceptance, Aws, ClientCredentials, Directory, Listing, SignIn, UsernameCandidates,
};
use crate::config::{AcceptPage, Config, GroupName};
use crate::event::{PoolId, Username};
use crate::quota::Quota;

impl Findings {
    /// As far as the API is switched on, and what `admin.verify_membership` asks for.
    pub(super) async fn check_admin(
        &mut self,
        config: &Config,
        directory: &Directory,
        listing: &Listing,
        pool: &PoolId,
    ) {
        let has_api = !config.admin.client_ids.is_empty();
        if !has_api && !config.admin.verify_membership {
            return;
        }
        let (Some(nobody), Some(group)) =
            (Username::new(NO_SUCH_USER), GroupName::new(NO_SUCH_USER))
        else {
            return;
        };
        let fine = ["UserNotFoundException", "ResourceNotFoundException"];
        if has_api {
            let people = directory.user_manager();
            let removed = people.remove_from_group(pool, &nobody, &group).await;
            let what = format!("cognito-idp:AdminRemoveUserFromGroup on {pool}");
            self.check_allowed(&what, removed, &fine);
            // To send an invitation again to nobody changes nothing. A pool may take none of
            // the names, but it says so only to those who may ask.
            let resent = people
                .resend(pool, &UsernameCandidates::for_no_user(&nobody))
                .await;
            let what = format!("cognito-idp:AdminCreateUser on {pool}");
            let refused = "InvalidParameterException";
            self.check_allowed(&what, resent, &[&fine[..], &[refused]].concat());
        }
        let groups = listing.groups_of(pool, &nobody).await.map(|_| ());
        let what = format!("cognito-idp:AdminListGroupsForUser on {pool}");
        self.check_allowed(&what, groups, &fine);
    }

    /// A sign-in of nobody is refused for that, unless it is refused for the client.
    pub(super) async fn check_accept_client(
        &mut self,
        page: &AcceptPage,
        aws: &Aws,
        quota: Arc<Quota>,
    ) {
        let app = ClientCredentials {
            id: page.client_id.clone(),
            secret: page.client_secret.clone(),
        };
        let nobody = Acceptance {
            username: NO_SUCH_USER,
            code: NO_SUCH_USER,
            password: "Never-tr1ed",
            attributes: &BTreeMap::new(),
        };
        let what = "app client of /accept";
        match SignIn::new(aws, quota, app).accept(&nobody).await {
            // A trigger was asked for a user who does not exist.
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
