//! Words in what people read.

/// `1 letter`, `2 letters`
pub(crate) fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        let counts = [0, 1, 2].map(|n| plural(n, "letter"));
        assert_eq!(counts, ["0 letters", "1 letter", "2 letters"]);
    }
}
