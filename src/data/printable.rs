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

/// Returns [`printable`] texts that together have at most `room` characters. Texts of a file may have any length: the longest
/// are cut, to equal lengths, and end in `…`.
pub(crate) fn fitted<const N: usize>(texts: [&str; N], room: usize) -> [String; N] {
    let lengths = texts.map(|text| printed_length(text, room + 1));
    // What shorter texts leave of their shares goes to the longer ones.
    let mut sorted = lengths;
    sorted.sort_unstable();
    let (mut left, mut share) = (room, usize::MAX);
    for (place, length) in sorted.into_iter().enumerate() {
        share = left / (N - place);
        if length > share {
            break;
        }
        left -= length;
        share = usize::MAX;
    }
    texts.map(|text| cut(text, share))
}

/// The characters of a [`printable`] text, counted up to `most`.
fn printed_length(text: &str, most: usize) -> usize {
    let mut length = 0;
    for character in text.chars() {
        length += if is_printable(character) { 1 } else { character.escape_default().count() };
        if length >= most {
            break;
        }
    }
    length
}

/// A [`printable`] text of at most `most` characters, no escape of which is cut in two.
fn cut(text: &str, most: usize) -> String {
    if most == usize::MAX {
        return printable(text);
    }
    let (mut line, mut length, mut end) = (String::new(), 0, 0);
    for character in text.chars() {
        let printed = printable(character.encode_utf8(&mut [0; 4]));
        length += printed.chars().count();
        if length > most {
            line.truncate(end);
            line.push('…');
            return line;
        }
        line.push_str(&printed);
        // The sign of the cut needs a place too.
        if length < most {
            end = line.len();
        }
    }
    line
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
    fn texts_that_fit_stay_whole() {
        assert_eq!(fitted(["short", "texts"], 10), ["short", "texts"]);
    }

    #[test]
    fn the_longest_texts_are_cut_to_equal_lengths_and_never_within_an_escape() {
        let long = "é".repeat(501);
        assert_eq!(fitted(["short", &long, &long], 25), ["short".to_owned(), "ééééééééé…".into(), "ééééééééé…".into()]);
        assert_eq!(fitted(["ab\n\n\n"], 7), ["ab\\n\\n…"]);
        assert_eq!(fitted(["a\u{1b}b"], 7), ["a…"]);
        assert_eq!(fitted(["abc", ""], 0), ["…", ""]);
    }
}
