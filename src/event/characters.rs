//! The characters that Cognito accepts.

/// Whether Cognito accepts it in the subject and the body of a mail. Both must match
/// `[\p{L}\p{M}\p{S}\p{N}\p{P}\s]`, with ASCII white space for `\s`. Cognito refuses the whole
/// call for one other character, of Unicode's categories C and Z.
///
/// In the names of users and groups and in e-mail addresses it accepts the same set without
/// white space.
///
/// Whether an unassigned code point is accepted depends on Cognito's version of Unicode.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_MessageTemplateType.html>,
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
pub(crate) fn is_cognito_character(c: char) -> bool {
    match c {
        ' ' | '\t'..='\r' => true,
        // Spaces, separators, format characters, private use, and planes without characters.
        '\u{a0}'
        | '\u{ad}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{890}'..='\u{891}'
        | '\u{8e2}'
        | '\u{1680}'
        | '\u{180e}'
        | '\u{2000}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}'
        | '\u{3000}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{110bd}'
        | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{40000}'..='\u{e00ff}'
        | '\u{e01f0}'..='\u{10ffff}' => false,
        c => !c.is_control() && !is_noncharacter(c),
    }
}

/// Whether HTML has a numeric reference for it, which is ASCII and so accepted.
///
/// <https://html.spec.whatwg.org/multipage/syntax.html#character-references>
pub(crate) fn has_html_reference(c: char) -> bool {
    !c.is_control() && !is_noncharacter(c)
}

/// <https://www.unicode.org/faq/private_use.html#nonchar1>
fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matcher(class: &str) -> impl Fn(char) -> bool {
        let schema = json!({"pattern": format!("^[{class}]$")});
        let validator = jsonschema::validator_for(&schema).expect("a pattern");
        move |c| validator.is_valid(&json!(c.to_string()))
    }

    #[test]
    fn accepted_characters_match_cognitos_pattern() {
        let cognitos = matcher(r"\p{L}\p{M}\p{S}\p{N}\p{P} \t\n\x0b\f\r");
        let unassigned = matcher(r"\p{Cn}");
        let planes = [
            '\0'..='\u{3ffff}',
            '\u{e0000}'..='\u{e0fff}',
            '\u{10ff00}'..='\u{10ffff}',
        ];
        for c in planes.into_iter().flatten() {
            if !unassigned(c) {
                assert_eq!(is_cognito_character(c), cognitos(c), "{c:?}");
            } else if is_noncharacter(c) {
                assert!(!is_cognito_character(c), "{c:?}");
            }
        }
        for c in ["Zoë", "علی", "नमस्ते", "👩🏽", "«…»", "€"].concat().chars()
        {
            assert!(is_cognito_character(c), "{c:?}");
        }
    }

    #[test]
    fn characters_that_html_forbids_have_no_reference() {
        for c in [
            '\u{0}',
            '\u{7}',
            '\u{85}',
            '\u{9f}',
            '\u{fdd0}',
            '\u{1ffff}',
        ] {
            assert!(!has_html_reference(c) && !is_cognito_character(c), "{c:?}");
        }
        for c in ['\u{a0}', '\u{200d}', '\u{2028}', '\u{e000}'] {
            assert!(has_html_reference(c) && !is_cognito_character(c), "{c:?}");
        }
    }
}
