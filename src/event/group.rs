//! The name of a group.

use std::fmt;

/// The name of a Cognito group: 1 to 128 characters, no white space, no control
/// characters.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateGroup.html>
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(String);

impl GroupName {
    /// What a name obeys, in words.
    pub const RULE: &str = "a group name has 1 to 128 visible characters and no white space";

    /// `None` when Cognito would refuse the name.
    pub fn new(name: &str) -> Option<Self> {
        let allowed = |c: char| !c.is_whitespace() && !c.is_control() && !is_invisible(c);
        let length = name.chars().count();
        ((1..=128).contains(&length) && name.chars().all(allowed)).then(|| Self(name.to_owned()))
    }

    /// The name as Cognito takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Format characters and private use, which Cognito's pattern (letters, marks,
/// symbols, numbers, punctuation) leaves out: they come with copied text.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..)
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
