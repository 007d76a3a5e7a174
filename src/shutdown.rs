//! Handles SIGTERM and SIGINT; no other code listens to signals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Requests an exit at once, at the second signal.
#[derive(Debug, Clone, Default)]
pub(crate) struct ForceExit {
    requested: CancellationToken,
    signal: Arc<AtomicU8>,
}

impl ForceExit {
    /// Waits for the second signal. Returns the exit status of a process that it kills: 130
    /// for SIGINT, 143 for SIGTERM.
    pub(crate) async fn requested(&self) -> u8 {
        self.requested.cancelled().await;
        128 + self.signal.load(Ordering::Relaxed)
    }
}

/// Returns a token that the first SIGTERM or SIGINT cancels; the second requests `force_exit`.
/// Must be called within a Tokio runtime.
///
/// # Errors
/// When the process may not install signal handlers.
pub(crate) fn on_signal(force_exit: &ForceExit) -> std::io::Result<CancellationToken> {
    let [terminate_kind, interrupt_kind] = [SignalKind::terminate(), SignalKind::interrupt()];
    let mut terminate = signal(terminate_kind)?;
    let mut interrupt = signal(interrupt_kind)?;
    let stop = CancellationToken::new();
    let (first, force_exit) = (stop.clone(), force_exit.clone());
    tokio::spawn(async move {
        for token in [first, force_exit.requested] {
            let (name, kind) = tokio::select! {
                _ = terminate.recv() => ("SIGTERM", terminate_kind),
                _ = interrupt.recv() => ("SIGINT", interrupt_kind),
            };
            let number = u8::try_from(kind.as_raw_value()).unwrap_or_default();
            force_exit.signal.store(number, Ordering::Relaxed);
            token.cancel();
            tracing::info!(
                signal = name,
                "stop signal received: finishing what is in progress; a second signal stops at once",
            );
        }
    });
    Ok(stop)
}
