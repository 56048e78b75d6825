//! Moving pictures: what a film is, its file, and its showing in a terminal.

pub mod dots;
pub mod drawing;
pub mod projector;
pub mod reel;

use std::path::Path;

use fourfold::data::file;

use crate::failure::Failure;
use crate::picture::bitmap::Bitmap;
use crate::picture::film::Format;
use crate::run::Run;

/// An episode that can be shown step by step.
pub trait Animation {
    /// Returns a sentence without its full stop, as in "a score of 408 in 1000 steps".
    fn title(&self) -> String;

    /// Returns the steps, at least one.
    fn length(&self) -> usize;

    /// Returns the seconds of a step.
    fn time_step(&self) -> f64;

    /// Returns the sum of all rewards.
    fn score(&self) -> f64;

    /// Lists the steps in which the inputs were shuffled.
    fn shuffles(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Draws a step.
    fn frame(&self, index: usize) -> Bitmap;

    /// Returns the rows that a terminal of so many columns must have.
    fn rows(&self, columns: usize) -> usize;

    /// Draws a step in characters: lines of `columns` characters, no more than `rows`.
    fn lines(&self, index: usize, columns: usize, rows: usize, coloured: bool) -> Vec<String>;

    /// Lists every `every`-th step and the last one.
    fn frames(&self, every: usize) -> Vec<usize> {
        let last = self.length() - 1;
        let mut frames: Vec<usize> = (0..=last).step_by(every.max(1)).collect();
        if frames.last() != Some(&last) {
            frames.push(last);
        }
        frames
    }

    /// Returns the steps from one frame to the next at which a frame lasts for a 25th of a second or more, and a film has
    /// no more than some hundred.
    fn pace(&self) -> usize {
        const FRAMES: usize = 500;
        ((0.04 / self.time_step()).round() as usize).max(self.length().div_ceil(FRAMES)).max(1)
    }
}

/// Returns the bytes of a film of every `every`-th step at the speed of the world; it rests at the end. `drawn` is called after
/// each frame.
///
/// # Errors
/// A frame cannot be encoded.
pub fn encode(film: &dyn Animation, format: Format, every: usize, drawn: impl FnMut()) -> Result<Vec<u8>, Failure> {
    format.encode(film.frames(every).len(), bitmaps(film, every, drawn))
}

/// Returns the bytes of a film of this kind, as [`encode`] does, and writes it to `copy` too, in the kind that its name asks
/// for. The run shows how far it is.
///
/// # Errors
/// A frame cannot be encoded, or the file cannot be written.
pub fn export(
    run: &mut Run,
    film: &dyn Animation,
    format: Format,
    every: usize,
    copy: Option<&Path>,
) -> Result<Vec<u8>, Failure> {
    let mut encode = |format: Format| {
        run.progress("film", film.frames(every).len() as u64);
        let bytes = encode(film, format, every, || run.advance(1));
        run.end_progress();
        bytes
    };
    let bytes = encode(format)?;
    if let Some(path) = copy {
        match Format::of(path) {
            own if own == format => file::write(path, &bytes)?,
            own => file::write(path, &encode(own)?)?,
        }
    }
    Ok(bytes)
}

fn bitmaps(film: &dyn Animation, every: usize, mut drawn: impl FnMut()) -> impl Iterator<Item = (Bitmap, u16)> {
    const REST: u16 = 2_500;
    let last = film.length() - 1;
    let time = (1_000.0 * film.time_step() * every as f64).round() as u16;
    film.frames(every).into_iter().map(move |index| {
        let bitmap = film.frame(index);
        drawn();
        (bitmap, if index == last { REST } else { time })
    })
}
