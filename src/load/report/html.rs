//! The HTML form of the report: one file without external resources.

use super::markup::escaped;
use super::number::{decimal, group_digits, milliseconds, pluralize, rate, seconds, to_f64};
use super::series::peak;
use super::verdict::LoadVerdict;
use super::{LoadReport, Quantiles};

const REPORT_STYLE: &str = include_str!("style.css");

/// Stands for an unknown figure.
const MISSING_VALUE: &str = "\u{2013}";

impl LoadReport {
    /// The report as one page without scripts and external resources; the
    /// `Content-Security-Policy` in its head forbids both.
    pub(crate) fn html(&self) -> String {
        let run = escaped(&self.run);
        let body = [
            self.heading(),
            self.tiles(),
            format!(
                "<section class=\"plots\"><h2>Over the run</h2>\n{}</section>\n",
                self.timeline_charts()
            ),
            format!(
                "<section class=\"plots pair\"><h2>For the users</h2>\n{}</section>\n",
                self.latency_charts()
            ),
            self.percentiles_table(),
            format!("<div class=\"cards\">{}</div>\n", self.run_tables()),
            self.differences_table(),
        ]
        .concat();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>Load test {run}: {verdict}</title>\n<style>\n{REPORT_STYLE}</style>\n</head>\n\
             <body>\n<main>\n{body}</main>\n</body>\n</html>\n",
            verdict = self.verdict().title(),
        )
    }

    fn heading(&self) -> String {
        let verdict = self.verdict();
        let (class, sign) = match verdict {
            LoadVerdict::Verified => ("good", "\u{2713}"),
            LoadVerdict::Unverified => ("open", "?"),
            LoadVerdict::Differs(_) => ("bad", "\u{2715}"),
        };
        let text = match verdict {
            LoadVerdict::Differs(_) => format!(
                "{}. <a href=\"#differences\">See all</a>",
                escaped(&self.kind_counts())
            ),
            _ => format!("{}.", verdict.describe()),
        };
        format!(
            "<header><p class=\"eyebrow\">usher load test</p><h1>{run}</h1>\
             <p class=\"about\"><span>{pool}</span> <span>{began}</span> \
             <span>took {took}</span></p></header>\n\
             <div class=\"verdict {class}\"><span class=\"sign\" aria-hidden=\"true\">{sign}</span>\
             <p><strong>{title}</strong> <span>{text}</span></p></div>\n",
            run = escaped(&self.run),
            pool = escaped(&self.pool),
            began = self.began.strftime("%Y-%m-%d %H:%M:%S UTC"),
            took = seconds(self.seconds),
            title = verdict.title(),
        )
    }

    fn tiles(&self) -> String {
        let none = || MISSING_VALUE.to_owned();
        let latency = |of: fn(&Quantiles) -> f64| {
            let value = self.latency_ms.as_ref().map(of);
            value.map_or_else(none, milliseconds)
        };
        let deepest = peak(&self.timeline, |at| at.visible.map(to_f64));
        let oldest = peak(&self.timeline, |at| Some(at.oldest_seconds));
        let worker = self.worker.as_ref();
        let each = worker.and_then(|worker| worker.calls_per_message);
        let late = self.injected.late_ms.as_ref();
        let tiles = [
            (
                "Finished",
                group_digits(self.finished.sign_ups),
                format!("of {}", pluralize(self.planned.sign_ups, "sign-up")),
            ),
            (
                "Finish rate",
                rate(self.finished.per_second),
                format!("over {}", seconds(self.finished.seconds)),
            ),
            (
                "Latency p50",
                latency(|latency| latency.p50),
                format!("p90 {}", latency(|latency| latency.p90)),
            ),
            (
                "Latency p99",
                latency(|latency| latency.p99),
                format!("max {}", latency(|latency| latency.max)),
            ),
            (
                "Deepest queue",
                deepest.map_or_else(none, |(_, depth)| decimal(depth, 0)),
                deepest.map_or_else(
                    || "not known".to_owned(),
                    |(second, _)| format!("waiting, after {}", seconds(second)),
                ),
            ),
            (
                "Oldest sign-up",
                oldest.map_or_else(none, |(_, age)| seconds(age)),
                oldest.map_or_else(
                    || "not known".to_owned(),
                    |(second, _)| format!("after {}", seconds(second)),
                ),
            ),
            (
                "Calls a message",
                each.map_or_else(none, |calls| decimal(calls, 2)),
                worker.map_or_else(
                    || "workers not asked".to_owned(),
                    |worker| {
                        let throttled: u64 = worker.throttled.values().sum();
                        format!("{} throttled", group_digits(throttled))
                    },
                ),
            ),
            (
                "Sent late p99",
                late.map_or_else(none, |late| milliseconds(late.p99)),
                format!("{} not sent", group_digits(self.injected.not_sent)),
            ),
        ];
        let tiles = tiles.map(|(name, value, more)| {
            format!(
                "<div><dt>{name}</dt><dd><b>{}</b> <span>{}</span></dd></div>",
                escaped(&value),
                escaped(&more)
            )
        });
        format!("<dl class=\"tiles\">{}</dl>\n", tiles.concat())
    }
}

