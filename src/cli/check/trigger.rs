//! The trigger of a user pool, and the settings of the Lambda.

use std::collections::BTreeMap;
use std::path::Path;

use super::Findings;
use crate::attach::{TriggerKind, UserPoolSettings};
use crate::aws::{JsonObject, SettingsError};
use crate::cli::Usage;
use crate::config::{InvalidConfig, Layers, TriggerConfig};
use crate::event::PoolId;

/// The Lambda's environment, as `aws lambda get-function-configuration` prints it.
///
/// # Errors
/// When the file cannot be read, or is not an object of strings.
pub(super) fn read_variables(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let usage_error = |why: &dyn std::fmt::Display| {
        Usage::error(format!("--trigger-variables {}: {why}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| usage_error(&error))?;
    // The parser's error text may contain a value.
    serde_json::from_str(&text).map_err(|_| {
        usage_error(&"must be a JSON object of variables, such as {\"NAME\": \"value\"}")
    })
}

impl Findings {
    /// Reads these variables and the file of the Lambda's archive as `usher-trigger` does.
    pub(super) fn check_trigger_settings(
        &mut self,
        variables: BTreeMap<String, String>,
        file: Option<&Path>,
    ) {
        const ACCESS_SETTINGS: &str = "access settings of the Lambda";
        const QUEUE_URL: &str = "queue.url of the Lambda";
        let mut layers = Layers::defaults();
        let config_file = variables.get("USHER_CONFIG").map(String::as_str);
        match (
            config_file.filter(|config_file| !config_file.is_empty()),
            file,
        ) {
            (None, _) => {}
            (Some(_), Some(file)) => layers = layers.file(file),
            (Some(config_file), None) => {
                let missing =
                    format!("give the file that USHER_CONFIG names ({config_file}) with --config");
                self.add_untested(ACCESS_SETTINGS, &missing);
                return self.add_untested(QUEUE_URL, &missing);
            }
        }
        let TriggerConfig { queue_url, access } =
            TriggerConfig::from_layers(&layers.environment(variables));
        match queue_url {
            Ok(_) => self.add_right(QUEUE_URL, "sign-ups are forwarded".to_owned()),
            Err(invalid) => {
                self.add_wrong(
                    QUEUE_URL,
                    &format!("sign-ups are not forwarded: {}", join_violations(&invalid)),
                );
            }
        }
        match access {
            Ok(_) => self.add_right(ACCESS_SETTINGS, "valid".to_owned()),
            Err(invalid) => self.add_wrong(
                ACCESS_SETTINGS,
                &format!(
                    "mutations, groups in tokens and mails of invitations are switched off: {}",
                    join_violations(&invalid)
                ),
            ),
        }
    }

    /// Reports the function of the pool's trigger. Its ARN does not show whether it is usher's.
    pub(super) fn check_trigger(
        &mut self,
        pool: &PoolId,
        settings: &Result<JsonObject, SettingsError>,
    ) {
        let what = format!("PostConfirmation trigger of {pool}");
        let settings = match settings {
            Ok(pool) => UserPoolSettings {
                pool: pool.clone(),
                ..UserPoolSettings::default()
            },
            Err(error) => return self.add_failure(&what, &error.failure),
        };
        match TriggerKind::PostConfirmation.function(&settings.triggers()) {
            Some(function) => self.add_right(&what, function.to_owned()),
            // Another source may send to the queue.
            None => self.add_untested(&what, "none: usher attach sets it"),
        }
    }
}

fn join_violations(InvalidConfig(violations): &InvalidConfig) -> String {
    let texts: Vec<String> = violations.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
