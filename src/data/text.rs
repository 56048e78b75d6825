//! Text in files: how its bytes are decoded.

use super::Error;

/// The byte-order mark that some programs write in front of UTF-8.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The marks of UTF-16, low and high byte first.
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Decodes UTF-8, with or without a byte-order mark, which is not part of the text; `file` names it in errors.
///
/// # Errors
/// If the bytes are UTF-16 or no text.
pub(crate) fn decode<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Error> {
    if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(Error::content(file, "UTF-8 text", "UTF-16 text"));
    }
    std::str::from_utf8(bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes))
        .map_err(|error| Error::content(file, "UTF-8 text", format!("other bytes ({error})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(decode("a", b"\xef\xbb\xbf1,2").unwrap(), "1,2");
        assert_eq!(decode("a", "ü".as_bytes()).unwrap(), "ü");
    }

    #[test]
    fn other_encodings_are_named() {
        let error = |bytes| decode("a", bytes).unwrap_err().to_string();
        assert_eq!(error(b"\xff\xfe1\0"), "a: expected UTF-8 text, got UTF-16 text");
        assert_eq!(error(b"\xfe\xff\x001"), "a: expected UTF-8 text, got UTF-16 text");
        assert!(error(b"na\xefve").starts_with("a: expected UTF-8 text, got other bytes (invalid utf-8"));
    }
}
