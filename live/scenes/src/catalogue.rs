//! The list of scenes.

use fourfold::Gpu;

use crate::{Error, Scene};

/// A scene that can be opened.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The word by which the command and the page name it.
    pub word: &'static str,
    /// Its title.
    pub title: &'static str,
    /// One sentence for the visitor: what to try.
    pub about: &'static str,
    /// Opens it with a seed; neither submits nor waits.
    pub open: fn(&Gpu, u32) -> Result<Box<dyn Scene>, Error>,
}

/// Lists the scenes.
pub const SCENES: &[Entry] = &[];

impl Entry {
    /// Finds a scene by its word.
    ///
    /// # Errors
    /// No scene has this word.
    pub fn named(word: &str) -> Result<&'static Self, Error> {
        let found = SCENES.iter().find(|entry| entry.word == word);
        let words = || SCENES.iter().map(|entry| entry.word).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| Error::input("scene", format!("one of {}", words()), format!("`{word}`")))
    }
}
