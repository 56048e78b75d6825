//! Arrays of MATLAB's files of level 5 (`.mat` of `save -v6` and `-v7`, and of scipy).
//!
//! ```text
//! 128 bytes   text, then the version 0x0100 and `IM` where words are little-endian
//! elements    type and bytes (two u32), then the content; type 15 is another element, compressed by zlib
//! an array    an element of type 14 that holds elements: flags, dimensions, name, values, each filled up to 8 bytes
//! a short one has its bytes in the upper half of the type, and up to 4 bytes of content in the place of the count
//! ```

use std::io::Read;

use flate2::bufread::ZlibDecoder;

use super::Error;

/// An array of whole numbers from 0 to 255, the first dimension fastest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Array {
    pub dimensions: Vec<usize>,
    pub values: Vec<u8>,
}

const HEADER: usize = 128;
const COMPRESSED: u32 = 15;
const MATRIX: u32 = 14;
/// More than a name or the dimensions of an array have.
const LONGEST: usize = 1 << 10;

/// Reads the arrays of these names, in their order, from the bytes of a file, which `file` names in errors.
pub(super) fn arrays<const N: usize>(file: &str, bytes: &[u8], names: [&str; N]) -> Result<[Array; N], Error> {
    let expected = "a MATLAB file of level 5 with little-endian words";
    match bytes.get(124..HEADER) {
        Some([0x00, 0x01, b'I', b'M']) => {}
        Some([0x00, 0x02, b'I', b'M']) => return Err(Error::content(file, expected, "one of version 7.3 (HDF5)")),
        Some(_) => return Err(Error::content(file, expected, "another file")),
        None => return Err(Error::content(file, expected, format!("{} bytes in all", bytes.len()))),
    }
    let mut found = [const { None }; N];
    let mut rest = &bytes[HEADER..];
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let cut = |expected: String| Error::content(file, expected, format!("{} bytes", rest.len()));
        let Some((tag, content)) = rest.split_first_chunk::<8>() else {
            return Err(cut(format!("8 bytes before an element at byte {at}")));
        };
        let [kind, size] = words(*tag);
        let size = size as usize;
        if content.len() < size {
            return Err(cut(format!("{size} bytes of the element at byte {at}, and 8 before them")));
        }
        let (own, behind) = content.split_at(size);
        let element = match kind {
            COMPRESSED => Element { file, at, stream: &mut ZlibDecoder::new(own) }.compressed(&names)?,
            MATRIX => Element { file, at, stream: &mut &own[..] }.array(&names)?,
            _ => None,
        };
        if let Some((place, array)) = element {
            found[place] = Some(array);
        }
        // Compressed elements are not filled up.
        rest = &behind[if kind == COMPRESSED { 0 } else { behind.len().min(size.next_multiple_of(8) - size) }..];
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    let missing = found.iter().position(Option::is_none).map(|place| names[place]);
    match missing {
        Some(name) => Err(Error::content(file, format!("an array `{name}`"), "none of this name")),
        None => Ok(found.map(|array| array.expect("none is missing"))),
    }
}

fn words([a, b, c, d, e, f, g, h]: [u8; 8]) -> [u32; 2] {
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

/// The content of an element that begins at byte `at`.
struct Element<'a> {
    file: &'a str,
    at: usize,
    stream: &'a mut dyn Read,
}

