//! Our own format: a checkpoint (safetensors) of the columns, with name, actions and notes in its metadata.
//!
//! Tensors `observations` (steps, observations), `actions` (steps, width) and `rewards` (steps) in `f32`; `ends` and
//! `terminated` (episodes) in `u32`. Where steps observed pictures, `frames` (steps, words) in `u32`, four pixels a word, stands in
//! the place of `observations`. Metadata: `format`, `name`, `choices` if actions are discrete, `picture` (rows, columns and pictures
//! of an observation) if there are pictures, and each note behind the prefix `note.`.

use fourfold_shaders::{Data, Element};

use super::super::{Checkpoint, Error};
use super::{Actions, FrameShape, Frames, Steps, Trajectories};

const FORMAT: &str = "fourfold trajectories";
const NOTE: &str = "note.";

impl Trajectories {
    /// The episodes, with name and notes, as a checkpoint.
    pub fn checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("format", FORMAT);
        checkpoint.set("name", self.name());
        if let Actions::Discrete(choices) = self.actions() {
            checkpoint.set("choices", choices.to_string());
        }
        for (key, note) in self.notes() {
            checkpoint.set(&format!("{NOTE}{key}"), note.as_str());
        }
        let Steps { observations, actions, rewards, ends, terminated } = self.columns();
        let (count, width) = (self.steps(), self.actions().width());
        match self.frames() {
            None => checkpoint.insert("observations", &[count, self.observations()], Data::F32(observations.clone())),
            Some(frames) => {
                let FrameShape { rows, columns, stack } = frames.shape;
                checkpoint.set("picture", format!("{rows} {columns} {stack}"));
                let words = frames.words(0..count);
                checkpoint.insert("frames", &[count, words.len() / count], Data::U32(words));
            }
        }
        checkpoint.insert("actions", &[count, width], Data::F32(actions.clone()));
        checkpoint.insert("rewards", &[count], Data::F32(rewards.clone()));
        let ends = ends.iter().map(|&end| end as u32).collect();
        checkpoint.insert("ends", &[self.episodes()], Data::U32(ends));
        let terminated = terminated.iter().map(|&terminated| terminated.into()).collect();
        checkpoint.insert("terminated", &[self.episodes()], Data::U32(terminated));
        checkpoint
    }

    /// The episodes of a [`checkpoint`](Self::checkpoint).
    ///
    /// # Errors
    /// If it is not a checkpoint of trajectories, and as [`new`](Self::new).
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let file = checkpoint.file();
        checkpoint.expect("format", FORMAT)?;
        let extents = |name: &str| {
            let tensor = checkpoint.tensors().find(|(own, ..)| *own == name);
            let (_, shape, _) = tensor.ok_or_else(|| Error::content(file, format!("a tensor `{name}`"), "none"))?;
            match *shape {
                [rows] => Ok((rows, 1)),
                [rows, width] => Ok((rows, width)),
                _ => Err(Error::tensor(file, name, "one or two axes", format!("shape {shape:?}"))),
            }
        };
        let picture = match checkpoint.texts().find(|&(key, _)| key == "picture") {
            None => None,
            Some((_, text)) => match text.split(' ').map(str::parse).collect::<Result<Vec<usize>, _>>().as_deref() {
                Ok(&[rows, columns, stack]) => Some(FrameShape { rows, columns, stack }),
                _ => {
                    let expected = "rows, columns and pictures of an observation in the metadata `picture`";
                    return Err(Error::content(file, expected, format!("`{text}`")));
                }
            },
        };
        let (count, observations) = extents(if picture.is_some() { "frames" } else { "observations" })?;
        let (_, width) = extents("actions")?;
        let (episodes, _) = extents("ends")?;
        let choices = checkpoint.texts().find(|&(key, _)| key == "choices");
        let actions = match choices.map(|(_, text)| (text, text.parse())) {
            None => Actions::Continuous(width),
            Some((_, Ok(choices))) => Actions::Discrete(choices),
            Some((text, Err(_))) => {
                return Err(Error::content(file, "a number of `choices` in the metadata", format!("`{text}`")));
            }
        };
        let f32 = |name, shape: &[usize]| checkpoint.f32(name, shape).map(<[f32]>::to_vec);
        let u32 = |name| checkpoint.tensor(name, Element::U32, &[episodes]).map(Data::u32);
        let frames = match picture {
            None => None,
            Some(shape) => {
                let words = checkpoint.tensor("frames", Element::U32, &[count, shape.pixels() / 4])?.u32();
                Some(Frames { shape, pixels: words.iter().flat_map(|word| word.to_le_bytes()).collect() })
            }
        };
        let steps = Steps {
            observations: if picture.is_some() { Vec::new() } else { f32("observations", &[count, observations])? },
            actions: f32("actions", &[count, actions.width()])?,
            rewards: f32("rewards", &[count])?,
            ends: u32("ends")?.iter().map(|&end| end as usize).collect(),
            terminated: u32("terminated")?.iter().map(|&terminated| terminated != 0).collect(),
        };
        let trajectories = match frames {
            None => Self::new(file, observations, actions, steps)?,
            Some(frames) => Self::of_frames(file, frames, actions, steps)?,
        };
        let mut trajectories = trajectories.named(checkpoint.get("name")?);
        for (key, text) in checkpoint.texts() {
            if let Some(key) = key.strip_prefix(NOTE) {
                trajectories.set_note(key, text);
            }
        }
        Ok(trajectories)
    }

    /// Writes the episodes to a file of our own format, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    #[cfg(feature = "files")]
    pub fn save(&self, path: &std::path::Path) -> Result<(), Error> {
        self.checkpoint().save(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_back_byte_by_byte() {
        let steps = Steps {
            actions: vec![1.0, 0.0],
            rewards: vec![0.5; 2],
            ends: vec![2],
            terminated: vec![true],
            ..Steps::default()
        };
        let shape = FrameShape { rows: 2, columns: 4, stack: 3 };
        let frames = Frames { shape, pixels: (0..16).map(|pixel| 17 * pixel).collect() };
        let data = Trajectories::of_frames("seen", frames, Actions::Discrete(2), steps).unwrap();
        assert_eq!(Trajectories::from_checkpoint(&data.checkpoint()).unwrap(), data);
        let mut checkpoint = data.checkpoint();
        checkpoint.set("picture", "2 4");
        let error = Trajectories::from_checkpoint(&checkpoint).unwrap_err().to_string();
        assert!(error.ends_with("in the metadata `picture`, got `2 4`"), "{error}");
    }
}
