//! A flat vector of weights from a file: numpy's `.npz` and `.npy`, or safetensors.

use std::io::Read;

use super::{Checkpoint, Error};

/// The longest header of an array in numpy's format that is read; those that numpy writes for weights have 128 bytes.
const LONGEST_HEADER: u64 = 1 << 16;

/// The `length` values of the array called `name`, or of the only one, from the bytes of a file, which `file` names in
/// errors. Which format it is, its first bytes say.
///
/// Arrays of numpy hold `float32` or `float64`, little-endian (`float64` is rounded); tensors of safetensors `F32`. The
/// shape does not matter, so long as it holds `length` values in row-major order.
///
/// # Errors
/// The file is of no such format or damaged, has no such array or several to choose from, or one of another length or
/// type; a value is not finite.
pub fn flat_vector(file: &str, bytes: &[u8], name: Option<&str>, length: usize) -> Result<Vec<f32>, Error> {
    let (name, values) = if bytes.starts_with(b"PK") {
        from_npz(file, bytes, name, length)?
    } else if bytes.starts_with(NUMPY) {
        let values = read_array(file, "the array", bytes, length)?;
        ("the array".to_owned(), values)
    } else {
        from_safetensors(file, bytes, name, length)?
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(wrong(file, &name, "finite values", format!("{} at index {index}", values[index]))),
        None => Ok(values),
    }
}

/// [`flat_vector`] of a file.
#[cfg(feature = "files")]
pub fn load_flat_vector(path: &std::path::Path, name: Option<&str>, length: usize) -> Result<Vec<f32>, Error> {
    flat_vector(&path.display().to_string(), &super::file::read(path)?, name, length)
}

fn wrong(file: &str, tensor: &str, expected: impl Into<String>, got: impl Into<String>) -> Error {
    Error::Tensor { file: file.into(), tensor: tensor.into(), expected: expected.into(), got: got.into() }
}

/// The array of this name, or the only one.
fn chosen<'a>(file: &str, names: &'a [String], name: Option<&str>) -> Result<&'a str, Error> {
    let found = || match names {
        [] => "none".to_owned(),
        [only] => format!("`{only}`"),
        several => several.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    match (name, names) {
        (Some(name), _) => {
            let array = names.iter().find(|own| *own == name).map(String::as_str);
            array.ok_or_else(|| Error::content(file, format!("an array `{name}`"), found()))
        }
        (None, [only]) => Ok(only),
        (None, _) => Err(Error::content(file, "one array, or the name of the one that is meant", found())),
    }
}

fn from_safetensors(file: &str, bytes: &[u8], name: Option<&str>, length: usize) -> Result<(String, Vec<f32>), Error> {
    let checkpoint = Checkpoint::from_bytes(file, bytes).map_err(|error| match error {
        Error::Content { .. } => {
            let got = format!("{} bytes of another format", bytes.len());
            Error::content(file, "a whole .npz, .npy or safetensors file", got)
        }
        other => other,
    })?;
    let names: Vec<String> = checkpoint.tensors().map(|(name, ..)| name.to_owned()).collect();
    let name = chosen(file, &names, name)?;
    let shape = checkpoint.tensors().find(|(own, ..)| *own == name).map_or(&[][..], |(_, shape, _)| shape);
    if shape.iter().product::<usize>() != length {
        return Err(wrong(file, name, format!("{length} values"), format!("shape {shape:?}")));
    }
    Ok((name.to_owned(), checkpoint.f32(name, shape)?.to_vec()))
}

