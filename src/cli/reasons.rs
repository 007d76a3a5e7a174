//! What the reasons of refusals and failures mean to whoever reads them, and what
//! helps.

/// Empty for a reason that says enough, or that nothing is known of.
pub(super) fn describe(reason: &str) -> &'static str {
    match reason {
        "user_not_found" => "there is no such user",
        "group_not_found" => "a group is not there: create it, or write it as it is named",
        "group_not_grantable" => {
            "admin.grantable_groups leaves a group out; usher grant --privileged gives it all \
             the same"
        }
        "ambiguous_user" => {
            "the UUID is the user name of one user and may be the sub of another: give the e-mail \
             address, the sub of the first or the user name of the second"
        }
        "foreign_pool" => "pools.allowed does not name the user pool",
        "username_taken" => {
            "somebody whose e-mail address is another, or is not verified, has this user name"
        }
        "alias_exists" => "another user has this e-mail address or phone number",
        "already_accepted" => {
            "the person has accepted already, or needs no password: there is no code to send again"
        }
        "invalid_parameter" => {
            "Cognito does not take a value: an attribute that the pool does not have, a value \
             out of its bounds, or a user name of the wrong kind for the pool"
        }
        "user_lambda_validation" => "a trigger of the user pool refuses this user",
        "unexpected_lambda" => "a trigger of the user pool does not work",
        "operation_not_enabled" => {
            "the user pool does not do it now: it is a replica, or is being restored"
        }
        "private_link" => {
            "the user pool has a domain and refuses calls through a VPC endpoint: let the calls \
             go through a NAT gateway, or remove the domain"
        }
        "user_disabled" => "the user is disabled: enable them first",
        "repeated_token" => "a list of Cognito leads back to the same page: try later",
        "limit_exceeded" => "a limit of the user pool is reached, such as the mails of a day",
        "mail_not_delivered" => "Cognito could not send the mail, or did not accept its text",
        "code_delivery_failure" => "Cognito could not send the mail",
        "throttled" => "Cognito or DynamoDB took no more calls",
        "access_denied" | "not_authorized" => {
            "these credentials may not do it: deploy/admin-policy.json allows it"
        }
        "credentials" => {
            "no credentials, or they ran out: sign in again; in a container, its credentials \
             endpoint does not answer (is it in NO_PROXY?)"
        }
        "pool_not_found" => "there is no such user pool in this Region",
        "table_not_found" => "there is no table profiles.table in this Region",
        "table_mismatch" => "the table's key is not profiles.key",
        _ => "",
    }
}

/// The reason with its words.
pub(super) fn explain(reason: &str) -> String {
    match describe(reason) {
        "" => reason.to_owned(),
        words => format!("{reason}: {words}"),
    }
}
