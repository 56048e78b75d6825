//! Tables of numbers with a target each: the data of regressions.

use std::io::Read;

use super::{Error, gzip, text};

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
    /// errors. Numbers have decimal points and are separated by semicolons, by commas, or else by spaces and tabs. The last
    /// number of a line is the target. Empty lines are skipped, and so is a first line of words, the heading.
    /// `yacht_hydrodynamics.data` of the UCI Machine Learning Repository (308 rows of 6 features) is such a file.
    ///
    /// # Errors
    /// If the bytes are not UTF-8 text, a field is empty or no finite number (as one with a decimal comma), a line has
    /// fewer than 2 numbers or another count than the first, or there is no line.
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
    ///
    /// # Errors
    /// If it cannot be read, or is what [`parse`](Self::parse) refuses.
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
    let mut content = Vec::new();
    gzip::reader(bytes)
        .read_to_end(&mut content)
        .map_err(|error| Error::content(file, "a text, plain or gzip", format!("something else ({error})")))?;
    // Lines end as Unix, Windows or old spreadsheets end them.
    let text = text::decode(file, &content)?.replace("\r\n", "\n");
    let lines = text.split(['\n', '\r']).zip(1..).map(|(line, number)| (line.trim(), number));
    let lines: Vec<(&str, usize)> = lines.filter(|(line, _)| !line.is_empty()).collect();
    let separator = separator(&lines);

    let mut rows: Vec<Vec<f32>> = Vec::new();
    for (place, &(line, number)) in lines.iter().enumerate() {
        let fields = fields(line, separator);
        if place == 0 && is_heading(&fields) {
            continue;
        }
        let parsed = fields.iter().map(|field| field.parse().ok().filter(|value: &f32| value.is_finite()));
        let row: Vec<f32> = parsed.clone().flatten().collect();
        if let Some((wrong, _)) = fields.iter().zip(parsed).find(|(_, value)| value.is_none()) {
            let kind = match () {
                () if wrong.contains(',') => "finite numbers with decimal points",
                () if place == 0 && !row.is_empty() => "finite numbers, or a heading of words alone,",
                () => "finite numbers",
            };
            let got = if wrong.is_empty() { "an empty field".to_owned() } else { format!("`{wrong}`") };
            return Err(Error::content(file, format!("{kind} in line {number}"), got));
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

/// The character between the numbers of these lines; `None` for spaces and tabs. Where there are semicolons, a comma may be
/// a decimal one. A heading may have other punctuation.
fn separator(lines: &[(&str, usize)]) -> Option<char> {
    let skipped = lines.first().is_some_and(|(line, _)| is_heading(&fields(line, None)));
    let lines = &lines[usize::from(skipped)..];
    [';', ','].into_iter().find(|&separator| lines.iter().any(|(line, _)| line.contains(separator)))
}

/// The fields of a line, which may end with a separator.
fn fields(line: &str, separator: Option<char>) -> Vec<&str> {
    match separator {
        Some(separator) => line.strip_suffix(separator).unwrap_or(line).split(separator).map(str::trim).collect(),
        None => line.split([' ', '\t']).filter(|field| !field.is_empty()).collect(),
    }
}

/// Returns true if all fields are words, none of them a malformed number.
fn is_heading(fields: &[&str]) -> bool {
    let is_numeric = |field: &&str| {
        let begins = field.chars().find(|character| character.is_alphanumeric());
        let of_numbers = |character: char| !character.is_alphabetic() || "eE".contains(character);
        field.parse::<f32>().is_ok() || begins.is_some_and(char::is_numeric) && field.chars().all(of_numbers)
    };
    fields.iter().any(|field| !field.is_empty()) && !fields.iter().any(is_numeric)
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
    fn tables_as_spreadsheets_write_them_keep_every_row() {
        let expected = Regression { features: vec![vec![1.0], vec![3.0]], targets: vec![2.5, 4.0] };
        let parse = |bytes: &[u8]| Regression::parse("t.csv", bytes).unwrap();
        assert_eq!(parse(b"\xef\xbb\xbf1,2.5\n3,4\n"), expected, "a byte-order mark");
        assert_eq!(parse(b"\xef\xbb\xbfa,b\n1,2.5\n3,4\n"), expected, "a byte-order mark and a heading");
        assert_eq!(parse(b"1,2.5\r3,4\r"), expected, "lines that end with a carriage return alone");
        assert_eq!(parse(b"1,2.5,\r\n3,4,\r\n"), expected, "a separator behind the last number");
        assert_eq!(parse(b"\n,1st e\n1, 2.5\n3 ,4"), expected, "a heading behind an empty line");
        assert_eq!(parse(&gzip::tests::gzip(&[b"1,2.5\n", b"3,", b"4\n"])), expected, "gzip of three members");
    }

    #[test]
    fn numbers_that_could_be_others_are_refused() {
        let error = |text: &str| Regression::parse("t.csv", text.as_bytes()).unwrap_err().to_string();
        let points = "t.csv: expected finite numbers with decimal points in line";
        assert_eq!(error("1,5;2\n3;4\n"), format!("{points} 1, got `1,5`"));
        assert_eq!(error("a;b\n1;2\n3;4,5\n"), format!("{points} 3, got `4,5`"));
        assert_eq!(error("1,5e3;2,5e3\n1;2\n"), format!("{points} 1, got `1,5e3`"));
        let either = "t.csv: expected finite numbers, or a heading of words alone, in line 1, got";
        assert_eq!(error("1,5\t2,5\n3,5\t4,5\n"), format!(r"{either} `5\t2`"));
        assert_eq!(error("1,x\n3,4\n"), format!("{either} `x`"));
        assert_eq!(error("nan,x\n3,4\n"), "t.csv: expected finite numbers in line 1, got `nan`");
        assert_eq!(error("1,,3\n,2,3\n"), format!("{either} an empty field"));
        assert_eq!(error("1\u{a0}000 2\n3 4\n"), format!("{either} `1\u{a0}000`"));
        assert_eq!(error("\u{feff}\u{feff}1;2\n3;4\n"), format!(r"{either} `\u{{feff}}1`"));
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
