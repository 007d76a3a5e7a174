//! The tables of the HTML page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markup::escaped;
use super::number::{decimal, group_digits, milliseconds, pluralize, rate, seconds};
use super::{LoadReport, Quantiles};
use crate::load::Difference;

/// More rows would not make the page more useful.
const MAX_TABLE_DIFFERENCES: usize = 1_000;

impl LoadReport {
    pub(super) fn differences_table(&self) -> String {
        if self.differences.is_empty() {
            return String::new();
        }
        let shown = self.top_differences(MAX_TABLE_DIFFERENCES);
        let rows: String = shown.iter().copied().map(difference_row).collect();
        let hidden = self.differences.len() - shown.len();
        let rest = if hidden == 0 {
            String::new()
        } else {
            format!(
                "<p>And {} more. The JSON form of the report lists all.</p>",
                group_digits(hidden)
            )
        };
        format!(
            "<section id=\"differences\"><h2>Differences</h2><p>{}</p>\
             <div class=\"scroll\"><table class=\"wide\"><thead><tr><th scope=\"col\">What</th>\
             <th scope=\"col\">Who</th><th scope=\"col\">Detail</th>\
             <th scope=\"col\">Sub</th></tr></thead><tbody>\n{rows}</tbody></table></div>\
             {rest}</section>\n",
            escaped(&self.kind_counts()),
        )
    }

    pub(super) fn percentiles_table(&self) -> String {
        let rows = [
            ("Latency", self.latency_ms, "No profile record was seen."),
            ("Sent late", self.injected.late_ms, "Nothing was sent."),
            ("SQS answer", self.injected.send_ms, "No answer came."),
        ]
        .map(|(name, values, absent)| quantiles_row(name, values, absent))
        .concat();
        format!(
            "<section><h2>Percentiles</h2><div class=\"scroll\"><table class=\"wide figures\">\
             <thead><tr><td></td><th scope=\"col\">p50</th><th scope=\"col\">p90</th>\
             <th scope=\"col\">p99</th><th scope=\"col\">p99.9</th><th scope=\"col\">max</th>\
             <th scope=\"col\">values</th></tr></thead><tbody>{rows}</tbody></table></div>\
             <p>Latency counts from the scheduled time of a sign-up. An injector that falls \
             behind is part of it and not the system\u{2019}s doing: \u{201c}Sent late\u{201d} \
             says how much that is.</p></section>\n"
        )
    }

    pub(super) fn run_tables(&self) -> String {
        let planned = &self.planned;
        let injected = &self.injected;
        let mut sections = vec![
            section(
                "Planned",
                &figures_table([
                    ("Sign-ups", group_digits(planned.sign_ups)),
                    ("Duplicates", group_digits(planned.duplicates)),
                    ("Poison messages", group_digits(planned.poison)),
                    ("Bystanders", group_digits(planned.bystanders)),
                    ("Length of the schedule", seconds(planned.seconds)),
                    ("Seed", self.seed.to_string()),
                ]),
            ),
            section(
                "Injector",
                &figures_table([
                    ("Messages that SQS took", group_digits(injected.messages)),
                    ("Not taken", group_digits(injected.not_sent)),
                    ("First send to last answer", seconds(injected.seconds)),
                    ("Rate", rate(injected.per_second)),
                ]),
            ),
            self.worker_tables(),
        ];
        let cleaned = self.cleaned.map_or_else(
            || "<p>Nothing was removed.</p>".to_owned(),
            |cleaned| {
                figures_table([
                    ("Users", group_digits(cleaned.users)),
                    ("Profile records", group_digits(cleaned.profiles)),
                    ("Letters", group_digits(cleaned.dead_letters)),
                    ("Messages", group_digits(cleaned.messages)),
                    (
                        "Everything gone",
                        if cleaned.complete {
                            "yes"
                        } else {
                            "not certain"
                        }
                        .to_owned(),
                    ),
                ])
            },
        );
        sections.push(section("Removed", &cleaned));
        sections.concat()
    }

