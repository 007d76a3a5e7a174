//! Handles SIGTERM and SIGINT; no other code listens to signals.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first SIGTERM or SIGINT cancels; the second cancels
/// `force_exit`. Must be called within a Tokio runtime.
///
/// # Errors
/// When the process may not install signal handlers.
pub(crate) fn on_signal(force_exit: &CancellationToken) -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let tokens = [stop.clone(), force_exit.clone()];
    tokio::spawn(async move {
        for token in tokens {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            token.cancel();
            tracing::info!(signal = name, "stop signal received");
        }
    });
    Ok(stop)
}
