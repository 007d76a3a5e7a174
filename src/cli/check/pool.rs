//! The calls about users and groups of a pool.

use std::collections::BTreeMap;

use super::findings::{Findings, NO_SUCH_USER};
use crate::aws::{AcceptError, Acceptance, Aws, Cognito, SignIn, UsernameCandidates};
use crate::config::{Config, GroupName};
use crate::event::{PoolId, Username};
use crate::reason::Reason;

/// The errors of a call that was allowed, about a user who does not exist.
const NOT_FOUND: [&str; 2] = ["UserNotFoundException", "ResourceNotFoundException"];

/// Checks the groups and calls of a pool; false where the pool does not exist.
pub(super) async fn check(
    findings: &mut Findings,
    config: &Config,
    aws: &Aws,
    cognito: &Cognito,
    pool: &PoolId,
) -> bool {
    let Some(no_such_user) = Username::new(NO_SUCH_USER) else {
        return false;
    };
    let get = cognito.sub_of(pool, &no_such_user).await;
    if matches!(&get, Err(failure) if failure.reason == Reason::PoolNotFound) {
        let detail = match aws.other_region_of_pool(pool) {
            Some(region) => region_mismatch(region, aws),
            None => "does not exist".to_owned(),
        };
        findings.wrong(format!("user pool {pool}"), detail);
        return false;
    }
    let what = format!("cognito-idp:AdminGetUser on {pool}");
    findings.allowed(what, get, &["UserNotFoundException"]);
    let mut groups: Vec<&GroupName> = config.groups.default.iter().collect();
    groups.extend(config.groups.rules.iter().flat_map(|rule| &rule.groups));
    groups.sort_unstable();
    groups.dedup();
    let mut existing = None;
    for group in &groups {
        let what = format!("group {group} in {pool}");
        match cognito.has_group(pool, group).await {
            Ok(true) => {
                existing = Some(*group);
                findings.right(what, "exists");
            }
            Ok(false) if config.groups.create_missing => {
                findings.right(what, "will be created with its first member");
            }
            Ok(false) => findings.wrong(what, "missing, and groups.create_missing is false"),
            // Only invitations need this call.
            Err(failure) => findings.failure(what, &failure),
        }
    }
    if let Some(group) = groups.first() {
        let add = cognito.add_to_group(pool, &no_such_user, group).await;
        let what = format!("cognito-idp:AdminAddUserToGroup on {pool}");
        findings.allowed(what, add, &NOT_FOUND);
    }
    if config.groups.create_missing {
        let what = format!("cognito-idp:CreateGroup on {pool}");
        match existing {
            Some(group) => {
                let create = cognito.create_group(pool, group).await;
                findings.allowed(what, create, &[]);
            }
            None => findings.untested(what, "none of the groups exists: one would be created"),
        }
    }
    true
}

pub(super) fn region_mismatch(region: &str, aws: &Aws) -> String {
    format!("is in {region}, and AWS_REGION is {}", aws.region())
}

pub(super) async fn check_listing(
    findings: &mut Findings,
    config: &Config,
    cognito: &Cognito,
    pool: &PoolId,
) {
    let users = cognito.list_users(pool, None).await;
    findings.allowed(format!("cognito-idp:ListUsers on {pool}"), users, &[]);
    if let Some(group) = config.groups.default.first() {
        let members = cognito.list_members(pool, group, None).await;
        let what = format!("cognito-idp:ListUsersInGroup on {pool}");
        findings.allowed(what, members, &[]);
    }
}

/// Checks only calls that the API or `admin.verify_membership` makes.
pub(super) async fn check_admin(
    findings: &mut Findings,
    config: &Config,
    cognito: &Cognito,
    pool: &PoolId,
) {
    let has_api = !config.admin.client_ids.is_empty();
    if !has_api && !config.admin.verify_membership {
        return;
    }
    let (Some(no_such_user), Some(group)) =
        (Username::new(NO_SUCH_USER), GroupName::new(NO_SUCH_USER))
    else {
        return;
    };
    if has_api {
        let removed = cognito.remove_from_group(pool, &no_such_user, &group).await;
        let what = format!("cognito-idp:AdminRemoveUserFromGroup on {pool}");
        findings.allowed(what, removed, &NOT_FOUND);
        // Resending the invitation of no user changes nothing. A pool may accept none of the
        // names, but says so only to callers with the permission.
        let resent = cognito
            .resend_invitation(pool, &UsernameCandidates::for_no_user(&no_such_user))
            .await;
        let what = format!("cognito-idp:AdminCreateUser on {pool}");
        let [user, resource] = NOT_FOUND;
        let expected_codes = [user, resource, "InvalidParameterException"];
        findings.allowed(what, resent, &expected_codes);
    }
    let groups = cognito.groups_of(pool, &no_such_user).await;
    let what = format!("cognito-idp:AdminListGroupsForUser on {pool}");
    findings.allowed(what, groups, &NOT_FOUND);
}

/// Signs in a user who does not exist. The error shows whether the app client works.
pub(super) async fn check_accept_client(findings: &mut Findings, sign_in: SignIn) {
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
            findings.right(what, "takes passwords");
        }
        Err(AcceptError::Misconfigured(fault, failure)) => {
            findings.wrong(what, format!("{failure}: {fault}"));
        }
        Err(AcceptError::Unavailable(failure)) => findings.wrong(what, failure.to_string()),
        Err(AcceptError::Busy) => findings.untested(what, "Cognito throttles: check again"),
        _ => findings.right(what, "takes passwords"),
    }
}
