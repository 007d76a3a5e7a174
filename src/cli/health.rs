//! `usher health`

use super::{Ended, Global, print};
use crate::http::Probe;

pub(super) async fn run(global: &Global) -> anyhow::Result<Ended> {
    let listen = global
        .config()?
        .http
        .ok_or_else(|| anyhow::anyhow!("http.listen is empty: there is no server to ask"))?;
    let probe = Probe::of(listen).await?;
    print(&format!("{}\n", probe.text))?;
    Ok(if probe.healthy {
        Ended::Well
    } else {
        Ended::Badly
    })
}
