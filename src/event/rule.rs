//! Rules for what people write, and where a text breaks one.

use super::characters::is_accepted;

/// A rule that a text breaks. It says nothing of the text, except where an invisible
/// character stands, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// Any rule, in words.
    #[error("{0}")]
    Words(&'static str),
    /// The text holds no invisible character.
    #[error("{0}")]
    Invisible(Invisible),
    /// The same as [`Self::Words`] of the value of this attribute.
    #[error("{0}: {1}")]
    WordsOf(&'static str, &'static str),
    /// The value of this attribute holds no invisible character.
    #[error("{0}: {1}")]
    InAttribute(&'static str, Invisible),
    /// The group at this place of a list, counted from 1, holds none.
    #[error("group {0}: {1}")]
    InGroup(usize, Invisible),
}

/// A character that copied text brings along and nobody sees, such as U+200B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "character {place} is invisible (U+{:04X}): take it out, or type the text by hand",
    u32::from(*character)
)]
pub struct Invisible {
    /// Counted in characters, from 1.
    place: usize,
    character: char,
}

impl Rule {
    /// The same of an attribute's value, where the attribute is a known one.
    pub(super) fn of_attribute(self, name: Option<&'static str>) -> Self {
        match (self, name) {
            (Self::Words(words), Some(name)) => Self::WordsOf(name, words),
            (Self::Invisible(found), Some(name)) => Self::InAttribute(name, found),
            (rule, _) => rule,
        }
    }

    /// The same of the group at this place of a list.
    pub(super) fn of_group(self, place: usize) -> Self {
        match self {
            Self::Invisible(found) => Self::InGroup(place, found),
            rule => rule,
        }
    }
}

impl Invisible {
    /// The first one in a name or an address. Cognito refuses those that hold one.
    pub fn in_name(text: &str) -> Option<Self> {
        Self::first(text, is_accepted)
    }

    /// The first one in a value that people read. The two joiners are letters' own in
    /// Persian and in the scripts of India, and join emoji.
    pub fn in_value(text: &str) -> Option<Self> {
        let is_joiner = |c| matches!(c, '\u{200c}' | '\u{200d}');
        Self::first(text, |c| {
            is_accepted(c) || c.is_whitespace() || is_joiner(c)
        })
    }

    fn first(text: &str, is_fine: impl Fn(char) -> bool) -> Option<Self> {
        let mut characters = (1..).zip(text.chars());
        let (place, character) = characters.find(|&(_, c)| !is_fine(c))?;
        Some(Self { place, character })
    }
}

/// Cognito's rule for the names of users and groups; `words` says it.
pub(super) fn check_name(name: &str, words: &'static str) -> Result<(), Rule> {
    if let Some(invisible) = Invisible::in_name(name) {
        return Err(Rule::Invisible(invisible));
    }
    let fits = (1..=128).contains(&name.chars().count()) && !name.contains(char::is_whitespace);
    if fits {
        Ok(())
    } else {
        Err(Rule::Words(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invisible_character_is_named_with_its_place() {
        let found = Invisible::in_name("é@\u{200b}x").expect("one");
        assert_eq!(
            found.to_string(),
            "character 3 is invisible (U+200B): take it out, or type the text by hand"
        );
        for c in ['\u{feff}', '\u{ad}', '\u{a0}', '\u{200d}', '\u{202a}', '\0'] {
            let text = format!("ab{c}");
            let found = Invisible::in_name(&text);
            assert_eq!(
                found.map(|found| (found.place, found.character)),
                Some((3, c))
            );
        }
        assert_eq!(Invisible::in_name("Zoë-علی-👩🏽"), None);
    }

    #[test]
    fn values_may_hold_joiners_and_every_white_space() {
        for fine in [
            "1 Street\nTown",
            "Jean\u{a0}Luc",
            "می\u{200c}خواهم",
            "👩\u{200d}🚀",
        ] {
            assert_eq!(Invisible::in_value(fine), None, "{fine}");
        }
        for c in ['\u{200b}', '\u{feff}', '\u{202a}', '\u{ad}', '\0'] {
            assert!(Invisible::in_value(&format!("+44{c}")).is_some(), "{c:?}");
        }
    }

    #[test]
    fn a_name_has_1_to_128_visible_characters_and_no_white_space() {
        let longest = "é".repeat(128);
        for fine in ["a", "ada@example.com", &longest] {
            assert_eq!(check_name(fine, "words"), Ok(()), "{fine}");
        }
        for wrong in ["", "a b", "a\n", &format!("{longest}x")] {
            assert_eq!(check_name(wrong, "words"), Err(Rule::Words("words")));
        }
        let pasted = check_name("ada\u{200b}", "words");
        assert!(matches!(pasted, Err(Rule::Invisible(_))), "{pasted:?}");
    }
}
