//! Columns of files: arrays of numbers with a row for each step or episode.

use super::super::Error;
use super::super::numpy::Array;
use super::MOST_CHOICES;

/// The type of a column's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    pub kind: Kind,
    pub bytes: usize,
    pub big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Floating-point numbers of 4 or 8 bytes.
    Float,
    /// Signed integers of 1, 2, 4 or 8 bytes.
    Signed,
    /// The same; truth values are among them.
    Unsigned,
}

impl Element {
    /// `None` for numbers of other sizes.
    pub fn new(kind: Kind, bytes: usize, big_endian: bool) -> Option<Self> {
        let known: &[usize] = if kind == Kind::Float { &[4, 8] } else { &[1, 2, 4, 8] };
        known.contains(&bytes).then_some(Self { kind, bytes, big_endian })
    }

    /// Parses the name that numpy has for it, e.g. `<f4`.
    fn from_numpy(name: &str) -> Option<Self> {
        let (order, rest) = name.split_at_checked(1)?;
        let (kind, bytes) = rest.split_at_checked(1)?;
        let kind = match kind {
            "f" => Kind::Float,
            "i" => Kind::Signed,
            "u" | "b" => Kind::Unsigned,
            _ => return None,
        };
        Self::new(kind, bytes.parse().ok()?, order == ">")
    }

    /// The low bytes of an element first, the others zero.
    fn low_first(self, bytes: &[u8]) -> [u8; 8] {
        let mut low_first = [0; 8];
        low_first[..bytes.len()].copy_from_slice(bytes);
        if self.big_endian {
            low_first[..bytes.len()].reverse();
        }
        low_first
    }

    fn float(self, bytes: &[u8]) -> f64 {
        let low_first = self.low_first(bytes);
        match (self.kind, self.bytes) {
            (Kind::Float, 4) => f64::from(f32::from_bits(u64::from_le_bytes(low_first) as u32)),
            (Kind::Float, _) => f64::from_le_bytes(low_first),
            (Kind::Signed, _) => self.integer(bytes) as f64,
            (Kind::Unsigned, _) => u64::from_le_bytes(low_first) as f64,
        }
    }

    /// Reads an integer; unsigned ones past `i64` come out negative, and are refused as those are.
    fn integer(self, bytes: &[u8]) -> i64 {
        let value = u64::from_le_bytes(self.low_first(bytes));
        // The sign of a short element stands at its own highest bit.
        let unused = 64 - 8 * self.bytes as u32;
        if self.kind == Kind::Signed { (value << unused) as i64 >> unused } else { value as i64 }
    }
}

/// An array of a file, its first axis as rows.
#[derive(Debug)]
pub(super) struct Column<'a> {
    file: &'a str,
    /// Its name in the file.
    key: String,
    element: Element,
    rows: usize,
    width: usize,
    bytes: Vec<u8>,
}

impl<'a> Column<'a> {
    /// An array in row-major order.
    ///
    /// # Errors
    /// If it has no axis, its rows hold nothing, or the bytes are not as many as the shape wants.
    pub fn new(
        file: &'a str,
        key: impl Into<String>,
        element: Element,
        shape: &[usize],
        bytes: Vec<u8>,
    ) -> Result<Self, Error> {
        let key = key.into();
        let [rows, rest @ ..] = shape else {
            return Err(Error::tensor(file, &key, "an array", "a single value"));
        };
        let width = rest.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
        let size = width.and_then(|width| width.checked_mul(*rows)?.checked_mul(element.bytes));
        match (width, size) {
            // Rows of nothing cost a file nothing, however many it claims.
            (Some(0), _) => Err(Error::tensor(file, &key, "rows of at least one number", format!("shape {shape:?}"))),
            (Some(width), Some(size)) if size == bytes.len() => {
                Ok(Self { file, key, element, rows: *rows, width, bytes })
            }
            _ => {
                let expected = format!("shape {shape:?} with {} bytes an element", element.bytes);
                Err(Error::tensor(file, &key, expected, format!("{} bytes", bytes.len())))
            }
        }
    }

    /// An array of numpy.
    ///
    /// # Errors
    /// If the array is malformed, column-major, or not of numbers.
    pub fn from_numpy(file: &'a str, key: &str, bytes: &[u8]) -> Result<Self, Error> {
        let array = Array::parse(file, key, bytes)?;
        if !array.is_row_major() {
            let got = format!("column-major shape {:?}", array.shape);
            return Err(Error::tensor(file, key, "values in row-major order", got));
        }
        let Some(element) = Element::from_numpy(array.kind) else {
            return Err(Error::tensor(file, key, "numbers", format!("elements of type `{}`", array.kind)));
        };
        Self::new(file, key, element, &array.shape, array.values.to_vec())
    }

    pub fn wrong(&self, expected: impl Into<String>, got: impl Into<String>) -> Error {
        Error::tensor(self.file, &self.key, expected, got)
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns true for integers, such as the numbers of choices.
    pub fn is_whole(&self) -> bool {
        self.element.kind != Kind::Float
    }

    /// Drops the rows from `rows` on.
    #[cfg(feature = "hdf5")]
    pub fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.bytes.truncate(self.rows * self.width * self.element.bytes);
    }

    /// Checks the number of rows; `why` ends the sentence.
    ///
    /// # Errors
    /// If there are more or fewer rows.
    pub fn expect_rows(&self, rows: usize, why: &str) -> Result<(), Error> {
        if self.rows == rows { Ok(()) } else { Err(self.wrong(format!("{rows} rows, {why}"), self.rows.to_string())) }
    }

