//! The styles of lines, and the legend above a plot.

use super::markup::escaped;

/// The style of a line; the style sheet gives each a colour and a dash pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineStyle {
    /// Broad and pale, below the others: the planned values.
    Band,
    First,
    Second,
    Third,
    /// The only line of a plot, with the area below it filled.
    Area,
}

impl LineStyle {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Band => "band",
            Self::First | Self::Area => "first",
            Self::Second => "second",
            Self::Third => "third",
        }
    }
}

pub(super) fn legend(keys: impl Iterator<Item = String>) -> String {
    format!("<ul class=\"legend\">{}</ul>", keys.collect::<String>())
}

/// A sample of the line, its name and a value. `kind` is the CSS class: `line` or `rule`.
pub(super) fn legend_entry(kind: &str, style: LineStyle, name: &str, value: &str) -> String {
    format!(
        "<li><svg class=\"key\" width=\"30\" height=\"10\" aria-hidden=\"true\">\
         <line class=\"{kind} {}\" x1=\"0\" x2=\"30\" y1=\"5\" y2=\"5\"/></svg>\
         {} <span>{}</span></li>",
        style.class(),
        escaped(name),
        escaped(value),
    )
}
