//! `usher health`

use super::{CommandStatus, Global};
use crate::http::Probe;

pub(super) async fn run(global: &Global) -> anyhow::Result<CommandStatus> {
    let listen = global
        .config(&[])?
        .http
        .listen
        .ok_or_else(|| anyhow::anyhow!("http.listen is empty: there is no server to ask"))?;
    let probe = Probe::run(listen).await?;
    global.output.print(&probe, || {
        if probe.healthy {
            format!("healthy ({listen})")
        } else {
            probe.text.clone()
        }
    })?;
    Ok(CommandStatus::success_if(probe.healthy))
}
