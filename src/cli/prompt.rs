//! A yes-or-no question on the terminal.

use std::io::Write;

use tokio_util::sync::CancellationToken;

/// Asks on standard error; true only for `y` or `yes`. A stop counts as no.
pub(super) async fn confirm(question: &str, stop: &CancellationToken) -> bool {
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let (answer, answered) = tokio::sync::oneshot::channel();
    // A read of the terminal cannot be cancelled, so it has a thread of its own.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = std::io::stdin().read_line(&mut line);
        let _ = answer.send(line);
    });
    let line = tokio::select! {
        line = answered => line.unwrap_or_default(),
        () = stop.cancelled() => String::new(),
    };
    matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}
