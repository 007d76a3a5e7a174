//! How lines differ, and the legend that says which is which.

use super::markup::escaped;

/// The ways in which lines differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineStyle {
    /// Broad and pale, below the others: what should have been.
    Band,
    First,
    Second,
    Third,
    /// The only line, with what is below it filled.
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

/// The list of keys above a plot.
pub(super) fn legend(keys: impl Iterator<Item = String>) -> String {
    format!("<ul class=\"legend\">{}</ul>", keys.collect::<String>())
}

/// A piece of the line, its name, and a figure of it.
pub(super) fn legend_entry(what: &str, look: LineStyle, name: &str, value: &str) -> String {
    format!(
        "<li><svg class=\"key\" width=\"30\" height=\"10\" aria-hidden=\"true\">\
         <line class=\"{what} {}\" x1=\"0\" x2=\"30\" y1=\"5\" y2=\"5\"/></svg>\
         {} <span>{}</span></li>",
        look.class(),
        escaped(name),
        escaped(value),
    )
}
