//! A histogram, with some values marked across it.

use super::legend::{Look, key, legend};
use super::markup::escaped;
use super::plot::{Plot, number};

/// A bar of a histogram, in the unit of the horizontal axis.
pub(super) struct Column {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) height: f64,
    pub(super) title: String,
}

/// A value that is marked across a histogram.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) look: Look,
    /// In the unit of the horizontal axis.
    pub(super) at: f64,
    /// Written.
    pub(super) value: String,
}

impl Plot {
    /// A histogram on a logarithmic axis, with some values marked.
    pub(super) fn columns(&self, columns: &[Column], rules: &[Rule]) -> String {
        let bars: String = columns.iter().map(|column| self.bar(column)).collect();
        let marks: String = rules
            .iter()
            .filter(|rule| (self.x.start..=self.x.end).contains(&rule.at))
            .map(|rule| self.rule(rule))
            .collect();
        let words: Vec<String> = rules
            .iter()
            .map(|rule| format!("{} {}", rule.name, rule.value))
            .collect();
        self.figure(
            &legend(rules.iter().map(Rule::key)),
            &self.frame(&words.join(", "), &format!("{bars}{marks}")),
        )
    }

    fn bar(&self, column: &Column) -> String {
        let from = self.share_of_logarithm(column.from);
        let to = self.share_of_logarithm(column.to);
        let top = self.down(column.height);
        format!(
            "<rect class=\"bar\" x=\"{x}%\" y=\"{y}\" width=\"{width}%\" \
             height=\"{height}\"><title>{title}</title></rect>",
            x = number(from * 100.0),
            y = number(top),
            width = number((to - from) * 100.0),
            height = number(self.height - top),
            title = escaped(&column.title),
        )
    }

    fn rule(&self, rule: &Rule) -> String {
        format!(
            "<line class=\"rule {class}\" x1=\"{x}%\" x2=\"{x}%\" y1=\"0\" y2=\"{bottom}\"/>",
            class = rule.look.class(),
            x = number(self.share_of_logarithm(rule.at) * 100.0),
            bottom = number(self.height),
        )
    }
}

impl Rule {
    fn key(&self) -> String {
        key("rule", self.look, self.name, &self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::scale::Axis;

    #[test]
    fn equal_ratios_are_equally_wide() {
        let column = |from, to| Column {
            from,
            to,
            height: 5.0,
            title: "5 & more".to_owned(),
        };
        let rules = [1.0, 1_000.0].map(|at| Rule {
            name: "p50",
            look: Look::First,
            at,
            value: at.to_string(),
        });
        let columns = [column(1.0, 10.0), column(10.0, 100.0)];
        let drawn = Plot {
            title: "Latency",
            unit: "sign-ups".to_owned(),
            height: 100.0,
            x: Axis::logarithmic(1.0, 100.0),
            y: Axis::amounts(10.0, 4.0),
        }
        .columns(&columns, &rules);
        assert!(
            drawn.contains("x=\"50%\" y=\"50\" width=\"50%\" height=\"50\""),
            "{drawn}"
        );
        assert!(drawn.contains("<title>5 &amp; more</title>"));
        assert!(drawn.contains("<line class=\"rule first\" x1=\"0%\" x2=\"0%\""));
        assert_eq!(
            drawn.matches("y1=\"0\" y2=\"100\"").count(),
            1,
            "within the axis"
        );
    }
}
