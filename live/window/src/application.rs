//! The window's content.

use std::path::Path;
use std::time::{Duration, Instant};

use eframe::egui::{
    self, Event, Key, Panel, Pos2, Rect, RichText, ScrollArea, Sense, ThemePreference, Ui, ViewportCommand,
};
use fourfold::{Gpu, wgpu};
use fourfold_scenes::{Colour, Error, Pointer, SCENES, Stage, Value, View};

use crate::painting::{Textures, paint};
use crate::{Arguments, controls};

/// The height of text where nothing is enlarged, in points.
const TEXT: f32 = 15.0;

/// Points of width below which controls stand below the picture.
const NARROW: f32 = 720.0;

/// Colours on light or dark ground, in words: the font has no signs for them.
const THEMES: [(ThemePreference, &str); 3] =
    [(ThemePreference::System, "Auto"), (ThemePreference::Light, "Light"), (ThemePreference::Dark, "Dark")];

/// Frames of which the frame rate is the mean.
const RATED: usize = 60;

/// The device that computes.
#[derive(Debug, Clone)]
pub enum Device {
    /// One of its own: the window outlives its loss.
    Own,
    /// The window's.
    Shared(wgpu::Device, wgpu::Queue),
}

/// A failure, by what is offered then.
#[derive(Debug, Clone, PartialEq)]
enum Trouble {
    /// The device: another can be opened.
    Device(String),
    /// An input.
    Input(String),
    /// Nothing but good news.
    Note(String),
}

/// The window's content: one stage, its controls, and what has gone wrong.
pub struct Application {
    device: Device,
    stage: Option<Stage>,
    word: String,
    seed: u32,
    trouble: Option<Trouble>,
    textures: Textures,
    begun: Instant,
    /// Seconds at the last frames.
    frames: Vec<f64>,
    last: Option<u64>,
    count: u64,
}

impl Application {
    /// Opens the scene that the arguments name; where it cannot be opened, the window says why.
    pub fn new(arguments: &Arguments, device: Device) -> Self {
        let mut application = Self {
            device,
            stage: None,
            word: arguments.word.clone(),
            seed: arguments.seed,
            trouble: None,
            textures: Textures::default(),
            begun: Instant::now(),
            frames: Vec::new(),
            last: arguments.frames,
            count: 0,
        };
        application.open();
        if let Some(file) = &arguments.load {
            application.load(Path::new(file));
        }
        application
    }

    /// The stage, if its device works.
    pub fn stage(&self) -> Option<&Stage> {
        self.stage.as_ref()
    }

