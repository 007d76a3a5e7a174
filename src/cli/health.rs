//! `usher health`

use super::{CommandStatus, Global, Output, print, print_json};
use crate::http::Probe;

pub(super) async fn run(global: &Global) -> anyhow::Result<CommandStatus> {
    let listen = global
        .config()?
        .http
        .listen
        .ok_or_else(|| anyhow::anyhow!("http.listen is empty: there is no server to ask"))?;
    let probe = Probe::run(listen).await?;
    match global.output {
        Output::Json => print_json(&probe)?,
        Output::Text => print(&format!("{}\n", probe.text))?,
    }
    Ok(if probe.healthy {
        CommandStatus::Success
    } else {
        CommandStatus::Failure
    })
}
