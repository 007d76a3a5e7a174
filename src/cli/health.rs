//! `usher health`

use super::{CommandStatus, Global};
use crate::http::{Probe, own_server};

pub(super) async fn run(global: &Global) -> anyhow::Result<CommandStatus> {
    let listen = global.config(&[])?.http.listen;
    let server = own_server(listen).map_err(anyhow::Error::msg)?;
    let probe = Probe::run(&server).await?;
    global.output.print(&probe, || {
        if probe.healthy {
            format!("healthy ({})", server.host())
        } else {
            probe.text.clone()
        }
    })?;
    Ok(CommandStatus::success_if(probe.healthy))
}