impl Element<'_> {
    fn wrong(&self, expected: &str, got: impl std::fmt::Display) -> Error {
        Error::content(self.file, format!("{expected} in the array at byte {}", self.at), got.to_string())
    }

    /// Reads up to `most` bytes; memory is taken only for what is there.
    fn some(&mut self, most: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let read = self.stream.take(most as u64).read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|error| self.wrong("a whole zlib stream", format!("one that is damaged ({error})")))
    }

    fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Error> {
        let bytes = self.some(count)?;
        if bytes.len() == count {
            return Ok(bytes);
        }
        Err(self.wrong(&format!("{count} bytes of values"), format!("{} bytes", bytes.len())))
    }

    /// Reads a part of an array: its type and its bytes, of which `expected` says how many there may be.
    fn part(&mut self, name: &str, expected: impl Fn(usize) -> bool) -> Result<(u32, Vec<u8>), Error> {
        let tag = self.exactly(8)?;
        let [kind, size] = words(std::array::from_fn(|index| tag[index]));
        // Short elements have their bytes within the tag.
        let (kind, short, size) = match kind >> 16 {
            0 => (kind, false, size as usize),
            size => (kind & 0xffff, true, size as usize),
        };
        if (short && size > 4) || !expected(size) {
            return Err(self.wrong(&format!("the bytes of {name}"), format!("{size} of them")));
        }
        if short {
            return Ok((kind, tag[4..4 + size].to_vec()));
        }
        let bytes = self.exactly(size)?;
        self.some(size.next_multiple_of(8) - size)?;
        Ok((kind, bytes))
    }

    fn compressed(&mut self, names: &[&str]) -> Result<Option<(usize, Array)>, Error> {
        let tag = self.exactly(8)?;
        let [kind, _] = words(std::array::from_fn(|index| tag[index]));
        if kind == MATRIX { self.array(names) } else { Ok(None) }
    }

    /// Reads an array if it is one of these, and says which.
    fn array(&mut self, names: &[&str]) -> Result<Option<(usize, Array)>, Error> {
        let (_, flags) = self.part("its flags", |size| size == 8)?;
        let (_, dimensions) = self.part("its dimensions", |size| size <= LONGEST && size.is_multiple_of(4))?;
        let dimensions =
            dimensions.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let dimensions: Vec<usize> = dimensions.map(|extent| extent as usize).collect();
        let (_, name) = self.part("its name", |size| size <= LONGEST)?;
        let Some(place) = names.iter().position(|wanted| wanted.as_bytes() == name) else { return Ok(None) };
        // Classes 6 to 15 are numbers; bit 3 of the second byte marks complex ones.
        if !(6..=15).contains(&flags[0]) || flags[1] & 0x08 != 0 {
            return Err(self.wrong(&format!("real numbers as `{}`", names[place]), format!("class {}", flags[0])));
        }
        let count = dimensions.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent));
        let described = dimensions.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        let fits = |size: usize| count.is_some_and(|count| (1..=8).any(|bytes| count.checked_mul(bytes) == Some(size)));
        let (kind, bytes) = self.part(&format!("{described} values"), fits)?;
        let count = count.unwrap_or(0);
        let width = match kind {
            1 | 2 => 1,
            3 | 4 => 2,
            5..=7 => 4,
            9 | 12 | 13 => 8,
            _ => return Err(self.wrong("values of a type of numbers", format!("type {kind}"))),
        };
        if bytes.len() != count * width {
            let got = format!("{} bytes", bytes.len());
            return Err(self.wrong(&format!("{described} values of {width} bytes"), got));
        }
        let values = match kind {
            2 => bytes,
            _ => {
                let value =
                    |bytes: &[u8]| byte(kind, bytes).ok_or_else(|| format!("bytes {bytes:02x?} of type {kind}"));
                let values: Result<_, String> = bytes.chunks_exact(width).map(value).collect();
                values.map_err(|got| self.wrong("whole numbers from 0 to 255", got))?
            }
        };
        // To the end of the stream, where its checksum is.
        let rest = self.some(8)?;
        if !rest.is_empty() {
            return Err(self.wrong("nothing after the values", "more bytes"));
        }
        Ok(Some((place, Array { dimensions, values })))
    }
}

