//! `usher health`

use super::{Ended, Global, Output, print, print_json};
use crate::http::Probe;

pub(super) async fn run(global: &Global) -> anyhow::Result<Ended> {
    let listen = global
        .config()?
        .http
        .listen
        .ok_or_else(|| anyhow::anyhow!("http.listen is empty: there is no server to ask"))?;
    let probe = Probe::of(listen).await?;
    match global.output {
        Output::Json => print_json(&probe)?,
        Output::Text => print(&format!("{}\n", probe.text))?,
    }
    Ok(if probe.healthy {
        Ended::Well
    } else {
        Ended::Badly
    })
}
