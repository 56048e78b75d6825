//! Files that may be compressed by gzip.

use std::io::Read;

use flate2::bufread::GzDecoder;

/// Reads bytes, decompressed if they begin as a gzip file does.
pub(super) fn reader(bytes: &[u8]) -> Box<dyn Read + '_> {
    if bytes.starts_with(&[0x1f, 0x8b]) { Box::new(Members(GzDecoder::new(bytes))) } else { Box::new(bytes) }
}

/// The contents of all members of a gzip file, one after the other (RFC 1952, section 2.2).
struct Members<'a>(GzDecoder<&'a [u8]>);

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let count = self.0.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            // Tapes and disks pad with zeros, which gzip ignores.
            let rest: &[u8] = self.0.get_ref();
            let zeros = rest.iter().take_while(|&&byte| byte == 0).count();
            if zeros == rest.len() {
                return Ok(0);
            }
            self.0 = GzDecoder::new(&rest[zeros..]);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// A gzip file with these members.
    pub fn gzip(members: &[&[u8]]) -> Vec<u8> {
        let mut file = Vec::new();
        for member in members {
            let mut encoder = GzEncoder::new(&mut file, Compression::default());
            encoder.write_all(member).unwrap();
            encoder.finish().unwrap();
        }
        file
    }

    fn read(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        reader(bytes).read_to_end(&mut content).map(|_| content)
    }

    #[test]
    fn all_members_are_read_and_plain_bytes_too() {
        assert_eq!(read(&gzip(&[b"one,", b"", b"two,", b"three"])).unwrap(), b"one,two,three");
        assert_eq!(read(b"plain").unwrap(), b"plain");
    }

    #[test]
    fn padding_by_zeros_is_ignored_and_other_bytes_are_refused() {
        let padded = [gzip(&[b"one,"]), vec![0; 100], gzip(&[b"two"]), vec![0; 7]].concat();
        assert_eq!(read(&padded).unwrap(), b"one,two");
        assert!(read(&[gzip(&[b"one"]), b"other".to_vec()].concat()).is_err());
    }

    #[test]
    fn a_last_member_that_is_cut_is_refused() {
        let whole = gzip(&[b"one,", b"two"]);
        let first = gzip(&[b"one,"]).len();
        for end in first + 1..whole.len() {
            assert!(read(&whole[..end]).is_err(), "the first {end} bytes were accepted");
        }
    }
}
