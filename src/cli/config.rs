//! `usher config`

use std::fmt::Write;

use serde::Serialize;

use super::{Ended, Global, Output, print, print_json};
use crate::config::{Config, redacted};

#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    value: toml::Value,
    source: String,
}

pub(super) fn run(global: &Global) -> anyhow::Result<Ended> {
    let layers = global.layers();
    let lines: Vec<Line<'_>> = layers
        .settings()
        .map(|(key, setting)| Line {
            key,
            value: redacted(key, &setting.value),
            source: setting.source.to_string(),
        })
        .collect();
    match global.output {
        Output::Json => print_json(&lines)?,
        Output::Text => print(&table(&lines)?)?,
    }
    // Shown first, judged after: what is wrong is easier to find beside it.
    Config::from_layers(&layers)?;
    Ok(Ended::Well)
}

/// Long values stand over the edge of their column rather than widen it.
fn table(lines: &[Line<'_>]) -> Result<String, std::fmt::Error> {
    const WIDEST: usize = 40;
    let values: Vec<String> = lines.iter().map(|line| line.value.to_string()).collect();
    let keys = lines
        .iter()
        .map(|line| line.key.len())
        .max()
        .unwrap_or_default();
    let widths = values
        .iter()
        .map(String::len)
        .filter(|width| *width <= WIDEST);
    let width = widths.max().unwrap_or_default();
    let mut text = String::new();
    for (Line { key, source, .. }, value) in lines.iter().zip(&values) {
        writeln!(text, "{key:keys$}  {value:width$}  {source}")?;
    }
    Ok(text)
}
