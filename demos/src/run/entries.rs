//! Entries of a checkpoint that hold values as JSON: what a stage remembers beside its tensors.

use fourfold::data::{Checkpoint, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Sets an entry to a value.
///
/// # Errors
/// The value has no JSON, as a map whose keys are no texts.
pub fn set_entry(checkpoint: &mut Checkpoint, key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    checkpoint.set(key, serde_json::to_string(value).map_err(Failure::run)?);
    Ok(())
}

/// Returns the value of an entry.
///
/// # Errors
/// It is missing or another kind of value; the sentence names the file and the entry.
pub fn entry<T: DeserializeOwned>(checkpoint: &Checkpoint, key: &str) -> Result<T, Failure> {
    serde_json::from_str(checkpoint.get(key)?).map_err(|error| {
        let (file, expected) = (checkpoint.file().to_owned(), format!("the entry `{key}` of a checkpoint"));
        Error::Content { file, expected, got: error.to_string() }.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_entry_is_refused_with_its_file_and_its_name() {
        let mut checkpoint = Checkpoint::new();
        set_entry(&mut checkpoint, "curve", &vec![(1, 0.5)]).unwrap();
        assert_eq!(entry::<Vec<(usize, f64)>>(&checkpoint, "curve").unwrap(), [(1, 0.5)]);
        let sentence = entry::<String>(&checkpoint, "curve").unwrap_err().to_string();
        assert!(sentence.starts_with(checkpoint.file()) && sentence.contains("`curve`"), "{sentence}");
        assert!(entry::<String>(&checkpoint, "points").unwrap_err().to_string().contains("points"));
    }
}
