//! The text form of the report, for a terminal.

use std::fmt::Write as _;

use super::lines::Lines;
use super::number::{decimal, group_digits, pluralize, rate, seconds};
use super::series::peak;
use super::verdict::LoadVerdict;
use super::{LoadReport, number};

/// More differences would push the figures off the screen.
const MAX_TEXT_DIFFERENCES: usize = 50;

impl LoadReport {
    /// The figures and the verdict as plain lines; the last also ends with a newline.
    pub(crate) fn text(&self) -> String {
        let mut lines = Lines(String::new());
        self.write_header(&mut lines);
        self.write_counts(&mut lines);
        self.write_percentiles(&mut lines);
        self.write_peaks(&mut lines);
        self.write_workers(&mut lines);
        self.write_cleanup(&mut lines);
        self.write_verdict(&mut lines);
        lines.0
    }

    fn write_header(&self, lines: &mut Lines) {
        lines.entry("load test", &self.run);
        lines.entry("pool", &self.pool);
        lines.entry("seed", &self.seed.to_string());
        let began = self.began.strftime("%Y-%m-%d %H:%M:%S UTC");
        let took = seconds(self.seconds);
        lines.entry("began", &format!("{began}, took {took}"));
        lines.blank_line();
    }

    fn write_counts(&self, lines: &mut Lines) {
        lines.entry("planned", &self.planned.describe());
        let injected = &self.injected;
        let mut text = format!(
            "{} in {}: {}",
            pluralize(injected.messages, "message"),
            seconds(injected.seconds),
            rate(injected.per_second),
        );
        if injected.not_sent > 0 {
            let _ = write!(text, "; {} not sent", group_digits(injected.not_sent));
        }
        lines.entry("injected", &text);
        let finished = &self.finished;
        let text = format!(
            "{} of {} in {}: {}",
            group_digits(finished.sign_ups),
            pluralize(self.planned.sign_ups, "sign-up"),
            seconds(finished.seconds),
            rate(finished.per_second),
        );
        lines.entry("finished", &text);
        lines.blank_line();
    }

