//! The text of WGSL files, which is squeezed without the feature `twins`: nobody reads or judges it there, and a page carries it.

/// The text of one or more WGSL files, one after the other.
#[cfg(feature = "twins")]
macro_rules! wgsl {
    ($($file:literal),+ $(,)?) => {
        concat!($(include_str!($file)),+)
    };
}

/// The text of one or more WGSL files, one after the other, squeezed.
#[cfg(not(feature = "twins"))]
macro_rules! wgsl {
    ($($file:literal),+ $(,)?) => {{
        const TEXT: &str = concat!($(include_str!($file)),+);
        const BYTES: usize = $crate::description::wgsl::squeezed::<0>(TEXT).1;
        const SQUEEZED: [u8; BYTES] = $crate::description::wgsl::squeezed(TEXT).0;
        const { $crate::description::wgsl::text(&SQUEEZED) }
    }};
}

/// The first `N` bytes of a text without comments, empty lines and the spaces that no token needs, and how many bytes there are
/// in all.
#[cfg(any(test, not(feature = "twins")))]
pub(crate) const fn squeezed<const N: usize>(text: &str) -> ([u8; N], usize) {
    let text = text.as_bytes();
    let (mut squeezed, mut length) = ([0; N], 0);
    let (mut i, mut last) = (0, b'\n');
    while i < text.len() {
        let byte = text[i];
        if is_comment(text, i) {
            while i < text.len() && text[i] != b'\n' {
                i += 1;
            }
            continue;
        }
        i += 1;
        let next = if i < text.len() { text[i] } else { b'\n' };
        let is_needless = match byte {
            b' ' => is_open(last) || is_closed(last, next) || is_comment(text, i),
            b'\n' => last == b'\n',
            _ => false,
        };
        if is_needless {
            continue;
        }
        last = byte;
        if length < N {
            squeezed[length] = byte;
        }
        length += 1;
    }
    (squeezed, length)
}

/// True for a byte after which no token needs a space.
#[cfg(any(test, not(feature = "twins")))]
const fn is_open(byte: u8) -> bool {
    matches!(byte, b'\n' | b' ' | b',' | b';' | b'(' | b'{' | b'=' | b'+')
}

/// True if no token needs a space before the byte `next`; `>` and `=` would be one of another meaning.
#[cfg(any(test, not(feature = "twins")))]
const fn is_closed(last: u8, next: u8) -> bool {
    matches!(next, b' ' | b'\n' | b'{' | b'+') || next == b'=' && last != b'>'
}

#[cfg(any(test, not(feature = "twins")))]
const fn is_comment(text: &[u8], i: usize) -> bool {
    i + 1 < text.len() && text[i] == b'/' && text[i + 1] == b'/'
}

/// Squeezed bytes as text again.
#[cfg(any(test, not(feature = "twins")))]
pub(crate) const fn text(squeezed: &[u8]) -> &str {
    match std::str::from_utf8(squeezed) {
        Ok(text) => text,
        Err(_) => panic!("only whole characters are left out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_needless_spaces_are_left_out() {
        const TEXT: &str = "// Heads é.\n\nfn f(a: f32, b: f32) -> f32 {\n    let c: vec2<f32> = g(a) + b;\n    return a / c.x;  // half\n}\n";
        const LENGTH: usize = squeezed::<0>(TEXT).1;
        assert_eq!(
            text(&squeezed::<LENGTH>(TEXT).0),
            "fn f(a: f32,b: f32) -> f32{\nlet c: vec2<f32> =g(a)+b;\nreturn a / c.x;\n}\n"
        );
    }

    #[test]
    fn every_kernel_is_the_same_program_without_them() {
        const MOST: usize = 1 << 16;
        // Places in the text, which differ, are all that is left out.
        let program = |name: &str, text: &str| -> String {
            let parsed = naga::front::wgsl::parse_str(text);
            let parsed =
                format!("{:?}", parsed.unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(text))));
            let mut parts = parsed.split("Span { ");
            let rest = |part: &str| part.split_once('}').map_or(String::new(), |(_, rest)| rest.to_owned());
            parts.next().unwrap_or_default().to_owned() + &parts.map(rest).collect::<String>()
        };
        for kernel in crate::kernels() {
            let (squeezed, length) = squeezed::<MOST>(&kernel.source);
            let without = text(&squeezed[..length]);
            assert!(without.len() < kernel.source.len(), "{}", kernel.name);
            assert_eq!(program(&kernel.name, without), program(&kernel.name, &kernel.source), "{}", kernel.name);
        }
    }
}
