//! Whether anybody forwards sign-ups, and what the Lambda makes of its settings.

use std::collections::BTreeMap;
use std::path::Path;

use super::Findings;
use crate::attach::{Settings, Slot};
use crate::aws::{Members, Refused};
use crate::cli::Usage;
use crate::config::{Invalid, Layers, Trigger};
use crate::event::PoolId;

/// The Lambda's environment, as `aws lambda get-function-configuration` prints it.
///
/// # Errors
/// When the file cannot be read, or is not an object of texts.
pub(super) fn variables(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
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
    pub(super) fn trigger_settings(
        &mut self,
        variables: BTreeMap<String, String>,
        file: Option<&Path>,
    ) {
        const ACCESS: &str = "access settings of the Lambda";
        const QUEUE: &str = "queue.url of the Lambda";
        let mut layers = Layers::defaults();
        let named = variables.get("USHER_CONFIG").map(String::as_str);
        match (named.filter(|named| !named.is_empty()), file) {
            (None, _) => {}
            (Some(_), Some(file)) => layers = layers.file(file),
            (Some(named), None) => {
                let missing =
                    format!("give the file that USHER_CONFIG names ({named}) with --config");
                self.untested(ACCESS, &missing);
                return self.untested(QUEUE, &missing);
            }
        }
        let Trigger { queue_url, access } = Trigger::from_layers(&layers.environment(variables));
        match queue_url {
            Ok(_) => self.right(QUEUE, "sign-ups are forwarded".to_owned()),
            Err(invalid) => {
                self.wrong(
                    QUEUE,
                    &format!("sign-ups are not forwarded: {}", list(&invalid)),
                );
            }
        }
        match access {
            Ok(_) => self.right(ACCESS, "valid".to_owned()),
            Err(invalid) => self.wrong(
                ACCESS,
                &format!(
                    "mutations, groups in tokens and mails of invitations are switched off: {}",
                    list(&invalid)
                ),
            ),
        }
    }

    /// Which function is the pool's trigger. Whether it is usher's, its ARN does not tell.
    pub(super) fn trigger(&mut self, pool: &PoolId, settings: &Result<Members, Refused>) {
        let what = format!("PostConfirmation trigger of {pool}");
        let settings = match settings {
            Ok(pool) => Settings {
                pool: pool.clone(),
                ..Settings::default()
            },
            Err(refused) => return self.unknown(&what, &refused.failure),
        };
        match Slot::PostConfirmation.function(&settings.triggers()) {
            Some(function) => self.right(&what, function.to_owned()),
            // Something else may feed the queue.
            None => self.untested(&what, "none: usher attach sets it"),
        }
    }
}

/// In one line.
fn list(Invalid(violations): &Invalid) -> String {
    let texts: Vec<String> = violations.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
