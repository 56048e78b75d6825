//! What all scenes have in common.

use fourfold::Gpu;

use crate::pace::Pace;
use crate::{Control, Drawing, Entry, Error, Pointer, Reading, Scene, Value, View};

/// One scene, with pause, single step, reset, seed and speed.
pub struct Stage {
    gpu: Gpu,
    entry: &'static Entry,
    scene: Box<dyn Scene>,
    pace: Pace,
    playing: bool,
    /// Steps that are still to be taken although it pauses.
    single: usize,
    /// True if something changed that a pausing scene has not shown.
    stale: bool,
    speed: f64,
    seed: u32,
    counts: Counts,
}

/// What a stage has done, for tests and for the curious.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames.
    pub frames: u64,
    /// Frames in which the answer to an earlier submission had not come yet; they did not wait for it.
    pub unanswered: u64,
    /// Steps that were submitted.
    pub steps: u64,
}

/// The greatest seed that a slider offers.
const SEEDS: u32 = 99;

impl Stage {
    /// Opens the scene of a word.
    ///
    /// # Errors
    /// No scene has this word, or the device refuses.
    pub fn open(gpu: &Gpu, word: &str, seed: u32) -> Result<Self, Error> {
        let entry = Entry::named(word)?;
        let scene = (entry.open)(gpu, seed)?;
        let counts = Counts::default();
        Ok(Self {
            gpu: gpu.clone(),
            entry,
            scene,
            pace: Pace::new(),
            playing: true,
            single: 0,
            stale: true,
            speed: 1.0,
            seed,
            counts,
        })
    }

    /// The entry of its scene, with title and words.
    pub fn entry(&self) -> &'static Entry {
        self.entry
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// True while it takes steps by itself.
    pub fn is_playing(&self) -> bool {
        self.playing
    }

    /// One frame, at `now` seconds of any clock: takes what has come, and submits more if nothing is on its way. Polls the
    /// device and waits for nothing.
    ///
    /// # Errors
    /// The device failed or was lost: open the stage anew on another.
    pub fn frame(&mut self, now: f64) -> Result<(), Error> {
        self.counts.frames += 1;
        if let Some(lost) = self.gpu.lost() {
            return Err(lost.into());
        }
        #[cfg(not(target_arch = "wasm32"))]
        if let Err(error) = self.gpu.device().poll(fourfold::wgpu::PollType::Poll) {
            return Err(self.gpu.lost().map_or_else(|| Error::Device(error.to_string()), Error::from));
        }
        if !self.scene.poll()? {
            self.counts.unanswered += 1;
            return Ok(());
        }
        self.pace.answered(now);
        let steps = match (self.playing, self.single) {
            (true, _) => self.pace.steps(now, self.scene.steps() * self.speed),
            (false, 0) if !self.stale => return Ok(()),
            (false, single) => {
                self.pace.submitted(now, single);
                single
            }
        };
        self.single = 0;
        if steps > 0 || self.stale {
            self.stale = false;
            self.counts.steps += steps as u64;
            self.scene.submit(steps)?;
        }
        Ok(())
    }

    /// Lists the common controls, then those of the scene.
    pub fn controls(&self) -> Vec<Control> {
        let mut controls = vec![
            Control::toggle("play", "Play", 'p', "Let time go on, or pause.", self.playing),
            Control::button("step", "Step", '.', "Pause, and take a single step."),
            Control::button("reset", "Reset", 'r', "Begin anew with the same seed."),
            Control::slider(
                "seed",
                "Seed",
                "Begin anew with another seed.",
                self.seed.into(),
                [0.0, SEEDS.into()],
                1.0,
            )
            .with_key('e'),
            Control::slider("speed", "Speed", "More or fewer steps a frame.", self.speed, [0.125, 16.0], 0.125)
                .logarithmic()
                .with_key('+'),
        ];
        controls.extend(self.scene.controls());
        controls
    }

    /// Sets a control by its name.
    ///
    /// # Errors
    /// No control has this name, a value that it does not take, or the device refuses.
    pub fn set(&mut self, name: &str, value: Value) -> Result<(), Error> {
        let controls = self.controls();
        let Some(control) = controls.iter().find(|control| control.name == name) else {
            let names = controls.iter().map(|control| control.name).collect::<Vec<_>>().join(", ");
            return Err(Error::input("control", format!("one of {names}"), format!("`{name}`")));
        };
        control.check(value)?;
        self.stale = true;
        match (name, value) {
            ("play", Value::On(on)) => self.playing = on,
            ("step", _) => {
                self.playing = false;
                self.single += 1;
            }
            ("reset", _) => self.reset()?,
            ("seed", Value::Number(seed)) => {
                self.seed = seed.round() as u32;
                self.reset()?;
            }
            ("speed", Value::Number(speed)) => self.speed = speed,
            _ => self.scene.set(name, value)?,
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Error> {
        self.scene.reset(self.seed)
    }

    /// Presses the key of a control; `back` is the way of shift. Returns false if no control has this key.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn key(&mut self, key: char, back: bool) -> Result<bool, Error> {
        let controls = self.controls();
        let Some(control) = controls.iter().find(|control| control.key == Some(key)) else { return Ok(false) };
        self.set(control.name, control.pressed(back))?;
        Ok(true)
    }

    /// Takes a character that was typed: the key of a control, its capital or `-` the other way. Returns false if no control
    /// has this key.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn typed(&mut self, character: char) -> Result<bool, Error> {
        match character {
            '-' => self.key('+', true),
            other => {
                let key = other.to_lowercase().next().unwrap_or(other);
                self.key(key, key != other)
            }
        }
    }

    /// Takes what the mouse or a finger does, in points of the drawing of this view. Returns true if it meant something.
    ///
    /// # Errors
    /// The device refuses.
    pub fn point(&mut self, view: View, at: [f32; 2], pointer: Pointer) -> Result<bool, Error> {
        let meant = self.scene.point(view, at, pointer)?;
        self.stale |= meant;
        Ok(meant)
    }

    /// The numbers of the moment.
    pub fn readings(&self) -> Vec<Reading> {
        self.scene.readings()
    }

    /// Draws what came last.
    pub fn drawing(&self, view: View) -> Drawing {
        self.scene.drawing(view)
    }

    /// Reads a checkpoint that the command wrote; `name` stands for the file in errors.
    ///
    /// # Errors
    /// The bytes are not a checkpoint for this scene.
    pub fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.stale = true;
        self.scene.load(name, bytes)
    }

    /// Returns the name and the bytes of a checkpoint that the command reads; none where the scene has none.
    pub fn save(&self) -> Option<(String, Vec<u8>)> {
        self.scene.save()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::SCENES;

    #[test]
    fn a_word_without_a_scene_is_one_sentence() {
        let sentence = Entry::named("snake").unwrap_err().to_string();
        assert!(sentence.starts_with("scene: expected one of ") && sentence.ends_with(", got `snake`"), "{sentence}");
        let words: BTreeSet<&str> = SCENES.iter().map(|entry| entry.word).collect();
        assert_eq!(words.len(), SCENES.len());
    }
}
