//! numpy's formats: an array (`.npy`), and a zip archive of them (`.npz`).

use std::collections::BTreeMap;
use std::io::Read;

use super::Error;

/// The first bytes of an array in numpy's format.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// The first bytes of a zip archive.
pub(super) const ARCHIVE_MAGIC: &[u8] = b"PK";

/// The longest header of an array that is read; those that numpy writes for plain arrays have 128 bytes.
pub(super) const LONGEST_HEADER: u64 = 1 << 16;

/// An array in numpy's format: magic, version, the length of a header, the header (the text of a Python dictionary), the
/// values.
#[derive(Debug)]
pub(super) struct Array<'a> {
    /// The element type as numpy writes it, e.g. `<f4`.
    pub kind: &'a str,
    pub column_major: bool,
    pub shape: Vec<usize>,
    pub values: &'a [u8],
}

impl<'a> Array<'a> {
    /// Takes the bytes of an array apart; `file` and `name` are for errors.
    ///
    /// # Errors
    /// If they are not an array, or one of structures.
    pub fn parse(file: &str, name: &str, bytes: &'a [u8]) -> Result<Self, Error> {
        let (header, values) = header_and_values(bytes).ok_or_else(|| {
            Error::tensor(file, name, "a whole array in numpy's format", format!("{} other bytes", bytes.len()))
        })?;
        let (kind, column_major, shape) = described(header).ok_or_else(|| {
            Error::tensor(file, name, "a header with descr, fortran_order and shape", format!("`{header}`"))
        })?;
        Ok(Self { kind, column_major, shape, values })
    }

    /// The number of elements; `None` if no machine could hold them.
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1, |product: usize, &axis| product.checked_mul(axis))
    }

    /// Returns true for row-major order, which any order is if only one axis is longer than one.
    pub fn is_row_major(&self) -> bool {
        !self.column_major || self.shape.iter().filter(|&&axis| axis > 1).count() <= 1
    }
}

fn header_and_values(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (u16::from_le_bytes(*length).into(), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return None,
    };
    let (header, values) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?.trim_end(), values))
}

/// Element type, whether columns come first, and shape, from `{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}`.
fn described(header: &str) -> Option<(&str, bool, Vec<usize>)> {
    // Of a key that occurs twice Python keeps the last value.
    let after = |key: &str| header.rsplit_once(key).map(|(_, rest)| rest.trim_start());
    let kind = after("'descr':")?.strip_prefix('\'')?.split('\'').next()?;
    let column_major = match after("'fortran_order':")? {
        text if text.starts_with("True") => true,
        text if text.starts_with("False") => false,
        _ => return None,
    };
    let axes = after("'shape':")?.strip_prefix('(')?.split(')').next()?;
    let axes = axes.split(',').map(str::trim).filter(|axis| !axis.is_empty());
    Some((kind, column_major, axes.map(|axis| axis.parse().ok()).collect::<Option<_>>()?))
}

/// A zip archive of arrays, each the file `NAME.npy`; of a name that occurs twice the last, as numpy reads it.
pub(super) struct Archive<'a> {
    file: &'a str,
    archive: rawzip::ZipSliceArchive<&'a [u8]>,
    /// The arrays by name, without `.npy`.
    arrays: BTreeMap<String, Place>,
    /// Paths of the files that do not end with `.npy`.
    others: Vec<String>,
}

type Place = (rawzip::ZipArchiveEntryWayfinder, rawzip::CompressionMethod);

impl<'a> Archive<'a> {
    /// Reads the list of arrays; `file` is for errors.
    ///
    /// # Errors
    /// If the bytes are not a whole archive.
    pub fn open(file: &'a str, bytes: &'a [u8]) -> Result<Self, Error> {
        let archive = rawzip::ZipArchive::from_slice(bytes).map_err(|error| damaged(file, &error))?;
        let (mut arrays, mut others) = (BTreeMap::new(), Vec::new());
        let mut entries = archive.entries();
        while let Some(entry) = entries.next_entry().map_err(|error| damaged(file, &error))? {
            let path = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
            match path.strip_suffix(".npy") {
                Some(name) => {
                    arrays.insert(name.to_owned(), (entry.wayfinder(), entry.compression_method()));
                }
                None => others.push(path),
            }
        }
        Ok(Self { file, archive, arrays, others })
    }

    /// The names of the arrays, in their order.
    pub fn names(&self) -> Vec<String> {
        self.arrays.keys().cloned().collect()
    }

    /// The bytes of an array in numpy's format; no more than `most` are unpacked, whatever the archive says of its sizes.
    ///
    /// # Errors
    /// If there is no such array, it is damaged, or a file without `.npy` has its name, which numpy would read instead.
    pub fn read(&self, name: &str, most: u64) -> Result<Vec<u8>, Error> {
        let file = self.file;
        let Some(&(place, method)) = self.arrays.get(name) else {
            return Err(Error::content(file, format!("an array `{name}`"), listed(&self.names())));
        };
        if self.others.iter().any(|path| path == name) {
            return Err(Error::content(file, format!("one array `{name}`"), format!("`{name}` and `{name}.npy`")));
        }
        let entry = self.archive.get_entry(place).map_err(|error| damaged(file, &error))?;
        let mut unpacked = Vec::new();
        let read = match method {
            rawzip::CompressionMethod::STORE => {
                entry.verifying_reader(entry.data()).take(most).read_to_end(&mut unpacked)
            }
            rawzip::CompressionMethod::DEFLATE => {
                let inflated = flate2::bufread::DeflateDecoder::new(entry.data());
                entry.verifying_reader(inflated).take(most).read_to_end(&mut unpacked)
            }
            other => {
                let got = format!("compression method {}", other.as_u16());
                return Err(Error::tensor(file, name, "a stored or deflated array", got));
            }
        };
        read.map_err(|error| Error::tensor(file, name, "a whole array", format!("a damaged one ({error})")))?;
        Ok(unpacked)
    }
}

fn damaged(file: &str, error: &rawzip::Error) -> Error {
    Error::content(file, "a whole .npz file", format!("a damaged one ({error})"))
}

/// Names as a sentence lists them.
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}
