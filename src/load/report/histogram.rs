//! A histogram, with some values marked across it.

use super::legend::{LineStyle, legend, legend_entry};
use super::markup::escaped;
use super::plot::{Plot, coordinate};

/// A bar of a histogram, in the unit of the horizontal axis.
pub(super) struct HistogramBar {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) height: f64,
    pub(super) title: String,
}

/// A value that is marked across a histogram.
pub(super) struct QuantileMarker {
    pub(super) name: &'static str,
    pub(super) style: LineStyle,
    /// In the unit of the horizontal axis.
    pub(super) at: f64,
    /// Written.
    pub(super) value: String,
}

impl Plot {
    /// A histogram on a logarithmic axis, with some values marked.
    pub(super) fn histogram(&self, columns: &[HistogramBar], rules: &[QuantileMarker]) -> String {
        let bars: String = columns.iter().map(|column| self.bar(column)).collect();
        let marks: String = rules
            .iter()
            .filter(|rule| (self.x.start..=self.x.end).contains(&rule.at))
            .map(|rule| self.marker(rule))
            .collect();
        let words: Vec<String> = rules
            .iter()
            .map(|rule| format!("{} {}", rule.name, rule.value))
            .collect();
        self.figure(
            &legend(rules.iter().map(QuantileMarker::legend_entry)),
            &self.with_axes(&words.join(", "), &format!("{bars}{marks}")),
        )
    }

    fn bar(&self, column: &HistogramBar) -> String {
        let from = self.log_fraction(column.from);
        let to = self.log_fraction(column.to);
        let top = self.y_pixels(column.height);
        format!(
            "<rect class=\"bar\" x=\"{x}%\" y=\"{y}\" width=\"{width}%\" \
             height=\"{height}\"><title>{title}</title></rect>",
            x = coordinate(from * 100.0),
            y = coordinate(top),
            width = coordinate((to - from) * 100.0),
            height = coordinate(self.height - top),
            title = escaped(&column.title),
        )
    }

    fn marker(&self, rule: &QuantileMarker) -> String {
        format!(
            "<line class=\"rule {class}\" x1=\"{x}%\" x2=\"{x}%\" y1=\"0\" y2=\"{bottom}\"/>",
            class = rule.style.class(),
            x = coordinate(self.log_fraction(rule.at) * 100.0),
            bottom = coordinate(self.height),
        )
    }
}

impl QuantileMarker {
    fn legend_entry(&self) -> String {
        legend_entry("rule", self.style, self.name, &self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::axis::Axis;

    #[test]
    fn equal_ratios_are_equally_wide() {
        let column = |from, to| HistogramBar {
            from,
            to,
            height: 5.0,
            title: "5 & more".to_owned(),
        };
        let rules = [1.0, 1_000.0].map(|at| QuantileMarker {
            name: "p50",
            style: LineStyle::First,
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
        .histogram(&columns, &rules);
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
