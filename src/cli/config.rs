//! `usher config`

use super::{CommandStatus, Global, Output, print, table};
use crate::config::{Config, EffectiveSetting};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher config
  usher config --changed
  usher config --config usher.toml --output json")]
pub(super) struct Options {
    /// Show only settings that a file, the environment or --set gives
    #[arg(long)]
    changed: bool,
}

pub(super) fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let layers = global.layers();
    let mut settings = layers.effective();
    settings.retain(|setting| !options.changed || !setting.is_default);
    match global.output {
        Output::Text => {
            let rows: Vec<_> = settings.iter().map(cells).collect();
            print(&table(&rows, usize::MAX))?;
        }
        Output::Json => {
            for setting in &settings {
                print(&serde_json::to_string(setting)?)?;
            }
        }
    }
    // The values are printed before they are checked, so that an error is easier to locate.
    Config::from_layers(&layers)?;
    Ok(CommandStatus::Success)
}

/// The value comes last, since it may be long.
fn cells(setting: &EffectiveSetting) -> [String; 3] {
    [
        setting.key.clone(),
        setting.source.clone(),
        setting.value.to_string(),
    ]
}