    fn worker_tables(&self) -> String {
        let Some(worker) = &self.worker else {
            return section("Workers", "<p>They were not asked.</p>");
        };
        let each = worker.calls_per_message;
        let mut body = figures_table([
            ("Workers", group_digits(worker.workers)),
            ("Messages settled", group_digits(worker.messages)),
            (
                "Calls a message",
                each.map_or_else(|| "unknown".to_owned(), |calls| decimal(calls, 2)),
            ),
        ]);
        if worker.unanswered > 0 {
            let times = pluralize(worker.unanswered, "time");
            let _ = write!(
                body,
                "<p>A worker did not answer {times}: these figures may be too low.</p>"
            );
        }
        body += &counts_table("Calls", &worker.calls);
        body += &counts_table("Throttled", &worker.throttled);
        section("Workers", &body)
    }
}

fn difference_row(difference: &Difference) -> String {
    format!(
        "<tr><td class=\"kind\">{}</td><td class=\"code\">{}</td>\
         <td class=\"detail\">{}</td><td class=\"code\">{}</td></tr>\n",
        difference.kind.label(),
        escaped(&difference.who),
        escaped(&difference.detail),
        escaped(difference.sub.as_deref().unwrap_or_default()),
    )
}

fn section(title: &str, body: &str) -> String {
    format!("<section><h2>{title}</h2>{body}</section>\n")
}

fn figures_table<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let row = |(name, value): (&str, String)| {
        let (name, value) = (escaped(name), escaped(&value));
        format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>")
    };
    let rows: Vec<String> = rows.into_iter().map(row).collect();
    let rows = rows.concat();
    format!("<div class=\"scroll\"><table class=\"figures\"><tbody>{rows}</tbody></table></div>")
}

fn counts_table(title: &str, counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return format!("<h3>{title}</h3><p>None.</p>");
    }
    let values = counts.iter().map(|(of, n)| (of.as_str(), group_digits(n)));
    format!("<h3>{title}</h3>{}", figures_table(values))
}

fn quantiles_row(name: &str, values: Option<Quantiles>, absent: &str) -> String {
    let cells = values.map_or_else(
        || format!("<td colspan=\"6\" class=\"absent\">{absent}</td>"),
        |q| {
            let times = [q.p50, q.p90, q.p99, q.p99_9, q.max].map(milliseconds);
            let times = times.map(|time| format!("<td>{time}</td>")).concat();
            format!("{times}<td>{}</td>", group_digits(q.count))
        },
    );
    format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>")
}

#[cfg(test)]
mod tests {
    use crate::load::DifferenceKind;
    use crate::load::report::fixtures;

    #[test]
    fn hostile_text_is_escaped() {
        let table = fixtures::unhealthy().differences_table();
        assert!(table.contains("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"));
        assert!(table.contains("&#39;bad&#39; &amp; \u{fffd}[31m"));
        assert!(!table.contains("<script"));
    }

    #[test]
    fn more_than_a_thousand_differences_are_counted() {
        let mut report = fixtures::empty();
        for n in 0..1_234 {
            let who = format!("user-{n}");
            report
                .differences
                .push(fixtures::difference(DifferenceKind::MissingGroup, &who, ""));
        }
        let table = report.differences_table();
        assert_eq!(table.matches("<td class=\"kind\">").count(), 1_000);
        assert!(table.contains("And 234 more."));
    }

    #[test]
    fn calls_are_listed_by_name() {
        let tables = fixtures::full().run_tables();
        assert!(tables.contains("<th scope=\"row\">dynamodb PutItem</th><td>2,000</td>"));
        assert!(tables.contains("<th scope=\"row\">user_update</th><td>31</td>"));
        assert!(
            fixtures::empty()
                .run_tables()
                .contains("They were not asked.")
        );
    }
}
