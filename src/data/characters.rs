//! Texts as sequences of characters, for models of the next one.

/// A text as numbers: one for each character, its place in the alphabet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Characters {
    /// The characters that occur, in the order of Unicode.
    pub alphabet: Vec<char>,
    /// Places in the alphabet.
    pub tokens: Vec<u32>,
}

impl Characters {
    /// Numbers the characters of a text.
    pub fn new(text: &str) -> Self {
        let mut alphabet: Vec<char> = text.chars().collect();
        alphabet.sort_unstable();
        alphabet.dedup();
        let place = |character| alphabet.partition_point(|&other| other < character) as u32;
        let tokens = text.chars().map(place).collect();
        Self { alphabet, tokens }
    }

    /// The text of tokens; one that is not in the alphabet is a replacement character.
    pub fn text(&self, tokens: &[u32]) -> String {
        let character = |&token: &u32| self.alphabet.get(token as usize).copied();
        tokens.iter().map(|token| character(token).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }
}

/// Genesis 1 to 7 in the King James Version, in lower case without punctuation, a verse a line: 21,829 characters of 27.
pub fn genesis() -> Characters {
    // A checkout may have its own ends of lines.
    Characters::new(&include_str!("genesis.txt").replace('\r', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_places_in_a_sorted_alphabet() {
        let characters = Characters::new("banana");
        assert_eq!(characters.alphabet, ['a', 'b', 'n']);
        assert_eq!(characters.tokens, [1, 0, 2, 0, 2, 0]);
        assert_eq!(characters.text(&[2, 0, 3]), "na\u{fffd}");
    }

    #[test]
    fn the_embedded_text_begins_with_the_beginning() {
        let genesis = genesis();
        assert_eq!((genesis.tokens.len(), genesis.alphabet.len()), (21_829, 27));
        assert!(genesis.text(&genesis.tokens[..54]) == "in the beginning god created the heaven and the earth\n");
    }
}
