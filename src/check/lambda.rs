//! The settings of the Lambda.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use crate::config::{InvalidConfig, Layers, TriggerConfig};
use crate::status::Findings;

/// Reads these variables and the file of the Lambda's archive as `usher-trigger` does.
pub(crate) fn check(
    findings: &mut Findings,
    variables: BTreeMap<String, String>,
    file: Option<&Path>,
) {
    const ACCESS_SETTINGS: &str = "access settings of the Lambda";
    const QUEUE_URL: &str = "queue.url of the Lambda";
    let config_file = variables.get("USHER_CONFIG").map(String::as_str);
    let config_file = config_file.filter(|name| !name.is_empty());
    if let (Some(config_file), None) = (config_file, file) {
        let missing =
            format!("give the file that USHER_CONFIG names ({config_file}) with --config");
        findings.skip(ACCESS_SETTINGS, &missing);
        return findings.skip(QUEUE_URL, &missing);
    }
    let text = variables.get("USHER_CONFIG_TOML").map(OsStr::new);
    let layers = Layers::defaults()
        .file_or_text(config_file.and(file), text)
        .environment(variables);
    let TriggerConfig { queue_url, access } = TriggerConfig::from_layers(&layers);
    match queue_url {
        Ok(_) => findings.ok(QUEUE_URL, "sign-ups are forwarded"),
        Err(invalid) => findings.fail(
            QUEUE_URL,
            format!("sign-ups are not forwarded: {}", join_violations(&invalid)),
        ),
    }
    match access {
        Ok(_) => findings.ok(ACCESS_SETTINGS, "valid"),
        Err(invalid) => findings.fail(
            ACCESS_SETTINGS,
            format!(
                "mutations, groups in tokens, invitation mails and the queueing of sign-ins are \
                 switched off: {}",
                join_violations(&invalid)
            ),
        ),
    }
}

fn join_violations(InvalidConfig(violations): &InvalidConfig) -> String {
    let texts: Vec<String> = violations.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