/// The chosen array of a zip archive of arrays, each the file `NAME.npy`.
fn from_npz(file: &str, bytes: &[u8], name: Option<&str>, length: usize) -> Result<(String, Vec<f32>), Error> {
    let damaged = |error: rawzip::Error| Error::content(file, "a whole .npz file", format!("a damaged one ({error})"));
    let archive = rawzip::ZipArchive::from_slice(bytes).map_err(damaged)?;
    let (mut names, mut places) = (Vec::new(), Vec::new());
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        let path = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
        if let Some(name) = path.strip_suffix(".npy") {
            names.push(name.to_owned());
            places.push((entry.wayfinder(), entry.compression_method()));
        }
    }
    let name = chosen(file, &names, name)?;
    let index = names.iter().position(|own| own == name).expect("it was chosen from the names");
    let (place, method) = places[index];
    let entry = archive.get_entry(place).map_err(damaged)?;
    // Whatever the archive says of its sizes, no more is unpacked than a header and the values that are wanted.
    let most = LONGEST_HEADER + 8 * length as u64 + 1;
    let mut unpacked = Vec::new();
    let read = match method {
        rawzip::CompressionMethod::STORE => entry.verifying_reader(entry.data()).take(most).read_to_end(&mut unpacked),
        rawzip::CompressionMethod::DEFLATE => {
            let inflated = flate2::bufread::DeflateDecoder::new(entry.data());
            entry.verifying_reader(inflated).take(most).read_to_end(&mut unpacked)
        }
        other => {
            let got = format!("compression method {}", other.as_u16());
            return Err(wrong(file, name, "a stored or deflated array", got));
        }
    };
    read.map_err(|error| wrong(file, name, "a whole array", format!("a damaged one ({error})")))?;
    Ok((name.to_owned(), read_array(file, name, &unpacked, length)?))
}

/// How an array of numpy begins.
const NUMPY: &[u8] = b"\x93NUMPY";

/// The values of an array in numpy's format: magic, version, the length of a header, the header (the text of a Python
/// dictionary), the values.
fn read_array(file: &str, name: &str, bytes: &[u8], length: usize) -> Result<Vec<f32>, Error> {
    let (header, values) = header_and_values(bytes)
        .ok_or_else(|| wrong(file, name, "a whole array in numpy's format", format!("{} other bytes", bytes.len())))?;
    let (kind, column_major, shape) = described(header)
        .ok_or_else(|| wrong(file, name, "a header with descr, fortran_order and shape", format!("`{header}`")))?;
    let shown = format!("shape {shape:?}");
    if shape.iter().try_fold(1, |product: usize, &axis| product.checked_mul(axis)) != Some(length) {
        return Err(wrong(file, name, format!("{length} values"), shown));
    }
    if column_major && shape.iter().filter(|&&axis| axis > 1).count() > 1 {
        return Err(wrong(file, name, "values in row-major order", format!("column-major {shown}")));
    }
    let width = match kind {
        "<f4" => 4,
        "<f8" => 8,
        other => return Err(wrong(file, name, "float32 (<f4) or float64 (<f8) values", format!("`{other}`"))),
    };
    if values.len() != width * length {
        return Err(wrong(file, name, format!("{} bytes of values", width * length), format!("{}", values.len())));
    }
    Ok(match width {
        4 => values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        _ => values.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
    })
}

fn header_and_values(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(NUMPY)?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = if version[0] == 1 {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        (u16::from_le_bytes(*length).into(), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, values) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?.trim_end(), values))
}

