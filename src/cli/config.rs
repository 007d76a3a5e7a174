//! `usher config`

use std::fmt::Write;

use serde::Serialize;

use super::{CommandStatus, Global, Output, print, print_json};
use crate::config::{Config, redact};

#[derive(Serialize)]
struct SettingLine<'a> {
    key: &'a str,
    value: toml::Value,
    source: String,
}

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
    match global.output {
        Output::Json => print_json(&lines)?,
        Output::Text => print(&table(&lines)?)?,
    }
    // The values are printed before they are checked, so that an error is easier to locate.
    Config::from_layers(&layers)?;
    Ok(CommandStatus::Success)
}

/// Long values overflow their column and do not widen it.
fn table(lines: &[SettingLine<'_>]) -> Result<String, std::fmt::Error> {
    const MAX_VALUE_WIDTH: usize = 40;
    let values: Vec<String> = lines.iter().map(|line| line.value.to_string()).collect();
    let keys = lines
        .iter()
        .map(|line| line.key.len())
        .max()
        .unwrap_or_default();
    let widths = values
        .iter()
        .map(String::len)
        .filter(|width| *width <= MAX_VALUE_WIDTH);
    let width = widths.max().unwrap_or_default();
    let mut text = String::new();
    for (SettingLine { key, source, .. }, value) in lines.iter().zip(&values) {
        writeln!(text, "{key:keys$}  {value:width$}  {source}")?;
    }
    Ok(text)
}
