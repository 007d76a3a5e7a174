//! The meaning of the reasons of refusals and failures, with advice.

/// Reasons with their meaning, in alphabetical order. Reasons that need no explanation and codes
/// that AWS adds are left out. `docs/reference/reasons.md` is generated from this list.
pub(super) const REASONS: &[(&str, &str)] = &[
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
        "the person has accepted already, or needs no password: there is no code to send again",
    ),
    (
        "ambiguous_user",
        "the UUID is the user name of one user and may be the sub of another: give the e-mail \
         address, the sub of the first or the user name of the second",
    ),
    (
        "busy",
        "usher took no more of these requests at once: try again",
    ),
    ("code_delivery_failure", "Cognito could not send the mail"),
    ("connection", "the service could not be reached"),
    (
        "credentials",
        "no credentials, or they ran out: sign in again; in a container, its credentials \
         endpoint does not answer (is it in NO_PROXY?)",
    ),
    ("foreign_pool", "pools.allowed does not name the user pool"),
    (
        "garbled_response",
        "the service sent a response that does not fit the call",
    ),
    (
        "group_not_found",
        "a group is not there: create it, or write it as it is named",
    ),
    (
        "group_not_grantable",
        "admin.grantable_groups leaves a group out; usher grant --privileged gives it all the \
         same",
    ),
    ("internal", "usher failed: its log says where"),
    (
        "invalid_parameter",
        "Cognito does not take a value: an attribute that the pool does not have, a value out \
         of its bounds, or a user name of the wrong kind for the pool",
    ),
    (
        "limit_exceeded",
        "a limit of the user pool is reached, such as the mails of a day",
    ),
    (
        "mail_not_delivered",
        "Cognito could not send the mail, or did not accept its text",
    ),
    ("no_sub", "Cognito shows no sub for this user"),
    (
        "not_administrator",
        "the administrator who asked for it is not one now",
    ),
    (
        "not_authorized",
        "the credentials may not do it: for a command, deploy/admin-policy.json allows it",
    ),
    (
        "operation_not_enabled",
        "the user pool does not do it now: it is a replica, or is being restored",
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
        "a list of Cognito or a table scan leads back to the same page: try later",
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
    ("throttled", "Cognito or DynamoDB accepted no more calls"),
    ("timeout", "the service did not answer in time"),
    (
        "unexpected_lambda",
        "a trigger of the user pool does not work",
    ),
    (
        "unknown",
        "the dead letter has no reason: SQS moved it, since workers died with it",
    ),
    ("user_disabled", "the user is disabled: enable them first"),
    (
        "user_lambda_validation",
        "a trigger of the user pool refuses this user",
    ),
    ("user_not_found", "there is no such user"),
    (
        "username_taken",
        "somebody whose e-mail address is another, or is not verified, has this user name",
    ),
];

/// The reason with its meaning, where one is known.
pub(super) fn explain(reason: &str) -> String {
    match REASONS.iter().find(|(code, _)| *code == reason) {
        Some((_, meaning)) => format!("{reason}: {meaning}"),
        None => reason.to_owned(),
    }
}
