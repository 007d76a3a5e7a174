//! Words and punctuation of Rust sources.

/// Words and punctuation of a source, without comments and literals.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, what: &str| {
        let mut rest = chars[at..].iter();
        what.chars().all(|c| rest.next() == Some(&c))
    };
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
        if starts(at, "//") {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if chars[at] == 'r' && chars.get(at + 1 + hashes) == Some(&'"') {
            let end = format!("\"{}", "#".repeat(hashes));
            at += 2 + hashes;
            while !starts(at, &end) {
                at += 1;
            }
            at += end.len();
        } else if chars[at] == '"' || (chars[at] == '\'' && is_char_literal(&chars[at..])) {
            let quote = chars[at];
            at += 1;
            while chars[at] != quote {
                at += 1 + usize::from(chars[at] == '\\');
            }
            at += 1;
        } else if is_word(&chars[at]) {
            let word: String = chars[at..]
                .iter()
                .copied()
                .take_while(|c| is_word(c))
                .collect();
            at += word.chars().count();
            found.push(word);
        } else if starts(at, "::") {
            found.push("::".to_owned());
            at += 2;
        } else {
            if !chars[at].is_whitespace() {
                found.push(chars[at].to_string());
            }
            at += 1;
        }
    }
    found
}

/// Whether the quote does not begin a lifetime.
fn is_char_literal(text: &[char]) -> bool {
    text.get(1) == Some(&'\\') || text.get(2) == Some(&'\'')
}
