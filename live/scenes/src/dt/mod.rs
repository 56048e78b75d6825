//! Decision transformers: they do what they are asked for, in Key-to-Door and on a graph.

mod attention_panel;
mod context;
mod paths;
mod rooms;

use fourfold::Gpu;
use fourfold::data::Checkpoint;

use crate::{Control, Drawing, Error, Pointer, Reading, Scene, Value, View};
use paths::Paths;
use rooms::Rooms;

/// The tasks, in the order in which they are offered.
const TASKS: [&str; 2] = ["Key-to-Door", "shortest paths"];

/// The tasks that were looked at, and the one that is shown.
pub(crate) struct Transformers {
    gpu: Gpu,
    seed: u32,
    scenes: [Option<Box<dyn Scene>>; 2],
    shown: usize,
}

/// Opens the scene.
pub(crate) fn open(gpu: &Gpu, seed: u32) -> Result<Box<dyn Scene>, Error> {
    let rooms: Box<dyn Scene> = Box::new(Rooms::open(gpu, seed)?);
    Ok(Box::new(Transformers { gpu: gpu.clone(), seed, scenes: [Some(rooms), None], shown: 0 }))
}

impl Transformers {
    fn show(&mut self, task: usize) -> Result<(), Error> {
        if self.scenes[task].is_none() {
            self.scenes[task] = Some(match task {
                0 => Box::new(Rooms::open(&self.gpu, self.seed)?),
                _ => Box::new(Paths::open(&self.gpu, self.seed)?),
            });
        }
        self.shown = task;
        Ok(())
    }

    fn scene(&self) -> Option<&dyn Scene> {
        self.scenes[self.shown].as_deref()
    }

    fn scene_mut(&mut self) -> Result<&mut Box<dyn Scene>, Error> {
        let shown = self.shown;
        self.scenes[shown].as_mut().ok_or_else(|| Error::input("task", "one that is open", TASKS[shown]))
    }
}

impl Scene for Transformers {
    fn controls(&self) -> Vec<Control> {
        let help = "Take the key and open the door, or find the way on a graph.";
        let mut controls = vec![Control::choice("task", "Task", 't', help, self.shown, &TASKS)];
        controls.extend(self.scene().map(Scene::controls).unwrap_or_default());
        controls
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), Error> {
        match (name, value) {
            ("task", Value::Index(task)) => self.show(task.min(TASKS.len() - 1)),
            _ => self.scene_mut()?.set(name, value),
        }
    }

    fn point(&mut self, view: View, at: [f32; 2], pointer: Pointer) -> Result<bool, Error> {
        self.scene_mut()?.point(view, at, pointer)
    }

    fn reset(&mut self, seed: u32) -> Result<(), Error> {
        self.seed = seed;
        self.scenes.iter_mut().flatten().try_for_each(|scene| scene.reset(seed))
    }

    fn poll(&mut self) -> Result<bool, Error> {
        self.scene_mut()?.poll()
    }

    fn submit(&mut self, steps: usize) -> Result<(), Error> {
        self.scene_mut()?.submit(steps)
    }

    fn steps(&self) -> f64 {
        self.scene().map_or(0.0, Scene::steps)
    }

    fn readings(&self) -> Vec<Reading> {
        self.scene().map(Scene::readings).unwrap_or_default()
    }

    fn drawing(&self, view: View) -> Drawing {
        self.scene().map(|scene| scene.drawing(view)).unwrap_or_default()
    }

    /// Reads a file of either task, and shows that task.
    fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let file = Checkpoint::from_bytes(name, bytes).map_err(|error| Error::Input(error.to_string()))?;
        let task = usize::from(file.get("environment").is_ok_and(|world| world == paths::ENVIRONMENT));
        let before = self.shown;
        self.show(task)?;
        let loaded = self.scene_mut()?.load(name, bytes);
        if loaded.is_err() {
            self.shown = before;
        }
        loaded
    }
}
