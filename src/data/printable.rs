//! Text of files as people see it: names, notes and quotations on a terminal.

/// Returns text as one line that a terminal shows as it stands: control characters, and invisible ones that reorder or
/// break lines, become escapes such as `\n` and `\u{1b}`.
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if is_printable(character) {
            line.push(character);
        } else {
            line.extend(character.escape_default());
        }
    }
    line
}

fn is_printable(character: char) -> bool {
    let reorders =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}');
    !(character.is_control() || reorders || breaks)
}

/// The most characters of a quotation: a file may have a name or a header of any length.
const LONGEST: usize = 500;

/// [`printable`] text, cut where it is longer than a sentence should be.
pub(super) fn quotable(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} bytes)", printable(&text[..end]), text.len()),
        None => printable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_escapes_and_letters_stay() {
        assert_eq!(printable("a\nb\u{1b}[31m\u{7f}\u{9b}é漢"), r"a\nb\u{1b}[31m\u{7f}\u{9b}é漢");
        assert_eq!(printable("\u{202e}txt\u{2028}"), r"\u{202e}txt\u{2028}");
    }

    #[test]
    fn long_quotations_are_cut() {
        assert_eq!(quotable("short"), "short");
        assert_eq!(quotable(&"é".repeat(501)), format!("{}… (1002 bytes)", "é".repeat(500)));
    }
}