#[cfg(test)]
mod tests {
    use crate::load::report::{Sample, fixtures};

    /// Checks that elements are closed in order and that all attributes are closed.
    fn assert_well_formed(page: &str) {
        let body = page.split_once("</head>").expect("a head").1;
        let mut open = vec!["html"];
        for tag in body.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("the end of a tag");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            assert!(!tag.contains(" on"), "{tag}");
            let name = tag.split_whitespace().next().expect("a name");
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn the_page_has_no_external_resources() {
        for report in [fixtures::full(), fixtures::unhealthy(), fixtures::empty()] {
            let page = report.html();
            for outside in [
                "http:", "https:", "//", "src=", "url(", "@import", "<script", "<link", "style=",
            ] {
                assert!(!page.contains(outside), "{outside}");
            }
            assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'"));
            assert!(!page.contains("NaN") && !page.contains("inf "));
            assert_well_formed(&page);
        }
    }

    #[test]
    fn an_empty_report_is_a_page() {
        let page = fixtures::empty().html();
        for text in [
            "<strong>not verified</strong>",
            "No figures.",
            "No profile record was seen.",
            "workers not asked",
        ] {
            assert!(page.contains(text), "{text}");
        }
        let mut one = fixtures::empty();
        one.timeline.push(Sample::default());
        assert_well_formed(&one.html());
    }

    #[test]
    fn non_finite_figures_are_not_drawn() {
        let mut report = fixtures::full();
        report.seconds = f64::NAN;
        report.finished.per_second = f64::INFINITY;
        report.histogram[0].from_ms = f64::NAN;
        report.latency_over_time[1].latency_ms.p50 = f64::NAN;
        for (sample, wrong) in report.timeline.iter_mut().zip([f64::NAN, f64::INFINITY]) {
            sample.second = wrong;
            sample.oldest_seconds = wrong;
        }
        let page = report.html();
        assert!(!page.contains("NaN") && !page.contains(">inf"));
        assert_well_formed(&page);
    }

    #[test]
    fn a_long_run_is_a_small_page() {
        let mut report = fixtures::full();
        report.timeline = (0..5_000_u32)
            .map(|second| Sample {
                second: f64::from(second),
                visible: (second % 2 == 0).then_some(u64::from(second % 97) * 31),
                hidden: Some(u64::from(second % 89)),
                oldest_seconds: f64::from(second % 83),
                ..Sample::default()
            })
            .collect();
        let page = report.html();
        assert!(page.len() < 100_000, "{} bytes", page.len());
    }

    #[test]
    fn the_verdict_is_in_the_title() {
        assert!(
            fixtures::full()
                .html()
                .contains("<title>Load test lt-7f3a: verified</title>")
        );
        assert!(
            fixtures::unhealthy()
                .html()
                .contains(": 61 differences</title>")
        );
    }
}
