//! `usher load compare`

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::{CommandStatus, Global};
use crate::load::{Comparison, LoadReport};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher load run --count 300 --output json > today.json
  usher load compare yesterday.json today.json")]
pub(super) struct Options {
    /// Report of the first run, as "load run --output json" prints it
    #[arg(value_name = "A.json")]
    a: PathBuf,
    /// Report of the second run
    #[arg(value_name = "B.json")]
    b: PathBuf,
}

pub(super) fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let comparison = Comparison::new(&read(&options.a)?, &read(&options.b)?);
    global.output.print(&comparison, || comparison.text())?;
    Ok(CommandStatus::Success)
}

fn read(path: &Path) -> anyhow::Result<LoadReport> {
    let name = path.display();
    let text = std::fs::read(path).with_context(|| name.to_string())?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{name} is not a report of usher load run --output json"))
}
