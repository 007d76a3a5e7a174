//! Plots as SVG inside the page.
//!
//! They are drawn here since the page must follow a light or dark theme, run no script,
//! and be readable on a phone. So elements have classes instead of colours. The lines
//! stretch with the page and the text keeps its size: text is placed in pixels and per
//! cent, and no font is measured. No maintained crate draws like this.

use super::axis::{Axis, Tick};
use super::legend::{LineStyle, legend, legend_entry};
use super::markup::escaped;
use super::series::{LineSegments, highest};

/// Width of the drawing in its own units; it is stretched to the width of the page.
const DRAWING_WIDTH: f64 = 1_000.0;

/// Pixels below the drawing, for the labels of the horizontal axis.
const X_LABELS_HEIGHT_PX: f64 = 26.0;

/// A figure with its heading and two axes.
pub(super) struct Plot {
    pub(super) title: &'static str,
    /// The measured quantity and its unit.
    pub(super) unit: String,
    /// In pixels, without the labels.
    pub(super) height: f64,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

pub(super) struct PlotLine {
    pub(super) name: &'static str,
    pub(super) style: LineStyle,
    /// The formatted highest value, for the legend.
    pub(super) peak: String,
    pub(super) segments: LineSegments,
}

impl Plot {
    /// Draws the lines, with each line's highest value in the legend.
    pub(super) fn lines(&self, lines: &[PlotLine]) -> String {
        if lines.iter().all(|line| highest(&line.segments).is_none()) {
            return self.figure("", "<p class=\"nothing\">No figures.</p>");
        }
        let drawn: String = lines.iter().map(|line| self.line(line)).collect();
        let stretched = format!(
            "<svg viewBox=\"0 0 {DRAWING_WIDTH} {height}\" preserveAspectRatio=\"none\" \
             width=\"100%\" height=\"{height}\" overflow=\"visible\">{drawn}</svg>",
            height = self.height,
        );
        let peaks: Vec<String> = lines
            .iter()
            .map(|line| format!("{} at most {}", line.name, line.peak))
            .collect();
        self.figure(
            &legend(lines.iter().map(PlotLine::legend_entry)),
            &self.with_axes(&peaks.join(", "), &stretched),
        )
    }

    /// A figure with a sentence instead of a drawing.
    pub(super) fn placeholder(title: &'static str, sentence: &str) -> String {
        figure(
            title,
            "",
            &format!("<p class=\"nothing\">{}</p>", escaped(sentence)),
        )
    }

    pub(super) fn figure(&self, legend: &str, body: &str) -> String {
        figure(self.title, &self.unit, &format!("{legend}{body}"))
    }

    /// Draws the axes, with `drawn` between the grid and the labels. `values` becomes part
    /// of the label for screen readers.
    pub(super) fn with_axes(&self, values: &str, drawn: &str) -> String {
        let label = escaped(&format!("{}, {}: {values}", self.title, self.unit));
        let y_ticks: String = self.y.ticks.iter().map(|tick| self.y_tick(tick)).collect();
        let x_ticks: String = (0..)
            .zip(&self.x.ticks)
            .map(|(n, tick)| self.x_tick(n, tick))
            .collect();
        format!(
            "<svg class=\"chart\" role=\"img\" aria-label=\"{label}\" height=\"{height}\">\
             {y_ticks}{drawn}\
             <line class=\"axis\" x1=\"0\" x2=\"100%\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             {x_ticks}</svg>",
            height = coordinate(self.height + X_LABELS_HEIGHT_PX),
            bottom = coordinate(self.height),
        )
    }

    fn y_tick(&self, tick: &Tick) -> String {
        let y = self.y_pixels(tick.at);
        format!(
            "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>\
             <text class=\"y\" x=\"-10\" y=\"{text}\">{label}</text>",
            y = coordinate(y),
            text = coordinate(y + 4.0),
            label = escaped(&tick.label),
        )
    }

    fn x_tick(&self, n: usize, tick: &Tick) -> String {
        let across = if self.x.start > 0.0 {
            self.log_fraction(tick.at)
        } else {
            clamp_fraction(tick.at / self.x.end)
        };
        // A narrow page shows every other label.
        let class = if n.is_multiple_of(2) { "x" } else { "x odd" };
        format!(
            "<line class=\"mark\" x1=\"{x}%\" x2=\"{x}%\" y1=\"{top}\" y2=\"{bottom}\"/>\
             <text class=\"{class}\" x=\"{x}%\" y=\"{text}\">{label}</text>",
            x = coordinate(across * 100.0),
            top = coordinate(self.height),
            bottom = coordinate(self.height + 5.0),
            text = coordinate(self.height + 20.0),
            label = escaped(&tick.label),
        )
    }

