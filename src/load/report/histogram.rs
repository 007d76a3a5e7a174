//! Draws a histogram with vertical markers.

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

/// A vertical line across a histogram, at a quantile.
pub(super) struct QuantileMarker {
    pub(super) name: &'static str,
    pub(super) style: LineStyle,
    /// Position in the unit of the horizontal axis.
    pub(super) at: f64,
    /// The formatted value, for the legend.
    pub(super) value: String,
}

impl Plot {
    /// Draws the bars and the markers on a logarithmic axis.
    pub(super) fn histogram(&self, bars: &[HistogramBar], markers: &[QuantileMarker]) -> String {
        let drawn_bars: String = bars.iter().map(|bar| self.bar(bar)).collect();
        let drawn_markers: String = markers
            .iter()
            .filter(|marker| (self.x.start..=self.x.end).contains(&marker.at))
            .map(|marker| self.marker(marker))
            .collect();
        let values: Vec<String> = markers
            .iter()
            .map(|marker| format!("{} {}", marker.name, marker.value))
            .collect();
        self.figure(
            &legend(markers.iter().map(QuantileMarker::legend_entry)),
            &self.with_axes(&values.join(", "), &format!("{drawn_bars}{drawn_markers}")),
        )
    }

    fn bar(&self, bar: &HistogramBar) -> String {
        let from = self.log_fraction(bar.from);
        let to = self.log_fraction(bar.to);
        let top = self.y_pixels(bar.height);
        format!(
            "<rect class=\"bar\" x=\"{x}%\" y=\"{y}\" width=\"{width}%\" \
             height=\"{height}\"><title>{title}</title></rect>",
            x = coordinate(from * 100.0),
            y = coordinate(top),
            width = coordinate((to - from) * 100.0),
            height = coordinate(self.height - top),
            title = escaped(&bar.title),
        )
    }

    fn marker(&self, marker: &QuantileMarker) -> String {
        format!(
            "<line class=\"rule {class}\" x1=\"{x}%\" x2=\"{x}%\" y1=\"0\" y2=\"{bottom}\"/>",
            class = marker.style.class(),
            x = coordinate(self.log_fraction(marker.at) * 100.0),
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
        let bar = |from, to| HistogramBar {
            from,
            to,
            height: 5.0,
            title: "5 & more".to_owned(),
        };
        let markers = [1.0, 1_000.0].map(|at| QuantileMarker {
            name: "p50",
            style: LineStyle::First,
            at,
            value: at.to_string(),
        });
        let bars = [bar(1.0, 10.0), bar(10.0, 100.0)];
        let drawn = Plot {
            title: "Latency",
            unit: "sign-ups".to_owned(),
            height: 100.0,
            x: Axis::logarithmic(1.0, 100.0),
            y: Axis::amounts(10.0, 4.0),
        }
        .histogram(&bars, &markers);
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
