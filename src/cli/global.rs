//! The options that every command takes.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use tokio_util::sync::CancellationToken;

use super::output::Output;
use crate::config::{Config, InvalidConfig, Layers, Required, file_from_environment};
use crate::telemetry::LogFormat;

#[derive(Debug, clap::Args)]
pub(super) struct Global {
    /// Configuration file [environment: `USHER_CONFIG`]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Sets one key over file and environment; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
    /// How log lines look; text on a terminal, JSON otherwise
    #[arg(long, global = true, value_enum)]
    pub(super) log_format: Option<LogFormat>,
    /// Cancelled by the second signal.
    #[arg(skip)]
    pub(super) force_exit: CancellationToken,
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Text => PossibleValue::new("text").help("For people"),
            Self::Json => PossibleValue::new("json").help("One JSON object a line"),
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

impl Global {
    pub(super) fn layers(&self) -> Layers {
        let mut layers = Layers::defaults();
        if let Some(file) = self.config.clone().or_else(file_from_environment) {
            layers = layers.file(&file);
        }
        layers.process_environment().flags(&self.set)
    }

    /// The configuration of a command that needs what is `required`.
    pub(super) fn config(&self, required: &[Required]) -> Result<Config, InvalidConfig> {
        Config::for_command(&self.layers(), required)
    }
}