/// Element type, whether columns come first, and shape, from `{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}`.
fn described(header: &str) -> Option<(&str, bool, Vec<usize>)> {
    let after = |key: &str| header.split_once(key).map(|(_, rest)| rest.trim_start());
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use fourfold_shaders::Data;

    use super::*;

    const STORED: &[u8] = include_bytes!("../../tests/fixtures/numpy/stored.npz");
    const COMPRESSED: &[u8] = include_bytes!("../../tests/fixtures/numpy/compressed.npz");
    const BARE: &[u8] = include_bytes!("../../tests/fixtures/numpy/bare.npy");
    const VALUES: [f32; 3] = [0.5, -1.25, 3.0];

    fn read(bytes: &[u8], name: Option<&str>, length: usize) -> Result<Vec<f32>, String> {
        flat_vector("model", bytes, name, length).map_err(|error| error.to_string())
    }

    /// An array in numpy's format.
    fn array(kind: &str, column_major: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{kind}', 'fortran_order': {column_major}, 'shape': {shape}, }}\n");
        [NUMPY, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), values].concat()
    }

    fn npz(arrays: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
        for (name, array) in arrays {
            let (mut entry, config) = archive.new_file(format!("{name}.npy")).start().unwrap();
            let mut writer = config.wrap(&mut entry);
            writer.write_all(array).unwrap();
            let (_, descriptor) = writer.finish().unwrap();
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        bytes
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn the_only_array_is_read_by_its_name_or_without_one() {
        for name in [None, Some("params")] {
            assert_eq!(read(STORED, name, 3).unwrap(), VALUES);
        }
        assert_eq!(read(BARE, None, 3).unwrap(), VALUES);
    }

    #[test]
    fn one_of_several_compressed_arrays_of_float64_is_read_by_its_name() {
        assert_eq!(read(COMPRESSED, Some("params"), 3).unwrap(), VALUES);
        let error = read(COMPRESSED, None, 3).unwrap_err();
        assert_eq!(error, "model: expected one array, or the name of the one that is meant, got `params`, `step`");
    }

    #[test]
    fn a_tensor_of_a_safetensors_file_is_read() {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert("weights", &[1, 3], Data::F32(VALUES.to_vec()));
        assert_eq!(read(&checkpoint.to_bytes(), None, 3).unwrap(), VALUES);
        let error = read(&checkpoint.to_bytes(), None, 913).unwrap_err();
        assert_eq!(error, "model: tensor `weights`: expected 913 values, got shape [1, 3]");
    }

    #[test]
    fn another_length_is_refused_with_file_and_array() {
        assert_eq!(read(STORED, None, 913).unwrap_err(), "model: tensor `params`: expected 913 values, got shape [3]");
    }

    #[test]
    fn a_missing_array_is_refused_with_what_there_is() {
        assert_eq!(read(STORED, Some("data"), 3).unwrap_err(), "model: expected an array `data`, got `params`");
        assert_eq!(
            read(&npz(&[]), None, 3).unwrap_err(),
            "model: expected one array, or the name of the one that is meant, got none"
        );
    }

    #[test]
    fn a_value_that_is_not_finite_is_refused_with_its_index() {
        let file = npz(&[("w", &array("<f4", "False", "(2,)", &bytes(&[1.0, f32::NAN])))]);
        assert_eq!(read(&file, None, 2).unwrap_err(), "model: tensor `w`: expected finite values, got NaN at index 1");
        let file = array("<f8", "False", "(1,)", &1e300_f64.to_le_bytes());
        let error = read(&file, None, 1).unwrap_err();
        assert!(error.ends_with("expected finite values, got inf at index 0"), "{error}");
    }

    #[test]
    fn other_element_types_and_orders_are_refused() {
        let error = read(&array(">f4", "False", "(1,)", &bytes(&[1.0])), None, 1).unwrap_err();
        assert!(error.ends_with("expected float32 (<f4) or float64 (<f8) values, got `>f4`"), "{error}");
        let error = read(&array("<f4", "True", "(2, 1, 2)", &bytes(&[1.0; 4])), None, 4).unwrap_err();
        assert!(error.ends_with("expected values in row-major order, got column-major shape [2, 1, 2]"), "{error}");
        assert_eq!(read(&array("<f4", "True", "(1, 2)", &bytes(&[1.0, 2.0])), None, 2).unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn damaged_files_are_refused_without_a_panic() {
        for file in [STORED, COMPRESSED, BARE] {
            for end in 0..file.len() {
                assert!(read(&file[..end], Some("params"), 3).is_err(), "the first {end} bytes were accepted");
            }
        }
        let mut flipped = STORED.to_vec();
        let place = flipped.windows(4).position(|bytes| bytes == VALUES[1].to_le_bytes()).unwrap();
        flipped[place] ^= 1;
        let error = read(&flipped, None, 3).unwrap_err();
        assert!(error.starts_with("model: tensor `params`: expected a whole array, got a damaged one"), "{error}");
        let error = read(b"no such format", None, 3).unwrap_err();
        assert_eq!(error, "model: expected a whole .npz, .npy or safetensors file, got 14 bytes of another format");
    }
}