/// Returns a number of a type as a byte, if it is a whole number from 0 to 255.
fn byte(kind: u32, bytes: &[u8]) -> Option<u8> {
    let float = |value: f64| (value.fract() == 0.0 && (0.0..=255.0).contains(&value)).then_some(value as u8);
    match kind {
        7 => float(f32::from_le_bytes(bytes.try_into().ok()?).into()),
        9 => float(f64::from_le_bytes(bytes.try_into().ok()?)),
        // Negative numbers of any width have a byte other than 0 behind the first, or are above 127 in one.
        1 => Some(bytes[0]).filter(|byte| *byte < 128),
        _ => Some(bytes[0]).filter(|_| bytes[1..].iter().all(|byte| *byte == 0)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn element(kind: u32, content: &[u8]) -> Vec<u8> {
        let size = content.len() as u32;
        let padding = vec![0; content.len().next_multiple_of(8) - content.len()];
        [&kind.to_le_bytes()[..], &size.to_le_bytes(), content, &padding].concat()
    }

    /// An array as scipy writes it: `class` and `kind` are those of bytes if they are 9 and 2.
    pub fn array(name: &str, dimensions: &[u32], [class, kind]: [u32; 2], values: &[u8]) -> Vec<u8> {
        let extents: Vec<u8> = dimensions.iter().flat_map(|extent| extent.to_le_bytes()).collect();
        // A name of up to 4 letters is a short element.
        let mut short = ((name.len() as u32) << 16 | 1).to_le_bytes().to_vec();
        short.extend(name.as_bytes());
        short.resize(8, 0);
        let flags = [class.to_le_bytes(), [0; 4]].concat();
        element(MATRIX, &[element(6, &flags), element(5, &extents), short, element(kind, values)].concat())
    }

    pub fn compressed(element: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(element).unwrap();
        let content = encoder.finish().unwrap();
        [&COMPRESSED.to_le_bytes()[..], &(content.len() as u32).to_le_bytes(), &content].concat()
    }

    pub fn file(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
        bytes.resize(124, b' ');
        bytes.extend([0x00, 0x01, b'I', b'M']);
        bytes.extend(elements.concat());
        bytes
    }

    #[test]
    fn arrays_are_found_by_name_compressed_or_not_and_of_any_type_of_numbers() {
        let doubles: Vec<u8> = [10.0, 255.0].into_iter().flat_map(f64::to_le_bytes).collect();
        let words: Vec<u8> = [1i32, 2].into_iter().flat_map(i32::to_le_bytes).collect();
        let elements = [
            compressed(&array("a", &[2, 3], [9, 2], &[1, 2, 3, 4, 5, 6])),
            array("skip", &[1, 1], [9, 2], &[0]),
            array("b", &[2, 1], [6, 9], &doubles),
            compressed(&array("c", &[1, 2], [12, 5], &words)),
        ];
        let [c, a, b] = arrays("file", &file(&elements), ["c", "a", "b"]).unwrap();
        assert_eq!(a, Array { dimensions: vec![2, 3], values: vec![1, 2, 3, 4, 5, 6] });
        assert_eq!((b.values, c.values), (vec![10, 255], vec![1, 2]));
    }

    #[test]
    fn what_is_no_such_file_is_named() {
        let error = |bytes: &[u8]| arrays("file", bytes, ["a"]).unwrap_err().to_string();
        let expected = "file: expected a MATLAB file of level 5 with little-endian words, got ";
        assert_eq!(error(b"short"), format!("{expected}5 bytes in all"));
        assert_eq!(error(&[b' '; 200]), format!("{expected}another file"));
        let mut new = file(&[]);
        new[125] = 2;
        assert_eq!(error(&new), format!("{expected}one of version 7.3 (HDF5)"));
        assert_eq!(error(&file(&[])), "file: expected an array `a`, got none of this name");
        let half = array("a", &[1, 1], [6, 9], &0.5f64.to_le_bytes());
        assert!(
            error(&file(&[half])).starts_with("file: expected whole numbers from 0 to 255 in the array at byte 128")
        );
        let few = array("a", &[3, 1], [9, 2], &[1, 2]);
        let expected = "file: expected the bytes of 3 x 1 values in the array at byte 128, got 2 of them";
        assert_eq!(error(&file(&[few])), expected);
    }

    #[test]
    fn a_file_that_is_cut_is_refused_and_a_damaged_one_gives_no_other_numbers() {
        let values: Vec<u8> = (0..200u32).map(|value| (value * value % 251) as u8).collect();
        let whole = file(&[compressed(&array("a", &[20, 10], [9, 2], &values))]);
        let expected = arrays("file", &whole, ["a"]).unwrap();
        for length in 0..whole.len() {
            assert!(arrays("file", &whole[..length], ["a"]).is_err(), "the first {length} bytes were accepted");
        }
        for place in HEADER + 8..whole.len() {
            let mut spoilt = whole.clone();
            spoilt[place] ^= 0x10;
            // Zlib has bits that decide nothing.
            match arrays("file", &spoilt, ["a"]) {
                Ok(got) => assert_eq!(got, expected, "byte {place}"),
                Err(error) => assert!(error.to_string().starts_with("file: expected"), "byte {place}: {error}"),
            }
        }
    }
}
