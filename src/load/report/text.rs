//! The summary for a terminal.

use std::fmt::Write as _;

use super::lines::Lines;
use super::number::{counted, decimal, grouped, rate, seconds};
use super::series::peak;
use super::verdict::Verdict;
use super::{Report, number};

/// Differences that are written out; more would push the figures off the screen.
const DIFFERENCES: usize = 50;

impl Report {
    /// The figures and the verdict as plain lines, each ended.
    pub fn text(&self) -> String {
        let mut lines = Lines(String::new());
        self.about(&mut lines);
        self.sent_and_finished(&mut lines);
        self.percentiles(&mut lines);
        self.extremes(&mut lines);
        self.workers(&mut lines);
        self.removed(&mut lines);
        self.ending(&mut lines);
        lines.0
    }

    fn about(&self, lines: &mut Lines) {
        lines.entry("load test", &self.run);
        lines.entry("pool", &self.pool);
        lines.entry("seed", &self.seed.to_string());
        let began = self.began.strftime("%Y-%m-%d %H:%M:%S UTC");
        let took = seconds(self.seconds);
        lines.entry("began", &format!("{began}, took {took}"));
        lines.blank();
    }

    fn sent_and_finished(&self, lines: &mut Lines) {
        lines.entry("planned", &self.planned.words());
        let injected = &self.injected;
        let mut words = format!(
            "{} in {}: {}",
            counted(injected.messages, "message"),
            seconds(injected.seconds),
            rate(injected.per_second),
        );
        if injected.not_sent > 0 {
            let _ = write!(words, "; {} not sent", grouped(injected.not_sent));
        }
        lines.entry("injected", &words);
        let finished = &self.finished;
        let words = format!(
            "{} of {} in {}: {}",
            grouped(finished.sign_ups),
            counted(self.planned.sign_ups, "sign-up"),
            seconds(finished.seconds),
            rate(finished.per_second),
        );
        lines.entry("finished", &words);
        lines.blank();
    }

    fn percentiles(&self, lines: &mut Lines) {
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
        lines.blank();
    }

    fn extremes(&self, lines: &mut Lines) {
        let deepest = peak(&self.timeline, |moment| moment.visible.map(number::float));
        let words = deepest.map_or_else(
            || "depth not known".to_owned(),
            |(second, depth)| {
                format!(
                    "at most {} waiting{}",
                    decimal(depth, 0),
                    after(depth, second)
                )
            },
        );
        lines.entry("queue", &words);
        let oldest = peak(&self.timeline, |moment| Some(moment.oldest_seconds));
        let words = oldest.map_or_else(
            || "age not known".to_owned(),
            |(second, age)| format!("sign-up waited {}{}", seconds(age), after(age, second)),
        );
        lines.entry("oldest", &words);
    }

    fn workers(&self, lines: &mut Lines) {
        let Some(worker) = &self.worker else {
            lines.entry("workers", "not asked");
            return;
        };
        let mut words = format!(
            "{} asked, {} settled",
            grouped(worker.workers),
            counted(worker.messages, "message"),
        );
        if let Some(calls) = worker.calls_per_message {
            let _ = write!(words, ", {} calls each", decimal(calls, 2));
        }
        if worker.unanswered > 0 {
            let _ = write!(
                words,
                "; {} without an answer",
                counted(worker.unanswered, "time")
            );
        }
        lines.entry("workers", &words);
        lines.counts("calls", &worker.calls);
        lines.counts("throttled", &worker.throttled);
    }

    fn removed(&self, lines: &mut Lines) {
        let words = self.cleaned.map_or_else(
            || "nothing was removed".to_owned(),
            |cleaned| cleaned.words(),
        );
        lines.entry("cleaned", &words);
        lines.blank();
    }

    fn ending(&self, lines: &mut Lines) {
        let verdict = self.verdict();
        let Verdict::Differs(all) = verdict else {
            lines.line(&format!("{}: {}", verdict.title(), verdict.words()));
            return;
        };
        lines.line(&format!("{}: {}", verdict.title(), self.kinds()));
        lines.blank();
        let shown = self.foremost(DIFFERENCES);
        let kind = shown.iter().map(|one| one.kind.words().len()).max();
        let who = shown.iter().map(|one| one.who.chars().count()).max();
        // A name that is very long does not push all details off the screen.
        let (kind, who) = (kind.unwrap_or(0), who.unwrap_or(0).min(60));
        for one in &shown {
            lines.line(&format!(
                "{:kind$}  {:who$}  {}",
                one.kind.words(),
                one.who,
                one.detail,
            ));
        }
        let hidden = all.saturating_sub(u64::try_from(shown.len()).unwrap_or(all));
        if hidden > 0 {
            lines.line(&format!(
                "and {} more; --output json lists all",
                grouped(hidden)
            ));
        }
    }
}

/// Where a peak stood; nothing is said of a peak that is none.
fn after(peak: f64, second: f64) -> String {
    if peak > 0.0 {
        format!(", {} after the begin", seconds(second))
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use crate::load::report::sample;

    #[test]
    fn a_full_report_is_written_like_this() {
        assert_eq!(
            sample::full().text(),
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
    fn an_empty_report_says_what_is_not_known() {
        assert_eq!(
            sample::empty().text(),
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
    fn differences_are_aligned_and_the_rest_is_counted() {
        let text = sample::unhealthy().text();
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
