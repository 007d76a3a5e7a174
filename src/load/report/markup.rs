//! Text from elsewhere, made harmless.

/// What is shown for a character that would not be seen but obeyed: by a terminal, or
/// by whatever orders text that is written from right to left.
pub(super) fn visible(c: char) -> char {
    match c {
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// For HTML and SVG: text that can neither end an element or an attribute nor begin
/// one.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(visible(c)),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_leave_its_element() {
        assert_eq!(
            escaped("</td><a x=\"y\" z='&amp;'>\0\u{1b}\u{202e}é"),
            "&lt;/td&gt;&lt;a x=&quot;y&quot; z=&#39;&amp;amp;&#39;&gt;\u{fffd}\u{fffd}\u{fffd}é"
        );
    }
}
