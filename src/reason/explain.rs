//! The meaning of the reasons that usher gives, with advice.

use crate::event::Malformed;

/// Every reason that usher itself gives, and frequent error codes of AWS, in alphabetical order.
/// The reasons of malformed messages are in [`crate::event::Malformed`]. The list and those
/// make `docs/reference/reasons.md`.
pub(crate) const REASONS: &[(&str, &str)] = &[
    (
        "access_denied",
        "the credentials may not do it: for a command, deploy/admin-policy.json allows it",
    ),
    (
        "alias_exists",
        "another user has this e-mail address or phone number",
    ),
    (
        "already_accepted",
        "the user has accepted already, or needs no password: there is no code to send again",
    ),
    (
        "ambiguous_user",
        "the UUID is the user name of one user and may be the sub of another: give the e-mail \
         address, the sub of the first or the user name of the second",
    ),
    (
        "busy",
        "usher was too busy to finish the command in time: try again",
    ),
    ("code_delivery_failure", "Cognito could not send the mail"),
    ("connection", "the service could not be reached"),
    (
        "credentials",
        "no credentials, or they have expired: sign in again; in a container, its credentials \
         endpoint does not answer (is it in NO_PROXY?)",
    ),
    ("deadline", "the attempt did not end in time"),
    ("foreign_pool", "pools.allowed does not name the user pool"),
    (
        "garbled_response",
        "the service sent an unexpected response",
    ),
    (
        "group_in_token",
        "only tokens have a group (groups.in_token): no one is added to it or removed from it",
    ),
    (
        "group_not_found",
        "a group does not exist: create it, or correct its name",
    ),
    (
        "group_not_grantable",
        "admin.grantable_groups does not include a group; usher groups add --privileged gives it \
         anyway",
    ),
    ("internal", "usher failed: see its log"),
    (
        "invalid_parameter",
        "Cognito does not accept a value: an attribute that the pool does not have, a value out \
         of its bounds, or a user name of the wrong kind for the pool",
    ),
    (
        "kms",
        "SQS may not use the KMS key of the queue, or the key is disabled or deleted",
    ),
    (
        "limit_exceeded",
        "a limit of the user pool is reached, such as its mails per day",
    ),
    (
        "mail_not_delivered",
        "Cognito could not send the mail, or did not accept its text",
    ),
    (
        "misrouted",
        "usher handled a reconcile command as a sign-up: report this defect",
    ),
    ("no_sub", "Cognito shows no sub for this user"),
    (
        "not_administrator",
        "the requester is not an administrator now",
    ),
    (
        "not_authorized",
        "the credentials may not do it: for a command, deploy/admin-policy.json allows it",
    ),
    (
        "operation_not_enabled",
        "the user pool does not allow it now: it is a replica, or is being restored",
    ),
    (
        "panic",
        "usher failed while it worked on the message: see its log",
    ),
    (
        "pool_not_found",
        "there is no such user pool in this Region",
    ),
    (
        "private_link",
        "the user pool has a domain and refuses calls through a VPC endpoint: let the calls go \
         through a NAT gateway, or remove the domain",
    ),
    ("queue_not_found", "there is no such queue in this Region"),
    (
        "repeated_token",
        "a list of Cognito or a table scan repeats a page: try again later",
    ),
    (
        "request_not_built",
        "the call could not be built, for example without a Region",
    ),
    ("server_error", "the service failed"),
    (
        "table_mismatch",
        "the table's key is not profiles.key, or the index does not fit profiles.owner_index",
    ),
    (
        "table_not_found",
        "there is no table profiles.table in this Region",
    ),
    (
        "throttled",
        "the service accepts no more calls at the moment",
    ),
    ("timeout", "the service did not answer in time"),
    (
        "unexpected_lambda",
        "a trigger of the user pool does not work",
    ),
    (
        "unknown",
        "the dead letter has no reason: SQS moved it, since workers ended without settling it",
    ),
    ("user_disabled", "the user is disabled: enable them first"),
    (
        "user_lambda_validation",
        "a trigger of the user pool refuses this user",
    ),
    ("user_not_found", "there is no such user"),
    (
        "username_taken",
        "another user, with another or unverified e-mail address, has this user name",
    ),
];

/// The reason with its meaning, where one is known.
pub(crate) fn explain(reason: &str) -> String {
    let malformed = Malformed::ALL.into_iter().find(|it| it.code() == reason);
    match REASONS.iter().find(|(code, _)| *code == reason) {
        Some((_, meaning)) => format!("{reason}: {meaning}"),
        None => malformed.map_or(reason.to_owned(), |it| format!("{reason}: {it}")),
    }
}

/// What gives an invited user a group that `admin.grantable_groups` leaves out.
pub(crate) const GRANT_LATER: &str =
    "leave it out here and give it with usher groups add --privileged";

/// The reason of a refused command, in words that name the group; `remedy` is for one that is not
/// grantable.
pub(crate) fn explain_refusal(reason: &str, group: Option<&str>, remedy: &str) -> String {
    match (reason, group) {
        ("group_not_found", Some(group)) => {
            format!("group {group} does not exist (names are case-sensitive)")
        }
        ("group_not_grantable", Some(group)) => {
            format!("group {group} is not in admin.grantable_groups: {remedy}")
        }
        _ => explain(reason),
    }
}

/// A reason as an argument. Error codes of AWS that are not listed are reasons as well, so this
/// refuses only what looks like a mistake in writing.
pub(crate) fn parse(reason: &str) -> Result<String, String> {
    let listed = REASONS.iter().map(|(code, _)| *code);
    let all = listed.chain(Malformed::ALL.map(Malformed::code));
    let nearest = all
        .map(|code| (strsim::osa_distance(code, reason), code))
        .min();
    match nearest {
        Some((1..=MAX_TYPOS, code)) => Err(format!("unknown reason; did you mean {code}?")),
        _ => Ok(reason.to_owned()),
    }
}

/// Two codes differ by more characters.
const MAX_TYPOS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_reason_is_refused_with_the_right_one() {
        for (reason, right) in [
            ("throtled", "throttled"),
            ("Throttled", "throttled"),
            ("not_jsno", "not_json"),
            ("user_notfound", "user_not_found"),
        ] {
            let error = parse(reason).expect_err("refused");
            assert!(
                error.ends_with(&format!("did you mean {right}?")),
                "{error}"
            );
        }
        // The last one is an error code of AWS that is not listed.
        for reason in ["throttled", "not_json", "unknown", "user_not_confirmed"] {
            assert_eq!(parse(reason).as_deref(), Ok(reason));
        }
    }
}
