//! Rules for texts that users enter, and the errors of texts that break one.

use super::characters::is_cognito_character;

/// A rule that a text breaks. It reveals nothing of the text, except an invisible character
/// and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TextRule {
    /// Any other rule, as an error text.
    #[error("{0}")]
    Message(&'static str),
    /// The text must not hold this invisible character.
    #[error("{0}")]
    InvisibleCharacter(InvisibleCharacter),
    /// [`Self::Message`] for the value of this attribute.
    #[error("{0}: {1}")]
    AttributeMessage(&'static str, &'static str),
    /// [`Self::InvisibleCharacter`] for the value of this attribute.
    #[error("{0}: {1}")]
    InvisibleInAttribute(&'static str, InvisibleCharacter),
    /// [`Self::InvisibleCharacter`] for the group at this place of a list, from 1.
    #[error("group {0}: {1}")]
    InvisibleInGroup(usize, InvisibleCharacter),
}

/// An invisible character, such as U+200B, which often comes with copied text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "character {place} is invisible (U+{:04X}): take it out, or type the text by hand",
    u32::from(*character)
)]
pub(crate) struct InvisibleCharacter {
    /// Counted in characters, from 1.
    place: usize,
    character: char,
}

impl TextRule {
    /// The same rule for the value of an attribute. An unknown name is not quoted.
    pub(super) fn for_attribute(self, name: Option<&'static str>) -> Self {
        match (self, name) {
            (Self::Message(message), Some(name)) => Self::AttributeMessage(name, message),
            (Self::InvisibleCharacter(found), Some(name)) => {
                Self::InvisibleInAttribute(name, found)
            }
            (rule, _) => rule,
        }
    }

    /// The same rule for the group at this place of a list, from 1.
    pub(super) fn for_group(self, place: usize) -> Self {
        match self {
            Self::InvisibleCharacter(found) => Self::InvisibleInGroup(place, found),
            rule => rule,
        }
    }
}

impl InvisibleCharacter {
    /// The first one in a name or an e-mail address. Cognito refuses a text with one.
    pub(crate) fn find_in_name(text: &str) -> Option<Self> {
        Self::find(text, is_cognito_character)
    }

    /// The first one in an attribute's value. The two joiners are allowed: Persian and the
    /// scripts of India need them, and emoji too.
    pub(crate) fn find_in_value(text: &str) -> Option<Self> {
        let is_joiner = |c| matches!(c, '\u{200c}' | '\u{200d}');
        Self::find(text, |c| {
            is_cognito_character(c) || c.is_whitespace() || is_joiner(c)
        })
    }

    fn find(text: &str, is_fine: impl Fn(char) -> bool) -> Option<Self> {
        let mut characters = (1..).zip(text.chars());
        let (place, character) = characters.find(|&(_, c)| !is_fine(c))?;
        Some(Self { place, character })
    }
}

/// Checks the name of a user or group by Cognito's rule; `message` is its error text.
pub(super) fn check_name(name: &str, message: &'static str) -> Result<(), TextRule> {
    if let Some(invisible) = InvisibleCharacter::find_in_name(name) {
        return Err(TextRule::InvisibleCharacter(invisible));
    }
    let fits = (1..=128).contains(&name.chars().count()) && !name.contains(char::is_whitespace);
    if fits {
        Ok(())
    } else {
        Err(TextRule::Message(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_an_invisible_character_and_its_place() {
        let found = InvisibleCharacter::find_in_name("é@\u{200b}x").expect("one");
        assert_eq!(
            found.to_string(),
            "character 3 is invisible (U+200B): take it out, or type the text by hand"
        );
        for c in ['\u{feff}', '\u{ad}', '\u{a0}', '\u{200d}', '\u{202a}', '\0'] {
            let text = format!("ab{c}");
            let found = InvisibleCharacter::find_in_name(&text);
            assert_eq!(
                found.map(|found| (found.place, found.character)),
                Some((3, c))
            );
        }
        assert_eq!(InvisibleCharacter::find_in_name("Zoë-علی-👩🏽"), None);
    }

    #[test]
    fn values_may_hold_joiners_and_every_white_space() {
        for fine in [
            "1 Street\nTown",
            "Jean\u{a0}Luc",
            "می\u{200c}خواهم",
            "👩\u{200d}🚀",
        ] {
            assert_eq!(InvisibleCharacter::find_in_value(fine), None, "{fine}");
        }
        for c in ['\u{200b}', '\u{feff}', '\u{202a}', '\u{ad}', '\0'] {
            assert!(
                InvisibleCharacter::find_in_value(&format!("+44{c}")).is_some(),
                "{c:?}"
            );
        }
    }

    #[test]
    fn a_name_has_1_to_128_visible_characters_and_no_white_space() {
        let longest = "é".repeat(128);
        for fine in ["a", "ada@example.com", &longest] {
            assert_eq!(check_name(fine, "words"), Ok(()), "{fine}");
        }
        for wrong in ["", "a b", "a\n", &format!("{longest}x")] {
            assert_eq!(check_name(wrong, "words"), Err(TextRule::Message("words")));
        }
        let pasted = check_name("ada\u{200b}", "words");
        assert!(
            matches!(pasted, Err(TextRule::InvisibleCharacter(_))),
            "{pasted:?}"
        );
    }
}
