//! A flat vector of weights from a file: numpy's `.npz` and `.npy`, or safetensors.

use super::numpy::{ARCHIVE_MAGIC, Archive, Array, LONGEST_HEADER, MAGIC, listed};
use super::{Checkpoint, Error};

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
    flat_vector_of(file, bytes, name, &[length])
}

/// The same as [`flat_vector`], of any one of these lengths.
///
/// # Errors
/// As there.
pub(crate) fn flat_vector_of(
    file: &str,
    bytes: &[u8],
    name: Option<&str>,
    lengths: &[usize],
) -> Result<Vec<f32>, Error> {
    let (name, values) = if bytes.starts_with(ARCHIVE_MAGIC) {
        from_npz(file, bytes, name, lengths)?
    } else if bytes.starts_with(MAGIC) {
        let values = read_array(file, "the array", bytes, lengths)?;
        ("the array".to_owned(), values)
    } else {
        from_safetensors(file, bytes, name, lengths)?
    };
    check_finite(file, &name, &values)?;
    Ok(values)
}

/// Checks that the values of a tensor are all finite.
///
/// # Errors
/// The first that is not, with its index.
fn check_finite(file: &str, name: &str, values: &[f32]) -> Result<(), Error> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::tensor(file, name, "finite values", format!("{} at index {index}", values[index]))),
        None => Ok(()),
    }
}

/// Checks that a tensor of weights has as many values as a network has parameters, all finite.
///
/// # Errors
/// Another number of values, or the first that is not finite.
pub(crate) fn check_weights(file: &str, name: &str, values: &[f32], parameters: usize) -> Result<(), Error> {
    if values.len() != parameters {
        return Err(Error::tensor(file, name, format!("{parameters} values"), values.len().to_string()));
    }
    check_finite(file, name, values)
}

/// [`flat_vector`] of a file.
///
/// # Errors
/// If it cannot be read, or is what [`flat_vector`] refuses.
#[cfg(feature = "files")]
pub fn load_flat_vector(path: &std::path::Path, name: Option<&str>, length: usize) -> Result<Vec<f32>, Error> {
    flat_vector(&path.display().to_string(), &super::file::read(path)?, name, length)
}

/// The values that are expected: `3667 or 7212 values`.
fn expected(lengths: &[usize]) -> String {
    let lengths: Vec<String> = lengths.iter().map(usize::to_string).collect();
    format!("{} values", lengths.join(" or "))
}

/// The array of this name, or the only one.
fn chosen<'a>(file: &str, names: &'a [String], name: Option<&str>) -> Result<&'a str, Error> {
    match (name, names) {
        (Some(name), _) => {
            let array = names.iter().find(|own| *own == name).map(String::as_str);
            array.ok_or_else(|| Error::content(file, format!("an array `{name}`"), listed(names)))
        }
        (None, [only]) => Ok(only),
        (None, _) => Err(Error::content(file, "one array, or the name of the one that is meant", listed(names))),
    }
}

fn from_safetensors(
    file: &str,
    bytes: &[u8],
    name: Option<&str>,
    lengths: &[usize],
) -> Result<(String, Vec<f32>), Error> {
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
    if !lengths.contains(&shape.iter().product::<usize>()) {
        return Err(Error::tensor(file, name, expected(lengths), format!("shape {shape:?}")));
    }
    Ok((name.to_owned(), checkpoint.f32(name, shape)?.to_vec()))
}

/// The chosen array of a zip archive.
fn from_npz(file: &str, bytes: &[u8], name: Option<&str>, lengths: &[usize]) -> Result<(String, Vec<f32>), Error> {
    let archive = Archive::open(file, bytes)?;
    let names = archive.names();
    let name = chosen(file, &names, name)?;
    // Whatever the archive says of its sizes, no more is unpacked than a header and the values that are wanted.
    let most = lengths.iter().max().copied().unwrap_or_default();
    let unpacked = archive.read(name, LONGEST_HEADER + 8 * most as u64 + 1)?;
    Ok((name.to_owned(), read_array(file, name, &unpacked, lengths)?))
}

/// The values of an array in numpy's format.
fn read_array(file: &str, name: &str, bytes: &[u8], lengths: &[usize]) -> Result<Vec<f32>, Error> {
    let array = Array::parse(file, name, bytes)?;
    let shown = format!("shape {:?}", array.shape);
    let Some(length) = array.elements().filter(|length| lengths.contains(length)) else {
        return Err(Error::tensor(file, name, expected(lengths), shown));
    };
    if !array.is_row_major() {
        return Err(Error::tensor(file, name, "values in row-major order", format!("column-major {shown}")));
    }
    let width = match array.kind {
        "<f4" => 4,
        "<f8" => 8,
        other => {
            return Err(Error::tensor(file, name, "float32 (<f4) or float64 (<f8) values", format!("`{other}`")));
        }
    };
    let values = array.values;
    if values.len() != width * length {
        return Err(Error::tensor(file, name, format!("{} bytes of values", width * length), values.len().to_string()));
    }
    Ok(match width {
        4 => values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        _ => values.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
    })
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
        [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), values].concat()
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
    fn of_an_array_that_was_written_twice_the_last_is_read_as_numpy_does() {
        let written = |value: f32| array("<f4", "False", "(1,)", &bytes(&[value]));
        let file = npz(&[("w", &written(1.0)), ("w", &written(2.0))]);
        assert_eq!(read(&file, Some("w"), 1).unwrap(), [2.0]);
        assert_eq!(read(&file, None, 1).unwrap(), [2.0]);
        let header = array("<f4', 'descr': '<f8", "False", "(1,)", &4.0_f64.to_le_bytes());
        assert_eq!(read(&header, None, 1).unwrap(), [4.0]);
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
