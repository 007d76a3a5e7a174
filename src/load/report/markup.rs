//! Escapes text for HTML and SVG.

use crate::dead_letter::printable;

/// Escapes text so that it cannot begin or end an element or an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_cannot_leave_its_element() {
        assert_eq!(
            escaped("</td><a x=\"y\" z='&amp;'>\0\u{1b}\u{202e}é"),
            "&lt;/td&gt;&lt;a x=&quot;y&quot; z=&#39;&amp;amp;&#39;&gt;\u{fffd}\u{fffd}\u{fffd}é"
        );
    }
}