    fn write_percentiles(&self, lines: &mut Lines) {
        let values = [
            self.injected.late_ms,
            self.injected.send_ms,
            self.latency_ms,
        ];
        if values.iter().any(Option::is_some) {
            let header = ["p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
            lines.row("", &header);
        }
        lines.quantiles("sent late", self.injected.late_ms, "nothing was sent");
        lines.quantiles("SQS answer", self.injected.send_ms, "no answer came");
        lines.quantiles("latency", self.latency_ms, "no profile record was seen");
        lines.blank_line();
    }

    fn write_peaks(&self, lines: &mut Lines) {
        let deepest = peak(&self.timeline, |sample| sample.visible.map(number::to_f64));
        let text = deepest.map_or_else(
            || "depth not known".to_owned(),
            |(second, depth)| {
                format!(
                    "at most {} waiting{}",
                    decimal(depth, 0),
                    peak_time(depth, second)
                )
            },
        );
        lines.entry("queue", &text);
        let oldest = peak(&self.timeline, |sample| Some(sample.oldest_seconds));
        let text = oldest.map_or_else(
            || "age not known".to_owned(),
            |(second, age)| format!("sign-up waited {}{}", seconds(age), peak_time(age, second)),
        );
        lines.entry("oldest", &text);
    }

    fn write_workers(&self, lines: &mut Lines) {
        let Some(worker) = &self.worker else {
            lines.entry("workers", "not asked");
            return;
        };
        let mut text = format!(
            "{} asked, {} settled",
            group_digits(worker.workers),
            pluralize(worker.messages, "message"),
        );
        if let Some(calls) = worker.calls_per_message {
            let _ = write!(text, ", {} calls each", decimal(calls, 2));
        }
        if worker.unanswered > 0 {
            let _ = write!(
                text,
                "; {} without an answer",
                pluralize(worker.unanswered, "time")
            );
        }
        lines.entry("workers", &text);
        lines.counts("calls", &worker.calls);
        lines.counts("throttled", &worker.throttled);
    }

    fn write_cleanup(&self, lines: &mut Lines) {
        let text = self.cleaned.map_or_else(
            || "nothing was removed".to_owned(),
            |cleaned| cleaned.describe(),
        );
        lines.entry("cleaned", &text);
        lines.blank_line();
    }

    fn write_verdict(&self, lines: &mut Lines) {
        let verdict = self.verdict();
        let LoadVerdict::Differs(all) = verdict else {
            lines.line(&format!("{}: {}", verdict.title(), verdict.describe()));
            return;
        };
        lines.line(&format!("{}: {}", verdict.title(), self.kind_counts()));
        lines.blank_line();
        let shown = self.top_differences(MAX_TEXT_DIFFERENCES);
        let kind = shown
            .iter()
            .map(|difference| difference.kind.label().len())
            .max();
        let who = shown
            .iter()
            .map(|difference| difference.who.chars().count())
            .max();
        // A very long name must not push all details off the screen.
        let (kind, who) = (kind.unwrap_or(0), who.unwrap_or(0).min(60));
        for difference in &shown {
            lines.line(&format!(
                "{:kind$}  {:who$}  {}",
                difference.kind.label(),
                difference.who,
                difference.detail,
            ));
        }
        let hidden = all.saturating_sub(u64::try_from(shown.len()).unwrap_or(all));
        if hidden > 0 {
            lines.line(&format!(
                "and {} more; --output json lists all",
                group_digits(hidden)
            ));
        }
    }
}

/// The time of a peak; empty if the peak is zero.
fn peak_time(peak: f64, second: f64) -> String {
    if peak > 0.0 {
        format!(", {} after the begin", seconds(second))
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use crate::load::report::fixtures;

    #[test]
    fn a_full_report_as_text() {
        assert_eq!(
            fixtures::full().text(),
            "\
load test    lt-7f3a
pool         eu-central-1_Example
seed         42
began        2026-03-01 10:00:00 UTC, took 101.3 s

planned      2,000 sign-ups, 100 duplicates, 20 poison messages, 50 bystanders; 20 s
injected     2,120 messages in 20.1 s: 105.5/s
finished     2,000 of 2,000 sign-ups in 100.4 s: 19.9/s

                  p50       p90       p99     p99.9       max
sent late      5.0 ms    9.0 ms    9.9 ms     10 ms     10 ms
SQS answer      45 ms     81 ms     89 ms     90 ms     91 ms
latency        40.0 s    72.0 s    79.2 s    80.0 s    80.8 s

queue        at most 1,720 waiting, 20 s after the begin
oldest       sign-up waited 80.8 s, 101 s after the begin
workers      2 asked, 2,120 messages settled, 2.83 calls each
calls        cognito AdminAddUserToGroup  4,000
             dynamodb PutItem             2,000
throttled    user_update  31
cleaned      2,050 users, 2,000 profiles, 20 letters, 0 messages; nothing is left

verified: every group, profile record and letter is as it must be
"
        );
    }

    #[test]
    fn an_empty_report_names_the_unknown_figures() {
        assert_eq!(
            fixtures::empty().text(),
            "\
load test    lt-0
pool         eu-central-1_Example
seed         0
began        2026-03-01 10:00:00 UTC, took 0 s

planned      0 sign-ups; 0 s
injected     0 messages in 0 s: 0.0/s
finished     0 of 0 sign-ups in 0 s: 0.0/s

sent late    nothing was sent
SQS answer   no answer came
latency      no profile record was seen

queue        depth not known
oldest       age not known
workers      not asked
cleaned      nothing was removed

not verified: nothing differs, but not everything was looked at
"
        );
    }

    #[test]
    fn differences_are_aligned_and_hidden_ones_are_counted() {
        let text = fixtures::unhealthy().text();
        for line in [
            "61 differences: 60 missing group, 1 wrong reason\n",
            "missing group  lt-7f3a-00000                members\n",
            "wrong reason   <script>alert(\"x\")</script>  'bad' & \u{fffd}[31m\n",
            "and 11 more; --output json lists all\n",
            "; 3 not sent\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert_eq!(text.matches("missing group  ").count(), 49);
    }
}
