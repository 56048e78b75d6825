//! Tables of numbers with a target each: the data of regressions.

use std::io::Read;

use flate2::read::GzDecoder;

use super::Error;

/// Rows of features, and a target for each row.
#[derive(Debug, Clone, PartialEq)]
pub struct Regression {
    /// As many numbers in each.
    pub features: Vec<Vec<f32>>,
    /// One for each row.
    pub targets: Vec<f32>,
}

impl Regression {
    /// Parses a table of numbers from its bytes, plain or gzip (told apart by gzip's magic number); `file` names it in
    /// errors. Numbers stand apart by commas, semicolons or white space, the last of a line is the target, empty lines are
    /// passed over, and so is a first line with a word in it. `yacht_hydrodynamics.data` of the UCI Machine Learning
    /// Repository (308 rows of 6 features) is such a file.
    ///
    /// # Errors
    /// If the bytes are no text, a line has something that is no finite number, or fewer than 2 or another count of numbers
    /// than the first, or there is no line.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        let (mut features, mut targets) = (Vec::new(), Vec::new());
        for mut row in table(file, bytes)? {
            let Some(target) = row.pop().filter(|_| !row.is_empty()) else {
                return Err(Error::content(file, "lines of at least one feature and a target", "lines of one number"));
            };
            features.push(row);
            targets.push(target);
        }
        Ok(Self { features, targets })
    }

    /// Reads and parses a table, plain or gzip, as [`parse`](Self::parse) does.
    #[cfg(feature = "files")]
    pub fn load(path: &std::path::Path) -> Result<Self, Error> {
        Self::parse(&path.display().to_string(), &super::file::read(path)?)
    }

    /// The first rows and columns alone.
    pub fn truncated(mut self, rows: usize, features: usize) -> Self {
        self.features.truncate(rows);
        self.targets.truncate(rows);
        self.features.iter_mut().for_each(|row| row.truncate(features));
        self
    }
}

/// The files as scikit-learn ships them; their origin and licence are in `diabetes.md`, beside them.
const FEATURES: &[u8] = include_bytes!("diabetes_data_raw.csv.gz");
const TARGETS: &[u8] = include_bytes!("diabetes_target.csv.gz");

/// Diabetes (B. Efron et al., 2004): 442 patients, 10 measurements each; the target is the progression of the disease a
/// year later.
pub fn diabetes() -> Regression {
    let table = |bytes| table("diabetes", bytes).expect("the embedded files are tables, as a test shows");
    Regression { features: table(FEATURES), targets: table(TARGETS).concat() }
}

/// The numbers of each line, as many in all.
fn table(file: &str, bytes: &[u8]) -> Result<Vec<Vec<f32>>, Error> {
    let mut text = String::new();
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes).read_to_string(&mut text)
    } else {
        { bytes }.read_to_string(&mut text)
    };
    read.map_err(|error| Error::content(file, "a text, plain or gzip", format!("something else ({error})")))?;

    let mut rows: Vec<Vec<f32>> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let apart = |character: char| character == ',' || character == ';' || character.is_whitespace();
        let mut row = Vec::new();
        let mut word = None;
        for field in line.split(apart).filter(|field| !field.is_empty()) {
            match field.parse::<f32>() {
                Ok(value) if value.is_finite() => row.push(value),
                _ => word = word.or(Some(field)),
            }
        }
        let heading = number == 0 && word.is_some();
        if heading || (row.is_empty() && word.is_none()) {
            continue;
        }
        let number = number + 1;
        if let Some(word) = word {
            return Err(Error::content(file, format!("finite numbers in line {number}"), format!("`{word}`")));
        }
        let width = rows.first().map_or(row.len(), Vec::len);
        if row.len() != width {
            return Err(Error::content(file, format!("{width} numbers in line {number}"), row.len().to_string()));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(Error::content(file, "lines of numbers", "none"));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diabetes_are_the_patients_of_the_paper() {
        let set = diabetes();
        assert_eq!((set.features.len(), set.targets.len()), (442, 442));
        assert!(set.features.iter().all(|row| row.len() == 10));
        assert_eq!(set.features[0], [59.0, 2.0, 32.1, 101.0, 157.0, 93.2, 38.0, 4.0, 4.8598, 87.0]);
        assert_eq!(set.targets[..3], [151.0, 75.0, 141.0]);
        let mean = set.targets.iter().sum::<f32>() / 442.0;
        assert!((mean - 152.133).abs() < 1e-2, "{mean}");
    }

    #[test]
    fn a_table_may_have_a_heading_and_stand_apart_by_anything_usual() {
        let expected = Regression { features: vec![vec![1.0, -2.5], vec![3.0, 4.0]], targets: vec![1e-3, 6.0] };
        for text in ["a,b,target\n1,-2.5,1e-3\n3,4,6\n", "1 -2.5  1e-3 \n\n3\t4 6\n \n", "1;-2.5;0.001\r\n3;4;6\r\n"] {
            assert_eq!(Regression::parse("text", text.as_bytes()).unwrap(), expected, "{text}");
        }
        assert_eq!(expected.truncated(1, 1), Regression { features: vec![vec![1.0]], targets: vec![1e-3] });
    }

    #[test]
    fn what_is_no_table_is_named() {
        let error = |bytes: &[u8]| Regression::parse("t.csv", bytes).unwrap_err().to_string();
        assert_eq!(error(b"1,2\n3,x\n"), "t.csv: expected finite numbers in line 2, got `x`");
        assert_eq!(error(b"1,2\n3,inf\n"), "t.csv: expected finite numbers in line 2, got `inf`");
        assert_eq!(error(b"1,2\n3\n"), "t.csv: expected 2 numbers in line 2, got 1");
        assert_eq!(
            error(b"1\n2\n"),
            "t.csv: expected lines of at least one feature and a target, got lines of one number"
        );
        assert_eq!(error(b"name,target\n"), "t.csv: expected lines of numbers, got none");
        assert!(error(&FEATURES[..100]).starts_with("t.csv: expected a text, plain or gzip, got something else"));
    }
}
