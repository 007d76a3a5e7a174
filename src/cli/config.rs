//! `usher config`

use serde::Serialize;

use super::{Ended, Global, Output, print_json};
use crate::config::{Config, shown};

#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    value: String,
    source: String,
}

pub(super) fn run(global: &Global) -> anyhow::Result<Ended> {
    let layers = global.layers();
    let lines: Vec<Line<'_>> = layers
        .settings()
        .map(|(key, setting)| Line {
            key,
            value: shown(&setting.value),
            source: setting.source.to_string(),
        })
        .collect();
    match global.output {
        Output::Json => print_json(&lines)?,
        Output::Text => {
            let width = lines
                .iter()
                .map(|line| line.key.len())
                .max()
                .unwrap_or_default();
            let values = lines
                .iter()
                .map(|line| line.value.len())
                .filter(|len| *len <= 40)
                .max();
            let values = values.unwrap_or_default();
            for Line { key, value, source } in &lines {
                println!("{key:width$}  {value:values$}  {source}");
            }
        }
    }
    // Shown first, judged after: what is wrong is easier to find beside it.
    Config::from_layers(&layers)?;
    Ok(Ended::Well)
}
