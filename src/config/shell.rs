//! Words of a shell.

/// The text as one word of a POSIX shell.
pub(crate) fn in_shell_quotes(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_value_as_one_word() {
        for (text, quoted) in [
            ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
            ("us-east-1_A,us-east-1_B", "us-east-1_A,us-east-1_B"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(reboot)`x`\"\n", "'$(reboot)`x`\"\n'"),
            ("it's", r"'it'\''s'"),
            ("~root", "'~root'"),
        ] {
            assert_eq!(in_shell_quotes(text), quoted);
        }
    }
}
