//! `usher config`

use serde::Serialize;

use super::{CommandStatus, Global, table};
use crate::config::{Config, redact};

#[derive(Serialize)]
struct SettingLine<'a> {
    key: &'a str,
    value: toml::Value,
    source: String,
}

/// Longer values overflow their column.
const MAX_VALUE_WIDTH: usize = 40;

pub(super) fn run(global: &Global) -> anyhow::Result<CommandStatus> {
    let layers = global.layers();
    let lines: Vec<SettingLine<'_>> = layers
        .settings()
        .map(|(key, setting)| SettingLine {
            key,
            value: redact(key, &setting.value),
            source: setting.source.to_string(),
        })
        .collect();
    global.output.print(&lines, || {
        let rows = lines.iter().map(SettingLine::cells);
        table(&rows.collect::<Vec<_>>(), MAX_VALUE_WIDTH)
    })?;
    // The values are printed before they are checked, so that an error is easier to locate.
    Config::from_layers(&layers)?;
    Ok(CommandStatus::Success)
}

impl SettingLine<'_> {
    fn cells(&self) -> [String; 3] {
        [
            self.key.to_owned(),
            self.value.to_string(),
            self.source.clone(),
        ]
    }
}
