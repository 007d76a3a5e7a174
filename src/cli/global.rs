//! The options that every command takes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{ColorChoice, ValueEnum};

use super::output::Output;
use crate::config::{Config, InvalidConfig, Layers, Required, allows_colors};
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
    /// Color help, reports and log lines; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(super) color: ColorChoice,
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

/// Whether text for a stream is colored.
pub(super) fn has_colors(choice: ColorChoice, is_terminal: bool) -> bool {
    match choice {
        ColorChoice::Auto => is_terminal && allows_colors(),
        ColorChoice::Always => true,
        ColorChoice::Never => false,
    }
}

/// The value of `--color` among arguments that clap answers with help or version: it gives none
/// of their values then.
pub(super) fn color_among(arguments: impl IntoIterator<Item = OsString>) -> ColorChoice {
    let mut arguments = arguments.into_iter().map(OsString::into_string);
    let mut choice = ColorChoice::Auto;
    while let Some(argument) = arguments.next() {
        let argument = argument.unwrap_or_default();
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.next().and_then(Result::ok),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        if let Some(Ok(value)) = value.map(|value| value.parse()) {
            choice = value;
        }
    }
    choice
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_and_never_do_not_ask_the_terminal() {
        for is_terminal in [false, true] {
            assert!(has_colors(ColorChoice::Always, is_terminal));
            assert!(!has_colors(ColorChoice::Never, is_terminal));
        }
        assert!(!has_colors(ColorChoice::Auto, false));
    }

    #[test]
    fn color_is_read_before_help_is_printed() {
        for (line, expected) in [
            ("usher --help", ColorChoice::Auto),
            ("usher --color always --help", ColorChoice::Always),
            ("usher check --help --color=never", ColorChoice::Never),
            ("usher --color always --color=never -h", ColorChoice::Never),
            ("usher --help --color", ColorChoice::Auto),
            ("usher --help --colors=never", ColorChoice::Auto),
        ] {
            let arguments = line.split(' ').map(OsString::from);
            assert_eq!(color_among(arguments), expected, "{line}");
        }
    }
}
