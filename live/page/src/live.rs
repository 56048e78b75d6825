//! A scene as the script plays it.

use fourfold_scenes::{Control, Kind, Pointer, SCENES, Stage, Value, View};
use serde_json::{Value as Json, json};
use wasm_bindgen::prelude::*;

use crate::Device;
use crate::painting::Painting;

/// The scenes as JSON, in the order of the tabs, each with the name of the module that has it.
#[wasm_bindgen]
pub fn scenes() -> String {
    let entry = |entry: &fourfold_scenes::Entry| {
        let fourfold_scenes::Entry { word, title, about, module, .. } = entry;
        json!({ "word": word, "title": title, "about": about, "module": module })
    };
    Json::from(SCENES.iter().map(entry).collect::<Vec<_>>()).to_string()
}

/// The names of the files that the script fetches before it opens a scene.
#[wasm_bindgen]
pub fn wanted_files() -> Vec<String> {
    fourfold_scenes::wanted_files().map(str::to_owned).collect()
}

/// Takes the bytes of a file that the script fetched.
#[wasm_bindgen]
pub fn give_file(name: String, bytes: Vec<u8>) {
    fourfold_scenes::give_file(name, bytes);
}

/// A scene that plays.
#[wasm_bindgen]
pub struct Live {
    stage: Stage,
}

#[wasm_bindgen]
impl Live {
    /// Opens the scene of a word with a seed.
    ///
    /// # Errors
    /// No scene has this word, or the device refuses.
    pub fn open(device: &Device, word: &str, seed: u32) -> Result<Live, JsError> {
        Ok(Live { stage: Stage::open(&device.gpu, word, seed)? })
    }

    /// One frame at `now` seconds; waits for nothing. Returns true if there is something new to be painted.
    ///
    /// # Errors
    /// The device failed or was lost.
    pub fn frame(&mut self, now: f64) -> Result<bool, JsError> {
        let before = self.stage.counts();
        self.stage.frame(now)?;
        Ok(self.stage.counts().unanswered == before.unanswered)
    }

    /// Steps submitted so far.
    pub fn steps(&self) -> f64 {
        self.stage.counts().steps as f64
    }

    /// The controls as JSON, with their present values.
    pub fn controls(&self) -> String {
        Json::from(self.stage.controls().iter().map(described).collect::<Vec<_>>()).to_string()
    }

    /// Sets a control: 1 presses a button, 0 and 1 are off and on, a choice is its index.
    ///
    /// # Errors
    /// No control has this name, a value that it does not take, or the device refuses.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), JsError> {
        let controls = self.stage.controls();
        let kind = controls.iter().find(|control| control.name == name).map(|control| &control.kind);
        let value = match kind {
            Some(Kind::Button) => Value::Pressed,
            Some(Kind::Toggle(_)) => Value::On(value != 0.0),
            Some(Kind::Choice { .. }) => Value::Index(value as usize),
            // The stage names those there are.
            Some(Kind::Slider { .. }) | None => Value::Number(value),
        };
        Ok(self.stage.set(name, value)?)
    }

    /// Presses a key; `back` is the way of shift. Returns false if no control has it.
    ///
    /// # Errors
    /// As [`Live::set`].
    pub fn key(&mut self, key: char, back: bool) -> Result<bool, JsError> {
        Ok(self.stage.key(key, back)?)
    }

    /// The mouse or a finger goes down (0), moves while it is down (1) or goes up (2), in points of the picture.
    ///
    /// # Errors
    /// The device refuses.
    pub fn point(&mut self, width: f32, height: f32, text: f32, x: f32, y: f32, kind: u8) -> Result<bool, JsError> {
        let pointer = match kind {
            0 => Pointer::Press,
            1 => Pointer::Drag,
            _ => Pointer::Release,
        };
        Ok(self.stage.point(View { size: [width, height], text }, [x, y], pointer)?)
    }

    /// The numbers of the moment as JSON.
    pub fn readings(&self) -> String {
        let readings = self.stage.readings();
        let reading = readings
            .iter()
            .map(|reading| json!({ "name": reading.name, "text": reading.text(), "value": reading.value }));
        Json::from(reading.collect::<Vec<_>>()).to_string()
    }

    /// Shapes to paint, in points of a picture of this size with text of this height.
    pub fn painting(&self, width: f32, height: f32, text: f32, dark: bool) -> Painting {
        let view = View { size: [width, height], text };
        Painting::of(self.stage.drawing(view), view, dark)
    }

    /// Reads a checkpoint of the command.
    ///
    /// # Errors
    /// The bytes are not a checkpoint for this scene.
    pub fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), JsError> {
        Ok(self.stage.load(name, bytes)?)
    }

    /// The name of the file that [`Live::save`] gives; nothing where the scene has none.
    pub fn saves(&self) -> Option<String> {
        self.stage.save().map(|(name, _)| name)
    }

    /// A checkpoint that the command reads.
    pub fn save(&self) -> Option<Vec<u8>> {
        self.stage.save().map(|(_, bytes)| bytes)
    }
}

fn described(control: &Control) -> Json {
    let Control { name, label, key, help, kind } = control;
    let mut json = json!({ "name": name, "label": label, "key": key.map(String::from), "help": help });
    let (kind, more) = match kind {
        Kind::Button => ("button", json!({})),
        Kind::Toggle(on) => ("toggle", json!({ "value": on })),
        Kind::Choice { value, options } => ("choice", json!({ "value": value, "options": options })),
        Kind::Slider { value, range: [min, max], step, logarithmic } => {
            ("slider", json!({ "value": value, "min": min, "max": max, "step": step, "logarithmic": logarithmic }))
        }
    };
    json["kind"] = kind.into();
    if let (Json::Object(json), Json::Object(more)) = (&mut json, more) {
        json.extend(more);
    }
    json
}