    fn line(&self, line: &PlotLine) -> String {
        let (mut paths, mut dots, mut areas) = (Vec::new(), Vec::new(), Vec::new());
        for segment in &line.segments {
            let across = |x: f64| coordinate(clamp_fraction(x / self.x.end) * DRAWING_WIDTH);
            let points: Vec<String> = segment
                .iter()
                .map(|(x, y)| format!("{} {}", across(*x), coordinate(self.y_pixels(*y))))
                .collect();
            let (Some((left, _)), Some((right, _))) = (segment.first(), segment.last()) else {
                continue;
            };
            let points = points.join("L");
            if segment.len() == 1 {
                // A line of zero length is drawn as its round ends.
                dots.push(format!("M{points}h0"));
            } else {
                let bottom = coordinate(self.height);
                areas.push(format!(
                    "M{points}L{} {bottom}L{} {bottom}Z",
                    across(*right),
                    across(*left)
                ));
                paths.push(format!("M{points}"));
            }
        }
        if line.style != LineStyle::Area {
            areas.clear();
        }
        let class = line.style.class();
        [("fill", areas), ("line", paths), ("dot", dots)]
            .map(|(kind, d)| match d.concat() {
                empty if empty.is_empty() => empty,
                d => format!("<path class=\"{kind} {class}\" d=\"{d}\"/>"),
            })
            .concat()
    }

    /// Pixels from the top.
    pub(super) fn y_pixels(&self, value: f64) -> f64 {
        self.height * (1.0 - clamp_fraction(value / self.y.end))
    }

    pub(super) fn log_fraction(&self, value: f64) -> f64 {
        clamp_fraction((value / self.x.start).ln() / (self.x.end / self.x.start).ln())
    }
}

impl PlotLine {
    fn legend_entry(&self) -> String {
        let value = format!("at most {}", self.peak);
        legend_entry("line", self.style, self.name, &value)
    }
}

fn figure(title: &str, unit: &str, body: &str) -> String {
    format!(
        "<figure><figcaption><h3>{}</h3> <span>{}</span></figcaption>{body}</figure>\n",
        escaped(title),
        escaped(unit),
    )
}

/// Limits a position to the drawing; NaN and infinity become 0.
fn clamp_fraction(fraction: f64) -> f64 {
    if fraction.is_finite() {
        fraction.clamp(0.0, 1.0)
    } else {
        0.0
    }
}

/// A coordinate: a tenth of a pixel is as fine as a screen shows.
pub(super) fn coordinate(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(x: Axis, max: f64) -> Plot {
        Plot {
            title: "Depth",
            unit: "messages".to_owned(),
            height: 100.0,
            x,
            y: Axis::amounts(max, 4.0),
        }
    }

    fn line(segments: LineSegments) -> PlotLine {
        PlotLine {
            name: "waiting <now>",
            style: LineStyle::Second,
            peak: "7".to_owned(),
            segments,
        }
    }

    #[test]
    fn a_segment_is_a_path_and_a_single_point_a_dot() {
        let segments = vec![vec![(0.0, 0.0), (5.0, 10.0)], vec![(10.0, 5.0)]];
        let drawn = plot(Axis::time(10.0), 10.0).lines(&[line(segments)]);
        assert!(
            drawn.contains("class=\"line second\" d=\"M0 100L500 0\""),
            "{drawn}"
        );
        assert!(
            drawn.contains("class=\"dot second\" d=\"M1000 50h0\""),
            "{drawn}"
        );
        assert!(drawn.contains("waiting &lt;now&gt;"));
    }

    #[test]
    fn points_stay_in_the_drawing_and_are_numbers() {
        let segments = vec![vec![(-5.0, f64::NAN), (f64::INFINITY, 99.0), (5.0, -3.0)]];
        let drawn = plot(Axis::time(10.0), 10.0).lines(&[line(segments)]);
        assert!(drawn.contains("M0 100L0 0L500 100"), "{drawn}");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
    }

    #[test]
    fn without_a_point_there_are_no_axes() {
        let drawn = plot(Axis::time(0.0), 0.0).lines(&[line(LineSegments::new())]);
        assert!(drawn.contains("No figures."));
        assert!(!drawn.contains("<svg"));
    }
}
