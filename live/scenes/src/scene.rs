//! One of the methods at work.

use crate::{Control, Drawing, Error, Value, View};

/// A scene: it submits steps and takes back what has come, and never waits.
///
/// A [`Stage`](crate::Stage) calls [`poll`](Self::poll) in each frame, and [`submit`](Self::submit) when nothing is on its
/// way.
pub trait Scene {
    /// Lists the controls with their present values.
    fn controls(&self) -> Vec<Control>;

    /// Sets the control of a name; the value has been [checked](Control::check) against it.
    ///
    /// # Errors
    /// The device refuses what the control asks for.
    fn set(&mut self, name: &str, value: Value) -> Result<(), Error>;

    /// Takes what the mouse or a finger does, in points of the drawing of this view. Returns true if it meant something.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    fn point(&mut self, view: View, at: [f32; 2], pointer: Pointer) -> Result<bool, Error>;

    /// Begins anew with a seed, and submits nothing.
    ///
    /// # Errors
    /// The device refuses.
    fn reset(&mut self, seed: u32) -> Result<(), Error>;

    /// Takes what has come back; returns true if nothing is on its way any more.
    ///
    /// # Errors
    /// The device failed or was lost.
    fn poll(&mut self) -> Result<bool, Error>;

    /// Submits this many steps, and the readback of what is to be seen after them. With 0 steps, the readback alone.
    ///
    /// # Errors
    /// The device failed or was lost.
    fn submit(&mut self, steps: usize) -> Result<(), Error>;

    /// Steps a frame at speed 1.
    fn steps(&self) -> f64 {
        1.0
    }

    /// The numbers of the moment: score, loss, largest eigenvalue.
    fn readings(&self) -> Vec<Reading>;

    /// Draws what came last.
    fn drawing(&self, view: View) -> Drawing;

    /// Reads a checkpoint that the command wrote.
    ///
    /// # Errors
    /// The bytes are not a checkpoint for this scene; `name` stands for the file.
    fn load(&mut self, name: &str, _bytes: &[u8]) -> Result<(), Error> {
        Err(Error::Input(format!("{name}: this scene reads no files")))
    }

    /// Returns the name and the bytes of a checkpoint that the command reads; none where the scene has none.
    fn save(&self) -> Option<(String, Vec<u8>)> {
        None
    }
}

/// What the mouse or a finger does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    /// It goes down.
    Press,
    /// It moves while it is down.
    Drag,
    /// It goes up.
    Release,
}

/// A number of the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Its name.
    pub name: &'static str,
    /// Its value, as text would be rounded for people.
    pub value: f64,
    /// Digits after the point.
    pub digits: usize,
}

impl Reading {
    /// A reading.
    pub fn new(name: &'static str, value: f64, digits: usize) -> Self {
        Self { name, value, digits }
    }

    /// Returns its value as text.
    pub fn text(&self) -> String {
        format!("{:.*}", self.digits, self.value)
    }
}