    /// Checks that a row is one number.
    fn expect_scalars(&self) -> Result<(), Error> {
        if self.width == 1 {
            return Ok(());
        }
        Err(self.wrong("one number a row", self.width.to_string()))
    }

    fn elements(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.element.bytes)
    }

    /// (rows, width), rounded to `f32`.
    ///
    /// # Errors
    /// If a number is not finite, then or before.
    pub fn floats(&self) -> Result<Vec<f32>, Error> {
        let mut floats = Vec::with_capacity(self.rows * self.width);
        for (place, bytes) in self.elements().enumerate() {
            let value = self.element.float(bytes) as f32;
            if !value.is_finite() {
                return Err(self.wrong("finite numbers", format!("{value} in row {}", place / self.width)));
            }
            floats.push(value);
        }
        Ok(floats)
    }

    /// (rows), one finite number each.
    ///
    /// # Errors
    /// If a row has more than one number, or a number is not finite.
    pub fn scalars(&self) -> Result<Vec<f32>, Error> {
        self.expect_scalars()?;
        self.floats()
    }

    /// (rows): whether the one number of the row is not zero.
    ///
    /// # Errors
    /// As [`scalars`](Self::scalars).
    pub fn flags(&self) -> Result<Vec<bool>, Error> {
        Ok(self.scalars()?.into_iter().map(|value| value != 0.0).collect())
    }

    /// (rows), one integer each.
    ///
    /// # Errors
    /// If a row has more than one number, or the numbers are floats.
    pub fn integers(&self) -> Result<Vec<i64>, Error> {
        self.expect_scalars()?;
        if !self.is_whole() {
            return Err(self.wrong("integers", "floats"));
        }
        Ok(self.elements().map(|bytes| self.element.integer(bytes)).collect())
    }

    /// (rows): integers as numbers of choices, of which `first` is the least.
    ///
    /// # Errors
    /// As [`integers`](Self::integers), and if a choice is out of range.
    pub fn choices(&self, first: i64) -> Result<Vec<f32>, Error> {
        let choice = |(row, value): (usize, i64)| match value.checked_sub(first) {
            Some(choice) if (0..MOST_CHOICES as i64).contains(&choice) => Ok(choice as f32),
            _ => {
                let last = first.saturating_add(MOST_CHOICES as i64 - 1);
                Err(self.wrong(format!("numbers of choices from {first} to {last}"), format!("{value} in row {row}")))
            }
        };
        self.integers()?.into_iter().enumerate().map(choice).collect()
    }
}

/// Counts the choices, if all were taken.
pub(super) fn count_of_choices(choices: &[f32]) -> usize {
    choices.iter().fold(0.0, |most: f32, &choice| most.max(choice)) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind, size: usize, big_endian: bool, bytes: &[u8]) -> Column<'static> {
        let element = Element::new(kind, size, big_endian).unwrap();
        Column::new("file", "key", element, &[bytes.len() / size], bytes.to_vec()).unwrap()
    }

    #[test]
    fn numbers_of_every_size_sign_and_order_are_read() {
        assert_eq!(column(Kind::Signed, 1, false, &[0xff, 1]).floats().unwrap(), [-1.0, 1.0]);
        assert_eq!(column(Kind::Unsigned, 1, false, &[0xff, 1]).floats().unwrap(), [255.0, 1.0]);
        assert_eq!(column(Kind::Signed, 2, true, &[0xff, 0xfe]).integers().unwrap(), [-2]);
        assert_eq!(column(Kind::Unsigned, 4, true, &[0, 0, 1, 0]).integers().unwrap(), [256]);
        assert_eq!(column(Kind::Signed, 8, false, &(-3_i64).to_le_bytes()).floats().unwrap(), [-3.0]);
        assert_eq!(column(Kind::Float, 4, true, &1.5_f32.to_be_bytes()).floats().unwrap(), [1.5]);
        assert_eq!(column(Kind::Float, 8, false, &(-0.25_f64).to_le_bytes()).floats().unwrap(), [-0.25]);
        assert_eq!(Element::new(Kind::Float, 2, false), None);
    }

    #[test]
    fn a_double_past_the_range_of_single_precision_is_refused_with_its_row() {
        let bytes = [1.0_f64, 1e300].map(f64::to_le_bytes).concat();
        let error = column(Kind::Float, 8, false, &bytes).floats().unwrap_err().to_string();
        assert_eq!(error, "file: tensor `key`: expected finite numbers, got inf in row 1");
    }

    #[test]
    fn choices_begin_at_the_first_and_damage_is_none() {
        assert_eq!(column(Kind::Signed, 1, false, &[3, 5]).choices(3).unwrap(), [0.0, 2.0]);
        let error = column(Kind::Signed, 1, false, &[0, 0xfe]).choices(0).unwrap_err().to_string();
        assert_eq!(error, "file: tensor `key`: expected numbers of choices from 0 to 65535, got -2 in row 1");
        assert!(column(Kind::Unsigned, 8, false, &[0xff; 8]).choices(0).is_err());
    }

    #[test]
    fn rows_of_nothing_are_refused_however_many() {
        let element = Element::new(Kind::Float, 8, false).unwrap();
        let error = Column::new("file", "key", element, &[1 << 60, 0], Vec::new()).unwrap_err().to_string();
        assert_eq!(
            error,
            "file: tensor `key`: expected rows of at least one number, got shape [1152921504606846976, 0]"
        );
    }

    #[test]
    fn a_shape_that_no_machine_holds_is_refused() {
        let element = Element::new(Kind::Float, 8, false).unwrap();
        let error = Column::new("file", "key", element, &[1 << 40, 1 << 40], Vec::new()).unwrap_err();
        assert!(error.to_string().ends_with("got 0 bytes"), "{error}");
    }
}