    /// Opens the scene anew: on the device of the stage before, or on another if that was lost.
    fn open(&mut self) {
        self.trouble = None;
        self.textures.clear();
        let alive = self.stage.take().map(|stage| stage.gpu().clone()).filter(|gpu| gpu.lost().is_none());
        let gpu = match (alive, &self.device) {
            (Some(gpu), _) => Ok(gpu),
            (None, Device::Shared(device, queue)) => {
                let gpu = Gpu::adopt(device.clone(), queue.clone());
                // A shared device that is lost takes no more: the next is one of our own.
                gpu.lost().map_or(Ok(gpu), |_| Gpu::open())
            }
            (None, Device::Own) => Gpu::open(),
        };
        match gpu.map_err(Error::from).and_then(|gpu| Stage::open(&gpu, &self.word, self.seed)) {
            Ok(stage) => self.stage = Some(stage),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: Error) {
        self.trouble = Some(match error {
            Error::Input(message) => Trouble::Input(message),
            other => Trouble::Device(other.to_string()),
        });
    }

    fn note<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.fail(error)).ok()
    }

    fn set(&mut self, name: &str, value: Value) {
        if let ("seed", Value::Number(seed)) = (name, value) {
            self.seed = seed.round() as u32;
        }
        if let Some(stage) = &mut self.stage {
            let result = stage.set(name, value);
            self.note(result);
        }
    }

    fn load(&mut self, path: &Path) {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| Error::Input(format!("{name}: {error}")));
        let Some(bytes) = self.note(bytes) else { return };
        if let Some(stage) = &mut self.stage {
            let result = stage.load(&name, &bytes);
            self.note(result);
        }
    }

    /// Writes the checkpoint of the scene into the current folder.
    fn save(&mut self) {
        let Some((name, bytes)) = self.stage.as_ref().and_then(Stage::save) else { return };
        // Whole or not at all.
        let partial = format!("{name}.partial");
        let written = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, &name));
        self.trouble = Some(match written {
            Ok(()) => Trouble::Note(format!("Saved {name} in the current folder")),
            Err(error) => Trouble::Input(format!("{name}: {error}")),
        });
    }

    /// Keys of the scene, unless a widget takes them.
    fn keys(&mut self, ui: &Ui) {
        if ui.ctx().egui_wants_keyboard_input() {
            return;
        }
        let focused = ui.ctx().memory(|memory| memory.focused().is_some());
        let events = ui.input(|input| input.events.clone());
        for event in events {
            match event {
                Event::Key { key: Key::Space, pressed: true, .. } if !focused => self.press('p'),
                Event::Text(text) => {
                    for character in text.chars() {
                        match character {
                            digit @ '1'..='9' => self.choose(digit as usize - '1' as usize),
                            ' ' => {}
                            other => self.press(other),
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn press(&mut self, key: char) {
        if let Some(stage) = &mut self.stage {
            let result = stage.typed(key);
            self.note(result);
        }
    }

    fn choose(&mut self, index: usize) {
        if let Some(entry) = SCENES.get(index).filter(|entry| entry.word != self.word) {
            self.word = entry.word.to_owned();
            self.open();
        }
    }

    fn head(&mut self, ui: &mut Ui) {
        ui.horizontal_wrapped(|ui| {
            for (index, entry) in SCENES.iter().enumerate() {
                let chosen = entry.word == self.word;
                if ui.selectable_label(chosen, format!("{} {}", index + 1, entry.title)).clicked() {
                    self.choose(index);
                }
            }
            ui.separator();
            let mut theme = ui.ctx().options(|options| options.theme_preference);
            for (choice, name) in THEMES {
                if ui.selectable_value(&mut theme, choice, name).clicked() {
                    ui.ctx().set_theme(theme);
                }
            }
            if ui.button("A-").on_hover_text("Smaller text").clicked() {
                ui.ctx().set_zoom_factor((ui.ctx().zoom_factor() / 1.1).max(0.5));
            }
            if ui.button("A+").on_hover_text("Larger text").clicked() {
                ui.ctx().set_zoom_factor((ui.ctx().zoom_factor() * 1.1).min(3.0));
            }
            if self.stage.as_ref().is_some_and(|stage| stage.save().is_some())
                && ui.button("Save").on_hover_text("Write a checkpoint that the command reads").clicked()
            {
                self.save();
            }
            ui.separator();
            ui.label(format!("{:.0} frames a second", self.rate()));
        });
        let Some(trouble) = self.trouble.clone() else { return };
        ui.horizontal_wrapped(|ui| match trouble {
            Trouble::Device(message) => {
                ui.label(RichText::new(format!("The scene has stopped: {message}")).strong());
                if ui.button("Open a new device").clicked() {
                    self.open();
                }
            }
            Trouble::Input(message) | Trouble::Note(message) => {
                ui.label(message);
                if ui.button("Close").clicked() {
                    self.trouble = None;
                }
            }
        });
    }

    fn side(&mut self, ui: &mut Ui) {
        let Some(stage) = &self.stage else { return };
        let (about, controls, readings) = (stage.entry().about, stage.controls(), stage.readings());
        ui.label(about);
        ui.add_space(6.0);
        for (name, value) in controls::show(ui, &controls) {
            self.set(name, value);
        }
        ui.add_space(6.0);
        egui::Grid::new("readings").num_columns(2).show(ui, |ui| {
            for reading in readings {
                ui.label(reading.name);
                ui.label(RichText::new(reading.text()).monospace());
                ui.end_row();
            }
        });
    }

    fn scene(&mut self, ui: &mut Ui) {
        let size = ui.available_size();
        let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
        let Some(stage) = &mut self.stage else { return };
        let view = View { size: [rect.width(), rect.height()], text: TEXT };
        let drawing = stage.drawing(view);
        let dark = ui.visuals().dark_mode;
        paint(&drawing, &ui.painter_at(rect), rect.min, dark, &mut self.textures);
        let at = |pos: Pos2| [pos.x - rect.min.x, pos.y - rect.min.y];
        let (down, up) = ui.input(|input| (input.pointer.primary_pressed(), input.pointer.primary_released()));
        let place = ui.input(|input| input.pointer.interact_pos()).filter(|_| response.contains_pointer());
        let pointer = match place {
            Some(_) if down => Some(Pointer::Press),
            Some(_) if up => Some(Pointer::Release),
            Some(_) if response.dragged() => Some(Pointer::Drag),
            _ => None,
        };
        if let Some((place, pointer)) = place.zip(pointer) {
            let result = stage.point(view, at(place), pointer);
            self.note(result);
        }
    }

    /// Frames a second.
    pub fn rate(&self) -> f64 {
        match (self.frames.first(), self.frames.last()) {
            (Some(first), Some(last)) if last > first => (self.frames.len() - 1) as f64 / (last - first),
            _ => 0.0,
        }
    }

    fn advance(&mut self) {
        let now = self.begun.elapsed().as_secs_f64();
        self.frames.push(now);
        if self.frames.len() > RATED {
            self.frames.remove(0);
        }
        // After a failure of the device, frames go on without it.
        if matches!(self.trouble, Some(Trouble::Device(_))) {
            return;
        }
        if let Some(stage) = &mut self.stage {
            let result = stage.frame(now);
            self.note(result);
        }
    }
}

impl Application {
    /// Shows a frame.
    pub fn show(&mut self, ui: &mut Ui) {
        let minimised = ui.input(|input| input.viewport().minimized).unwrap_or(false);
        let dropped = ui.input(|input| input.raw.dropped_files.clone());
        for file in &dropped {
            self.load(file.path());
        }
        self.keys(ui);
        if !minimised {
            self.advance();
        }
        Panel::top("head").show(ui, |ui| self.head(ui));
        let area: Rect = ui.available_rect_before_wrap();
        if area.width() < NARROW {
            let height = (0.38 * area.height()).max(60.0);
            Panel::bottom("controls").exact_size(height).show(ui, |ui| {
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.side(ui));
            });
        } else {
            Panel::left("controls").default_size(290.0).show(ui, |ui| {
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.side(ui));
            });
        }
        // The window is cleared in the colour of the scene's ground.
        egui::CentralPanel::no_frame().show(ui, |ui| self.scene(ui));

        self.count += 1;
        if self.last.is_some_and(|last| self.count >= last) {
            let counts = self.stage.as_ref().map(Stage::counts).unwrap_or_default();
            println!("{:.1} frames a second, {} steps in {} frames", self.rate(), counts.steps, counts.frames);
            self.last = None;
            ui.ctx().send_viewport_cmd(ViewportCommand::Close);
        }
        let idle = minimised || self.stage.as_ref().is_none_or(|stage| !stage.is_playing());
        if idle {
            // Controls and answers are looked at now and then.
            ui.ctx().request_repaint_after(Duration::from_millis(50));
        } else {
            ui.ctx().request_repaint();
        }
    }
}

impl eframe::App for Application {
    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.show(ui);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        let [red, green, blue] = Colour::Ground.rgb(visuals.dark_mode);
        egui::Color32::from_rgb(red, green, blue).to_normalized_gamma_f32()
    }
}
