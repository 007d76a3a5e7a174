//! The trigger of a user pool.

use super::findings::Findings;
use crate::attach::{TriggerKind, UserPoolSettings};
use crate::aws::{JsonObject, SettingsError};
use crate::event::PoolId;

pub(super) const TRIGGER: &str = "trigger";

/// Reports the function of a pool's trigger. Nothing in the pool shows whether the function is
/// usher's: it is compared with `expected`, or else its name with the names that usher's templates
/// give.
pub(crate) fn check_trigger(
    findings: &mut Findings,
    pool: &PoolId,
    settings: &Result<JsonObject, SettingsError>,
    expected: Option<&str>,
) {
    let settings = match settings {
        Ok(settings) => UserPoolSettings {
            pool: settings.clone(),
            ..UserPoolSettings::default()
        },
        Err(error) => return findings.failure(TRIGGER, &error.failure),
    };
    let triggers = settings.triggers();
    let Some(function) = TriggerKind::PostConfirmation.function(&triggers) else {
        // Another source may send to the queue.
        let detail = format!("{pool} has no PostConfirmation trigger: sign-ups do not reach usher");
        findings.warn(TRIGGER, detail);
        let attach =
            |function| format!("usher trigger attach --pool {pool} --function-arn {function}");
        return match expected {
            Some(function) => findings.next(attach(function)),
            None => findings.note(format!("attach usher-trigger: {}", attach("ARN"))),
        };
    };
    let detail = format!("PostConfirmation of {pool} calls {function}");
    match expected {
        Some(expected) if function != expected => {
            findings.warn(TRIGGER, format!("{detail}, and not {expected}"));
        }
        None if !function_name(function).contains("usher") => {
            let unknown = "which may not be usher's: compare it with --function-arn";
            findings.warn(TRIGGER, format!("{detail}, {unknown}"));
        }
        _ => findings.ok(TRIGGER, detail),
    }
}

/// The name in the ARN of a function or of its alias.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html>
fn function_name(arn: &str) -> &str {
    arn.split(':').nth(6).unwrap_or(arn)
}
