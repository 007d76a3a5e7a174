//! What a command shows: results on standard output; status lines, progress bars, log lines and
//! questions on standard error.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// The format of results on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
}

/// How a command ended that returned no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandStatus {
    Success,
    /// The work failed, or a verification found a difference.
    Failure,
}

impl CommandStatus {
    pub(super) fn success_if(condition: bool) -> Self {
        if condition {
            Self::Success
        } else {
            Self::Failure
        }
    }
}

/// Drawn on standard error, and only when it is a terminal. All output of a command is written
/// while they are cleared.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
static QUIET: AtomicBool = AtomicBool::new(false);
/// Time between two lines about the progress where no terminal shows a bar.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

impl Output {
    /// Prints a result: as text, or as indented JSON.
    pub(super) fn print(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        match self {
            Self::Json => print_json(value),
            Self::Text => print(&text()),
        }
    }

    /// Prints one of several results: as text, or as JSON in one line.
    pub(super) fn print_line(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        match self {
            Self::Json => print(&serde_json::to_string(value)?),
            Self::Text => print(&text()),
        }
    }

    /// Prints a line about the results: after them as text, on standard error beside JSON.
    pub(super) fn print_summary(self, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Json => status_line(text),
            Self::Text => print(text)?,
        }
        Ok(())
    }
}

pub(super) fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Writes a result, and a line feed if it does not end with one. A closed pipe (`| head`) is
/// not an error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    print_unless_closed(text).map(|_| ())
}

/// Like [`print`]; false after the pipe was closed.
pub(super) fn print_unless_closed(text: &str) -> anyhow::Result<bool> {
    let line_feed = if text.ends_with('\n') { "" } else { "\n" };
    let mut out = io::stdout().lock();
    match BARS.suspend(|| write!(out, "{text}{line_feed}").and_then(|()| out.flush())) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => Ok(result.map(|()| true)?),
    }
}

/// Lines with their cells in columns, two spaces apart. A cell that is longer than `max_width`
/// overflows its column and does not widen it.
pub(super) fn table<const N: usize>(rows: &[[String; N]], max_width: usize) -> String {
    let width_of = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.filter(|width| *width <= max_width).max()
    };
    let widths: [usize; N] = std::array::from_fn(|column| width_of(column).unwrap_or_default());
    let mut text = String::new();
    for cells in rows {
        let mut widths = widths;
        widths[N - 1] = 0;
        let _ = writeln!(
            text,
            "{}",
            row(cells.each_ref().map(String::as_str), widths)
        );
    }
    text
}

/// One row of a table whose rows are printed one by one: each cell has the width of its column.
pub(super) fn row<const N: usize>(cells: [&str; N], widths: [usize; N]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.into_iter().zip(widths) {
        let _ = write!(text, "{cell:width$}  ");
    }
    text.trim_end().to_owned()
}

/// The width of a column with these cells.
pub(super) fn width_of<'a>(cells: impl IntoIterator<Item = &'a str>) -> usize {
    let widths = cells.into_iter().map(|cell| cell.chars().count());
    widths.max().unwrap_or_default()
}

/// A time as every text shows it.
pub(super) fn time(time: jiff::Timestamp) -> String {
    time.strftime("%F %H:%M UTC").to_string()
}

/// The progress of a command: a bar on a terminal, a line every [`PROGRESS_INTERVAL`] elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Progress(ProgressBar);

/// With the rate and, if `total` is known and not 0, the time left.
pub(super) fn progress_bar(total: Option<u64>, label: &'static str) -> Progress {
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
    if is_quiet() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        return Progress(bar);
    }
    let bar = BARS.add(bar);
    bar.enable_steady_tick(Duration::from_millis(200));
    let progress = Progress(bar);
    if !io::stderr().is_terminal() {
        tokio::spawn(progress.clone().print_lines());
    }
    progress
}

impl Progress {
    pub(super) fn inc(&self, count: u64) {
        self.set_position(self.0.position() + count);
    }

    pub(super) fn set_position(&self, position: u64) {
        // Rate and time left are those of the work, not of the time before it.
        if self.0.position() == 0 && position > 0 {
            self.0.reset_elapsed();
            self.0.reset_eta();
        }
        self.0.set_position(position);
    }

    pub(super) fn set_message(&self, message: impl Into<Cow<'static, str>>) {
        self.0.set_message(message);
    }

    pub(super) fn finish_and_clear(&self) {
        self.0.finish_and_clear();
    }

    async fn print_lines(self) {
        loop {
            tokio::time::sleep(PROGRESS_INTERVAL).await;
            if self.0.is_finished() {
                return;
            }
            status_line(&self.text());
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {}", self.0.prefix(), self.0.position());
        if let Some(total) = self.0.length() {
            let _ = write!(text, " of {total}");
        }
        let message = self.0.message();
        if !message.is_empty() {
            let _ = write!(text, ", {message}");
        }
        text
    }
}

/// Hides progress.
pub(super) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a line to standard error.
pub(super) fn status_line(text: &str) {
    // If standard error is closed, only the line is lost.
    let _ = BARS.suspend(|| writeln!(io::stderr(), "{text}"));
}

/// Standard error for log lines.
pub(super) struct StderrWriter;

impl Write for StderrWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Asks on standard error; true only for `y` or `yes`. A stop counts as no.
pub(super) async fn confirm(question: &str, stop: &CancellationToken) -> bool {
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let (answer, answered) = tokio::sync::oneshot::channel();
    // A read of the terminal cannot be cancelled, so it has a thread of its own.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().read_line(&mut line);
        let _ = answer.send(line);
    });
    let line = tokio::select! {
        line = answered => line.unwrap_or_default(),
        () = stop.cancelled() => String::new(),
    };
    matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_bar_begins_with_its_work() {
        let waited = Duration::from_secs(100);
        let bar = || ProgressBar::hidden().with_elapsed(waited);
        let progress = Progress(bar());
        progress.set_position(0);
        assert!(progress.0.elapsed() >= waited);
        progress.set_position(1);
        assert!(progress.0.elapsed() < waited);
        let progress = Progress(bar().with_position(1));
        progress.inc(1);
        assert!(progress.0.elapsed() >= waited);
    }

    #[test]
    fn progress_in_words_has_position_total_and_message() {
        let bar = ProgressBar::hidden().with_prefix("verified");
        let progress = Progress(bar);
        progress.set_position(3);
        assert_eq!(progress.text(), "verified: 3");
        progress.0.set_length(10);
        progress.set_message("2 left");
        assert_eq!(progress.text(), "verified: 3 of 10, 2 left");
    }

    #[test]
    fn a_long_cell_overflows_its_column() {
        let rows = [["a", "b", "c"], ["long", "too long", "d"], ["x", "yz", "e"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let expected = "a     b   c\nlong  too long  d\nx     yz  e\n";
        assert_eq!(table(&rows, 4), expected);
        let cells = ["added", "STAFF", "ada", ""];
        let width = width_of(["STAFF", "TEAM-A"]);
        assert_eq!(row(cells, [7, width, 0, 0]), "added    STAFF   ada");
    }
}
