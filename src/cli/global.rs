//! The options that every command takes.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::output::Output;
use crate::config::{Config, InvalidConfig, Layers, Required};
use crate::shutdown::ForceExit;
use crate::telemetry::LogFormat;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Read this configuration file [environment: USHER_CONFIG, or its text in USHER_CONFIG_TOML]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Override one setting of file and environment; repeatable
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Format of results
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    pub(super) output: Output,
    /// Hide progress and all log lines except errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Also show debug log lines, and each dead letter of a dry run
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
    /// Format of log lines [default: text on a terminal, otherwise json]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
    /// Append audit lines to this file instead of standard error
    /// [default on a terminal: usher-audit.jsonl]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) audit_file: Option<PathBuf>,
    #[arg(skip)]
    pub(super) force_exit: ForceExit,
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Text => PossibleValue::new("text"),
            Self::Json => PossibleValue::new("json"),
        })
    }
}

/// A usage error that clap cannot detect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(String);

impl Usage {
    pub(super) fn error(message: impl Into<String>) -> anyhow::Error {
        Self(message.into()).into()
    }
}

/// A setting is empty that this command needs, and that others do without.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct MissingSetting(pub(super) &'static str);

impl Global {
    pub(super) fn layers(&self) -> Layers {
        Layers::defaults()
            .config_file(self.config.as_deref())
            .process_environment()
            .flags(&self.set)
    }

    /// The filter of log lines without `RUST_LOG`; `None`: the default one.
    pub(super) fn log_filter(&self) -> Option<String> {
        if self.quiet {
            Some("error".to_owned())
        } else {
            self.verbose
                .then(|| "warn,aws_config=error,usher=debug".to_owned())
        }
    }

    /// The configuration of a command that needs the `required` settings.
    pub(super) fn config(&self, required: &[Required]) -> Result<Config, InvalidConfig> {
        Config::for_command(&self.layers(), required)
    }
}
