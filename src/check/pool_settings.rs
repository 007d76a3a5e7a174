//! The settings of a pool: the codes of invitations, and the issuer of its tokens.

use serde_json::Value;

use crate::attach::TriggerKind;
use crate::aws::{JsonObject, JwksClient, SettingsError};
use crate::config::{AdminConfig, InvitationsConfig, TokenGroups};
use crate::event::{IssuerType, PoolId};
use crate::status::Findings;

/// Adds a finding where the pool makes no codes for invitations. Its users may sign in with
/// a code for each sign-in, so a new user needs no password.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/how-to-create-user-accounts.html>
pub(super) fn check_invitations(
    findings: &mut Findings,
    invitations: &InvitationsConfig,
    settings: &Result<JsonObject, SettingsError>,
) {
    let policies = settings.as_ref().ok().and_then(|all| all.get("Policies"));
    let factors = policies.map(|policies| &policies["SignInPolicy"]["AllowedFirstAuthFactors"]);
    let mut factors = factors.and_then(Value::as_array).into_iter().flatten();
    if !factors.any(|factor| factor == "EMAIL_OTP" || factor == "SMS_OTP") {
        return;
    }
    let what = "invitations";
    let detail = "hold no code: EMAIL_OTP or SMS_OTP is among the pool's first factors, and so \
                  an invited person is confirmed at once, without a password";
    if invitations.page.is_some() {
        findings.fail(what, format!("{detail}; no one can accept on /accept"));
    } else {
        findings.ok(what, detail);
    }
}

/// Checks that the pool calls a function that puts `groups.in_token` into tokens.
pub(super) fn check_token_groups(
    findings: &mut Findings,
    groups: &TokenGroups,
    settings: &Result<JsonObject, SettingsError>,
) {
    if groups.is_empty() {
        return;
    }
    let what = "groups.in_token";
    match settings {
        Err(error) => findings.failure(what, &error.failure),
        Ok(settings) => {
            let triggers = settings.get("LambdaConfig").and_then(Value::as_object);
            match triggers.and_then(|all| TriggerKind::PreTokenGeneration.function(all)) {
                Some(function) => {
                    findings.ok(what, format!("for tokens, the pool calls {function}"));
                }
                None => findings.fail(
                    what,
                    "no token has them: the pool has no PreTokenGeneration trigger",
                ),
            }
        }
    }
}

/// The issuer that new tokens of the pool name; `None` if unknown or an emulator's.
pub(super) fn check_issuer(
    findings: &mut Findings,
    admin: &AdminConfig,
    pool: &PoolId,
    settings: &Result<JsonObject, SettingsError>,
) -> Option<String> {
    let what = "issuer";
    if !admin.issuers.is_empty() {
        let issuers = admin.issuers_of(pool).join(" or ");
        findings.ok(what, format!("{issuers}, an emulator (admin.issuer)"));
        return None;
    }
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            findings.failure(what, &error.failure);
            return None;
        }
    };
    let name = settings
        .get("IssuerConfiguration")
        .and_then(|configuration| configuration.get("Type"))
        .and_then(Value::as_str)
        .unwrap_or(IssuerType::Original.name());
    let Some(kind) = IssuerType::from_name(name) else {
        let detail =
            format!("{name} is a type that this version does not know: its tokens may be refused");
        findings.skip(what, detail);
        return None;
    };
    let Some(issuer) = kind.issuer_of(pool) else {
        let detail = "the pool's id begins with no Region of AWS: for an emulator, set \
                      admin.issuer";
        findings.skip(what, detail);
        return None;
    };
    let detail = format!("{issuer} ({name}); tokens of its other issuer are accepted as well");
    findings.ok(what, detail);
    Some(issuer)
}

/// Fetches the keys of each issuer. Those of `own_issuer`, which new tokens name, must be
/// there. If it is unknown, the keys of any issuer suffice.
pub(super) async fn check_issuer_keys(
    findings: &mut Findings,
    admin: &AdminConfig,
    pool: &PoolId,
    own_issuer: Option<String>,
) {
    let what = "keys";
    let Some(jwks_client) = JwksClient::new() else {
        return findings.fail(what, "this build has no HTTP client");
    };
    let (mut fetched, mut failed) = (Vec::new(), Vec::new());
    for issuer in admin.issuers_of(pool) {
        match jwks_client.fetch(&issuer).await {
            Ok(_) => fetched.push(issuer),
            Err(error) => failed.push(format!("{issuer}: {error}")),
        }
    }
    let failed = failed.join("; ");
    let suffices = match own_issuer {
        Some(own_issuer) => fetched.contains(&own_issuer),
        None => !fetched.is_empty(),
    };
    let fetched = fetched.join(" and ");
    match (suffices, failed.as_str()) {
        (false, "") => findings.fail(what, "there is no issuer to fetch them from"),
        (false, failed) => findings.fail(what, failed),
        (true, "") => findings.ok(what, format!("can be fetched from {fetched}")),
        (true, failed) => findings.ok(
            what,
            format!("can be fetched from {fetched}; but not all: {failed}"),
        ),
    }
}
