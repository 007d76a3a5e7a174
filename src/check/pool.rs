//! The calls about users and groups of a pool.

use std::collections::BTreeMap;

use crate::aws::{AcceptError, Acceptance, Aws, Cognito, SignIn, UsernameCandidates};
use crate::config::{AcceptPage, Config, GroupName};
use crate::event::{PoolId, Username};
use crate::reason::Reason;
use crate::status::Findings;

/// A name that no user has. It is an address, since a pool may use addresses as user names, and
/// no mail can be sent to it.
///
/// <https://www.rfc-editor.org/rfc/rfc2606>
pub(super) const NO_SUCH_USER: &str = "usher-check-no-such-user@example.invalid";

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
    let what = "user pool";
    if !pool.as_str().contains('_') {
        let detail = "is not a user pool id, such as eu-west-1_AbCdEf123";
        findings.fail(what, detail);
        findings.skip_others("need a user pool");
        return false;
    }
    let Some(no_such_user) = Username::new(NO_SUCH_USER) else {
        return false;
    };
    let mismatch = aws.other_region_of_pool(pool);
    let mismatch = mismatch.map(|region| region_mismatch(region, aws));
    let get = cognito.sub_of(pool, &no_such_user).await;
    if matches!(&get, Err(failure) if failure.reason == Reason::PoolNotFound) {
        findings.fail(
            what,
            mismatch.unwrap_or_else(|| "does not exist".to_owned()),
        );
        findings.skip_others("there is no such user pool");
        return false;
    }
    if let Some(mismatch) = mismatch {
        let detail = format!("{mismatch}: calls find it only where it is replicated");
        findings.warn(what, detail);
    }
    if findings.stops(what, get.as_ref().err()) {
        return false;
    }
    findings.allowed("cognito-idp:AdminGetUser", get, &["UserNotFoundException"]);
    let mut groups: Vec<&GroupName> = config.groups.default.iter().collect();
    groups.extend(config.groups.rules.iter().flat_map(|rule| &rule.groups));
    groups.sort_unstable();
    groups.dedup();
    let mut existing = None;
    for group in &groups {
        let what = format!("group {group}");
        match cognito.has_group(pool, group).await {
            Ok(true) => {
                existing = Some(*group);
                findings.ok(what, "exists");
            }
            Ok(false) if config.groups.create_missing => {
                findings.ok(what, "will be created with its first member");
            }
            Ok(false) => findings.fail(what, "missing, and groups.create_missing is false"),
            // Only invitations need this call.
            Err(failure) => findings.failure(what, &failure),
        }
    }
    if let Some(group) = groups.first() {
        let add = cognito.add_to_group(pool, &no_such_user, group).await;
        let what = "cognito-idp:AdminAddUserToGroup";
        findings.allowed(what, add, &NOT_FOUND);
    }
    if config.groups.create_missing {
        let what = "cognito-idp:CreateGroup";
        match existing {
            Some(group) => {
                let create = cognito.create_group(pool, group).await;
                findings.allowed(what, create, &[]);
            }
            None => findings.skip(what, "would create a group"),
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
    findings.allowed("cognito-idp:ListUsers", users, &[]);
    if let Some(group) = config.groups.default.first() {
        let members = cognito.list_members(pool, group, None).await;
        let what = "cognito-idp:ListUsersInGroup";
        findings.allowed(what, members, &[]);
    }
}

/// Checks only calls that the API, the console or `admin.verify_membership` makes.
pub(super) async fn check_admin(
    findings: &mut Findings,
    config: &Config,
    cognito: &Cognito,
    pool: &PoolId,
) {
    let has_api = !config.admin.client_ids.is_empty() || config.console.is_some();
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
        let what = "cognito-idp:AdminRemoveUserFromGroup";
        findings.allowed(what, removed, &NOT_FOUND);
        // Resending the invitation of no user changes nothing. A pool may accept none of the
        // names, but says so only to callers with the permission.
        let resent = cognito
            .resend_invitation(pool, &UsernameCandidates::for_no_user(&no_such_user))
            .await;
        let what = "cognito-idp:AdminCreateUser";
        let [user, resource] = NOT_FOUND;
        let expected_codes = [user, resource, "InvalidParameterException"];
        findings.allowed(what, resent, &expected_codes);
    }
    let groups = cognito.groups_of(pool, &no_such_user).await;
    let what = "cognito-idp:AdminListGroupsForUser";
    findings.allowed(what, groups, &NOT_FOUND);
}

/// Signs in a user who does not exist. The error shows whether the app client works.
pub(super) async fn check_app_client(findings: &mut Findings, sign_in: SignIn) {
    let no_such_user = Acceptance {
        username: NO_SUCH_USER,
        code: NO_SUCH_USER,
        password: "Never-tr1ed",
        attributes: &BTreeMap::new(),
    };
    let what = "app client";
    match sign_in.accept(&no_such_user).await {
        // Cognito accepted the client, and called a trigger for the user who does not exist.
        Err(AcceptError::Misconfigured(_, failure))
            if failure.code == "UserLambdaValidationException" =>
        {
            findings.ok(what, "takes passwords");
        }
        Err(AcceptError::Misconfigured(fault, failure)) => {
            findings.fail(what, format!("{failure}: {fault}"));
        }
        Err(AcceptError::Unavailable(failure)) => findings.failure(what, &failure),
        Err(AcceptError::Busy) => findings.skip(what, "Cognito throttles: check again"),
        _ => findings.ok(what, "takes passwords"),
    }
}

/// A page without these links leaves a person without a next step.
pub(super) fn check_accept_links(findings: &mut Findings, page: &AcceptPage) {
    for (key, value, missing) in [
        (
            "invitations.done_url",
            &page.done_url,
            "empty: the page does not lead on after the password",
        ),
        (
            "invitations.contact",
            &page.contact,
            "empty: the page names no contact",
        ),
    ] {
        match value {
            Some(value) => findings.ok(key, value),
            None => findings.warn(key, missing),
        }
    }
}
