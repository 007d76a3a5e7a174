//! Whether anybody forwards sign-ups, and what the Lambda makes of its settings.

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
/// When the file cannot be read, or is not an object of texts.
pub(super) fn read_variables(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let named = |why: &dyn std::fmt::Display| {
        Usage::error(format!("--trigger-variables {}: {why}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    // The parser's words may hold a value.
    serde_json::from_str(&text)
        .map_err(|_| named(&"must be a JSON object of variables, such as {\"NAME\": \"value\"}"))
}

impl Findings {
    /// What `usher-trigger` does with these variables, and with the file in its archive.
    pub(super) fn check_trigger_settings(
        &mut self,
        variables: BTreeMap<String, String>,
        file: Option<&Path>,
    ) {
        const ACCESS_SETTINGS: &str = "access settings of the Lambda";
        const QUEUE_URL: &str = "queue.url of the Lambda";
        let mut layers = Layers::defaults();
        let named = variables.get("USHER_CONFIG").map(String::as_str);
        match (named.filter(|named| !named.is_empty()), file) {
            (None, _) => {}
            (Some(_), Some(file)) => layers = layers.file(file),
            (Some(named), None) => {
                let missing =
                    format!("give the file that USHER_CONFIG names ({named}) with --config");
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

    /// Which function is the pool's trigger. Whether it is usher's, its ARN does not tell.
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
            Err(refused) => return self.add_failure(&what, &refused.failure),
        };
        match TriggerKind::PostConfirmation.function(&settings.triggers()) {
            Some(function) => self.add_right(&what, function.to_owned()),
            // Something else may feed the queue.
            None => self.add_untested(&what, "none: usher attach sets it"),
        }
    }
}

/// In one line.
fn join_violations(InvalidConfig(violations): &InvalidConfig) -> String {
    let texts: Vec<String> = violations.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
