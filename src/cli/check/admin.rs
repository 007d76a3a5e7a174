//! What the administrators' API and `/accept` need.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Findings, NO_USER};
use crate::aws::{Acceptance, App, Aws, Directory, Listing, Names, NotAccepted, SignIn};
use crate::config::{AcceptPage, Config, GroupName};
use crate::event::{PoolId, Username};
use crate::quota::Quota;

impl Findings {
    /// As far as the API is switched on, and what `admin.verify_membership` asks for.
    pub(super) async fn admin(
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
        let (Some(nobody), Some(group)) = (Username::new(NO_USER), GroupName::new(NO_USER)) else {
            return;
        };
        let fine = ["UserNotFoundException", "ResourceNotFoundException"];
        if has_api {
            let people = directory.people();
            let removed = people.remove_from_group(pool, &nobody, &group).await;
            let what = format!("cognito-idp:AdminRemoveUserFromGroup on {pool}");
            self.allowed(&what, removed, &fine);
            // To send an invitation again to nobody changes nothing. A pool may take none of
            // the names, but it says so only to those who may ask.
            let resent = people.resend(pool, &Names::of_nobody(&nobody)).await;
            let what = format!("cognito-idp:AdminCreateUser on {pool}");
            let refused = "InvalidParameterException";
            self.allowed(&what, resent, &[&fine[..], &[refused]].concat());
        }
        let groups = listing.groups_of(pool, &nobody).await.map(|_| ());
        let what = format!("cognito-idp:AdminListGroupsForUser on {pool}");
        self.allowed(&what, groups, &fine);
    }

    /// A sign-in of nobody is refused for that, unless it is refused for the client.
    pub(super) async fn accept(&mut self, page: &AcceptPage, aws: &Aws, quota: Arc<Quota>) {
        let app = App {
            id: page.client_id.clone(),
            secret: page.client_secret.clone(),
        };
        let nobody = Acceptance {
            username: NO_USER,
            code: NO_USER,
            password: "Never-tr1ed",
            attributes: &BTreeMap::new(),
        };
        let what = "app client of /accept";
        match SignIn::new(aws, quota, app).accept(&nobody).await {
            // A trigger was asked for a user who does not exist.
            Err(NotAccepted::Misconfigured(_, failure))
                if failure.code == "UserLambdaValidationException" =>
            {
                self.right(what, "takes passwords".to_owned());
            }
            Err(NotAccepted::Misconfigured(fault, failure)) => {
                self.wrong(what, &format!("{failure}: {fault}"));
            }
            Err(NotAccepted::Unavailable(failure)) => self.wrong(what, &failure),
            Err(NotAccepted::Busy) => self.untested(what, "Cognito throttles: check again"),
            _ => self.right(what, "takes passwords".to_owned()),
        }
    }
}
