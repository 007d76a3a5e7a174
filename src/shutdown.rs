//! Signals: the only place that listens to them.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT; the second cancels
/// `at_once`. Must be called within a Tokio runtime.
///
/// # Errors
/// When the process may not install signal handlers.
pub(crate) fn on_signal(at_once: &CancellationToken) -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let tokens = [stop.clone(), at_once.clone()];
    tokio::spawn(async move {
        for token in tokens {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            token.cancel();
            tracing::info!(signal = name, "told to stop");
        }
    });
    Ok(stop)
}
