//! `usher check`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::target::pool_id;
use super::{CommandStatus, Global, Usage, findings};
use crate::app::Services;
use crate::check::{CONFIGURATION, check_deployment, check_lambda};
use crate::config::Required;
use crate::event::PoolId;
use crate::status::Findings;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher check
  usher check --function-arn ARN --strict
  usher check --trigger-variables variables.json --output json")]
pub(super) struct Options {
    /// User pool to check, beside those of pools.allowed; repeatable
    #[arg(long, value_name = "ID")]
    pool: Vec<String>,
    /// JSON file of the Lambda's environment variables: check them as usher-trigger does
    ///
    /// Write it with: aws lambda get-function-configuration --function-name usher-trigger
    /// --query Environment.Variables. Where USHER_CONFIG is among them, --config is the file
    /// that it names.
    #[arg(long, value_name = "FILE")]
    trigger_variables: Option<PathBuf>,
    /// Warn unless the PostConfirmation trigger is this function
    #[arg(long, value_name = "ARN")]
    function_arn: Option<String>,
    /// Exit with 1 on warnings too
    #[arg(long)]
    strict: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(&[Required::Queue, Required::Profiles])?;
    let variables = options.trigger_variables.as_deref();
    let variables = variables.map(read_variables).transpose()?;
    let mut pools: Vec<PoolId> = config.pools.allowed.iter().cloned().collect();
    for id in &options.pool {
        pools.push(pool_id(id)?);
    }
    let mut findings = Findings::default();
    match Services::from_environment(config).await {
        Ok(services) => {
            let function_arn = options.function_arn.as_deref();
            check_deployment(&mut findings, &services, &pools, function_arn).await?;
        }
        Err(no_region) => {
            findings.section(CONFIGURATION);
            findings.fail("configuration", no_region.to_string());
            findings.skip_others("need a Region");
        }
    }
    if let Some(variables) = variables {
        findings.section("Trigger");
        check_lambda(&mut findings, variables, global.config.as_deref());
    }
    findings::print(global, &findings.into_report(), options.strict)
}

/// The Lambda's environment, as `aws lambda get-function-configuration` prints it.
///
/// # Errors
/// When the file cannot be read, or is not an object of strings.
fn read_variables(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let usage_error = |why: &dyn std::fmt::Display| {
        Usage::error(format!("--trigger-variables {}: {why}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| usage_error(&error))?;
    // The parser's error text may contain a value.
    serde_json::from_str(&text).map_err(|_| {
        usage_error(&"must be a JSON object of variables, such as {\"NAME\": \"value\"}")
    })
}
