//! Progress bars on a terminal, and log lines above them.

use std::fmt;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// Drawn on standard error, and only when it is a terminal.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A bar with its rate and, if `total` is known and not 0, the time left.
pub(crate) fn progress_bar(total: Option<u64>, label: &'static str) -> ProgressBar {
    let total = total.filter(|total| *total > 0);
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    let template = if total.is_some() {
        "{prefix} [{wide_bar}] {human_pos}/{human_len}  {rate}  {eta} left  {msg}"
    } else {
        "{spinner} {prefix} {human_pos}  {rate}  {elapsed}  {msg}"
    };
    let style = ProgressStyle::with_template(template).map(|style| {
        style.with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = write!(out, "{:.1}/s", state.per_sec());
        })
    });
    let bar = bar
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(label);
    let bar = BARS.add(bar);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Prints a line to standard error, above the bars.
pub(crate) fn status_line(text: &str) {
    BARS.suspend(|| {
        // If standard error is closed, only the line is lost.
        let _ = writeln!(io::stderr(), "{text}");
    });
}

/// Writes to standard error, above the bars.
pub(super) struct StderrWriter;

impl Write for StderrWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for StderrWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}
