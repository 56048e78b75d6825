//! IDX files, the format of MNIST: a magic number, the dimensions, then the values.
//!
//! ```text
//! byte 0, 1     0
//! byte 2        type of the values: 0x08 is an unsigned byte, the only one that the image sets use
//! byte 3        number of dimensions
//! then          each dimension, a big-endian u32
//! then          the values, the last dimension fastest
//! ```

use std::io::Read;

use super::{Error, gzip};

/// An array of unsigned bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Idx {
    /// The extent of each dimension, slowest first.
    pub dimensions: Vec<usize>,
    /// Their product many values, row-major.
    pub values: Vec<u8>,
}

const UNSIGNED_BYTE: u8 = 0x08;

/// Parses an IDX file from its bytes, plain or gzip (told apart by gzip's magic number); `file` names it in errors.
///
/// # Errors
/// If the bytes are not such a file, are cut off or go on behind the last value.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Idx, Error> {
    let mut stream = gzip::reader(bytes);
    let magic = read_some(file, &mut stream, 4)?;
    let [0, 0, UNSIGNED_BYTE, rank @ 1..=255] = magic[..] else {
        let got = if magic.len() < 4 {
            format!("{} bytes in all", magic.len())
        } else {
            format!("0x{:02x}{:02x}{:02x}{:02x}", magic[0], magic[1], magic[2], magic[3])
        };
        return Err(Error::content(file, "the IDX magic number 0x000008 and a rank", got));
    };

    let header = read_some(file, &mut stream, 4 * u64::from(rank))?;
    if header.len() < 4 * usize::from(rank) {
        let expected = format!("{} bytes of header for {rank} dimensions", 4 + 4 * usize::from(rank));
        return Err(Error::content(file, expected, format!("{} bytes in all", 4 + header.len())));
    }
    let extents: Vec<u32> = header.chunks_exact(4).map(|be| u32::from_be_bytes([be[0], be[1], be[2], be[3]])).collect();
    let dimensions: Vec<usize> = extents.iter().map(|&extent| extent as usize).collect();
    let described = extents.iter().map(u32::to_string).collect::<Vec<_>>().join(" x ");

    let count = extents.iter().try_fold(1u64, |count, &extent| count.checked_mul(u64::from(extent)));
    let Some(count) = count.filter(|&count| count < u64::MAX / 2) else {
        return Err(Error::content(file, "dimensions that fit into memory", described));
    };
    // One more than there should be, to see whether there is more; memory is taken only for what is there.
    let values = read_some(file, &mut stream, count + 1)?;
    if values.len() as u64 != count {
        let expected = format!("{count} values ({described})");
        let got = if values.len() as u64 > count { "more".to_owned() } else { format!("{} values", values.len()) };
        return Err(Error::content(file, expected, got));
    }
    Ok(Idx { dimensions, values })
}

/// Reads and parses an IDX file, plain or gzip.
///
/// # Errors
/// If it cannot be read, or is what [`parse`] refuses.
#[cfg(feature = "files")]
pub fn read(path: &std::path::Path) -> Result<Idx, Error> {
    parse(&path.display().to_string(), &super::file::read(path)?)
}

/// Up to `most` bytes, fewer at the end of the stream.
fn read_some(file: &str, stream: &mut dyn Read, most: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    match stream.take(most).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        // Only the decompression can fail: the bytes are in memory.
        Err(error) => Err(Error::content(file, "a whole gzip stream", format!("one that breaks off ({error})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_and_values_are_read() {
        let idx = parse("a", &[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(idx, Idx { dimensions: vec![2, 3], values: vec![1, 2, 3, 4, 5, 6] });
    }

    #[test]
    fn values_may_stand_in_several_members_of_a_gzip_file() {
        let file = gzip::tests::gzip(&[&[0, 0, 8, 1, 0, 0, 0, 4, 1, 2], &[3, 4]]);
        assert_eq!(parse("a", &file).unwrap().values, [1, 2, 3, 4]);
    }

    #[test]
    fn a_rank_of_zero_is_no_array() {
        assert!(parse("a", &[0, 0, 8, 0, 1]).is_err());
    }

    #[test]
    fn dimensions_whose_product_overflows_are_refused_without_taking_memory() {
        let mut bytes = vec![0, 0, 8, 3];
        bytes.extend([0xff; 12]);
        let message = parse("a", &bytes).unwrap_err().to_string();
        assert_eq!(message, "a: expected dimensions that fit into memory, got 4294967295 x 4294967295 x 4294967295");
    }

    #[test]
    fn a_header_that_promises_more_than_there_is_takes_no_memory() {
        let message = parse("a", &[0, 0, 8, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0, 7]).unwrap_err().to_string();
        assert_eq!(message, "a: expected 1099511627520 values (4294967295 x 256), got 1 values");
    }
}
