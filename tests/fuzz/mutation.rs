//! Seeded mutations of files: the same seed and number give the same file.

/// Random numbers: SplitMix64 (Steele, Lea and Flood 2014), whose every seed is a good one.
pub struct Random(u64);

impl Random {
    /// The numbers of one file of a reader.
    pub fn new(seed: u64, reader: &str, file: u64) -> Self {
        // FNV-1a tells readers apart.
        let name = reader
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut random = Self(seed ^ name);
        random.0 = random.next() ^ file.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    fn choose<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// Numbers at which sizes, offsets and counts go wrong.
const EDGES: [u64; 18] = [
    0,
    1,
    2,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 33,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Texts at which parsers of numbers, strings and lists go wrong.
const TEXTS: [&[u8]; 24] = [
    b"0",
    b"-1",
    b"99999999",
    b"2147483648",
    b"9223372036854775808",
    b"18446744073709551616",
    b"1e308",
    b"1e999",
    b"-0.0",
    b"NaN",
    b"null",
    b"true",
    b"\"\"",
    b"[]",
    b"{}",
    b"\0",
    b"\n",
    b"\x1b[31m",
    b"\\u001b[31m",
    b"\xe2\x80\xae",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

/// The longest file that mutations make of a short one.
const LONGEST: usize = 1 << 20;

/// Changes a file in one to four places; `other` is a file from which pieces are taken.
pub fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(4) {
        change(random, bytes, other);
        bytes.truncate(LONGEST);
    }
}

/// A place: half of them in the first bytes, where headers lie.
fn place(random: &mut Random, length: usize) -> usize {
    match random.below(2) {
        0 => random.below(length.min(512)),
        _ => random.below(length),
    }
}

/// A range from some place on, mostly a short one.
fn range(random: &mut Random, length: usize) -> std::ops::Range<usize> {
    let start = place(random, length);
    let most = random.choose(&[1, 2, 4, 8, 16, 64, 1024, usize::MAX]);
    start..start + 1 + random.below(most.min(length - start))
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        bytes.extend_from_slice(other);
        return;
    }
    let at = place(random, bytes.len());
    match random.below(12) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 | 3 => {
            let value = random.choose(&EDGES);
            let width = random.choose(&[1, 2, 4, 8]);
            let (low, high) = (value.to_le_bytes(), value.to_be_bytes());
            let value = if random.below(2) == 0 { &low[..width] } else { &high[8 - width..] };
            let length = width.min(bytes.len() - at);
            bytes[at..at + length].copy_from_slice(&value[..length]);
        }
        4 => {
            let range = range(random, bytes.len());
            bytes.drain(range);
        }
        5 => {
            let range = range(random, bytes.len());
            let copy = bytes[range].to_vec();
            bytes.splice(at..at, copy);
        }
        6 => {
            let range = range(random, bytes.len());
            let end = range.len().min(bytes.len() - at);
            bytes.copy_within(range.start..range.start + end, at);
        }
        7 => bytes.truncate(at),
        8 => {
            if !other.is_empty() {
                let range = range(random, other.len());
                let end = bytes.len().min(at + random.choose(&[0, range.len()]));
                bytes.splice(at..end, other[range].iter().copied());
            }
        }
        9 => {
            let range = range(random, bytes.len());
            bytes[range].fill(random.choose(&[0, 0xff, b' ', b'0', b'"']));
        }
        10 => {
            // A number of a text, if there is one behind this place.
            let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|start| at + start) else { return };
            let end = start + bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let text = random.choose(&TEXTS);
            bytes.splice(start..end, text.iter().copied());
        }
        _ => {
            let text = random.choose(&TEXTS);
            let end = bytes.len().min(at + random.choose(&[0, 1, text.len()]));
            bytes.splice(at..end, text.iter().copied());
        }
    }
}
