//! `usher config`

use serde::Serialize;
use toml::Value;

use super::{CommandStatus, Global, Output, print, table};
use crate::config::{Config, Layers, redact};

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

#[derive(Serialize)]
struct SettingLine<'a> {
    key: &'a str,
    source: String,
    value: Value,
}

pub(super) fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let layers = global.layers();
    let defaults = Layers::defaults();
    let settings = layers.settings().zip(defaults.settings());
    let lines: Vec<SettingLine<'_>> = settings
        .filter(|((_, setting), _)| !options.changed || !setting.source.is_default())
        .map(|((key, setting), (_, default))| SettingLine {
            key,
            source: setting.source.to_string(),
            value: redact(key, &with_type_of(&default.value, &setting.value)),
        })
        .collect();
    match global.output {
        Output::Text => {
            let rows: Vec<_> = lines.iter().map(SettingLine::cells).collect();
            print(&table(&rows, usize::MAX))?;
        }
        Output::Json => {
            for line in &lines {
                print(&serde_json::to_string(line)?)?;
            }
        }
    }
    // The values are printed before they are checked, so that an error is easier to locate.
    Config::from_layers(&layers)?;
    Ok(CommandStatus::Success)
}

impl SettingLine<'_> {
    /// The value comes last, since it may be long.
    fn cells(&self) -> [String; 3] {
        [
            self.key.to_owned(),
            self.source.clone(),
            self.value.to_string(),
        ]
    }
}

/// The value of a variable or flag, which is text, as a file would hold it.
fn with_type_of(default: &Value, value: &Value) -> Value {
    let Value::String(text) = value else {
        return value.clone();
    };
    let typed = match default {
        Value::Array(_) => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Some(Value::Array(
                items.map(|item| Value::String(item.to_owned())).collect(),
            ))
        }
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Float(_) => text.parse().ok().map(Value::Float),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        _ => None,
    };
    typed.unwrap_or_else(|| value.clone())
}
