//! SGD and SAM side by side on handwritten digits, some of whose labels are wrong.
//!
//! SGD learns the wrong labels by heart sooner and ends in a sharper place; SAM's loss is flatter around its weights.

mod learner;
mod pad;
mod picture;
mod sharpness;
mod slice;
mod task;

use fourfold::Gpu;
use fourfold::data::{Checkpoint, ImageShape};
use fourfold::models::{Architecture, Classifier, TrainedClassifier};
use fourfold::shaders::Data;

use crate::answer::Answer;
use crate::{Control, Drawing, Error, Pointer, Reading, Scene, Value, View};
use learner::{Learner, Measured, Seen};
use pad::Pad;
use task::Task;

/// Moments of the curves; of more, every second is kept.
const MOMENTS: usize = 800;

/// Both learners on one task.
pub(crate) struct SideBySide {
    gpu: Gpu,
    settings: Settings,
    task: Task,
    learners: [Learner; 2],
    pad: Pad,
    /// True while the pad has not been given to the learners.
    inked: bool,
    answer: Answer<usize>,
    seen: [Seen; 2],
    /// Step; then accuracy on held back images, accuracy on the labels learnt, and eigenvalue, of each learner.
    curve: Vec<[f64; 7]>,
    /// A moment is kept every so many answers.
    every: usize,
    answers: usize,
    step: usize,
    seen_step: usize,
    /// Submissions so far.
    frame: usize,
    version: u64,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    noise: f64,
    rho: f32,
    rate: f32,
    seed: u32,
}

/// The names of the learners.
const NAMES: [&str; 2] = ["SGD", "SAM"];

/// Opens the scene.
pub(crate) fn open(gpu: &Gpu, seed: u32) -> Result<Box<dyn Scene>, Error> {
    let settings = Settings { noise: 0.4, rho: 0.3, rate: 0.05, seed };
    let task = Task::new(gpu, &task::small(), settings.noise, seed)?;
    let learners = learners(gpu, &task, settings)?;
    let pad = Pad::of(task.test.image(0), &task.standardisation);
    Ok(Box::new(SideBySide {
        gpu: gpu.clone(),
        settings,
        task,
        learners,
        pad,
        inked: true,
        answer: Answer::none(),
        seen: Default::default(),
        curve: Vec::new(),
        every: 1,
        answers: 0,
        step: 0,
        seen_step: 0,
        frame: 0,
        version: 0,
    }))
}

fn learners(gpu: &Gpu, task: &Task, settings: Settings) -> Result<[Learner; 2], Error> {
    let Settings { rate, rho, seed, .. } = settings;
    let learner = |sharpened| Learner::new(gpu, task, sharpened, [rate, rho], seed);
    Ok([learner(false)?, learner(true)?])
}

impl SideBySide {
    /// Begins anew with these settings and the network that there is.
    fn begin(&mut self, settings: Settings) -> Result<(), Error> {
        let architecture = self.task.classifier.architecture().clone();
        self.begin_with(&architecture, settings)
    }

    fn begin_with(&mut self, architecture: &Architecture, settings: Settings) -> Result<(), Error> {
        self.task = Task::new(&self.gpu, architecture, settings.noise, settings.seed)?;
        self.learners = learners(&self.gpu, &self.task, settings)?;
        self.settings = settings;
        self.answer.forget();
        self.seen = Default::default();
        self.curve.clear();
        (self.every, self.answers, self.step, self.seen_step) = (1, 0, 0, 0);
        self.inked = true;
        Ok(())
    }

    fn remember(&mut self) {
        self.answers += 1;
        if !self.answers.is_multiple_of(self.every) {
            return;
        }
        let mut moment = [self.seen_step as f64; 7];
        for (index, seen) in self.seen.iter().enumerate() {
            let numbers = [seen.accuracy[0], seen.accuracy[1], seen.eigenvalue];
            moment[1 + 3 * index..][..3].copy_from_slice(&numbers.map(f64::from));
        }
        self.curve.push(moment);
        if self.curve.len() > MOMENTS {
            let mut index = 0;
            self.curve.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.every *= 2;
        }
    }
}

impl Scene for SideBySide {
    fn controls(&self) -> Vec<Control> {
        let Settings { noise, rho, rate, .. } = self.settings;
        vec![
            Control::slider(
                "noise",
                "Wrong labels",
                "Begin anew with this share of wrong labels.",
                noise,
                [0.0, 0.8],
                0.1,
            )
            .with_key('w'),
            Control::slider("rho", "Rho", "Radius of SAM's ascent.", round(rho), [0.01, 2.0], 0.01)
                .logarithmic()
                .with_key('o'),
            Control::slider("rate", "Rate", "Learning rate of both.", round(rate), [0.001, 0.5], 0.001)
                .logarithmic()
                .with_key('l'),
            Control::button("clear", "Clear the digit", 'c', "Clear the pad, to draw another digit with the mouse."),
            Control::button("another", "Another digit", 'a', "Show a digit that was held back."),
        ]
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), Error> {
        match (name, value) {
            ("noise", Value::Number(noise)) => self.begin(Settings { noise, ..self.settings })?,
            ("rho", Value::Number(rho)) => {
                self.settings.rho = rho as f32;
                self.learners.iter_mut().try_for_each(|learner| learner.set_rho(rho as f32))?;
            }
            ("rate", Value::Number(rate)) => {
                self.settings.rate = rate as f32;
                self.learners.iter_mut().try_for_each(|learner| learner.set_rate(rate as f32))?;
            }
            ("clear", _) => {
                self.pad.clear();
                self.inked = true;
            }
            ("another", _) => {
                self.version += 1;
                let row = self.version as usize % self.task.test.len();
                self.pad = Pad::of(self.task.test.image(row), &self.task.standardisation);
                self.inked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn point(&mut self, view: View, at: [f32; 2], pointer: Pointer) -> Result<bool, Error> {
        let pad = picture::places(view).pad;
        if pointer == Pointer::Release || !pad.contains(at) {
            return Ok(false);
        }
        self.pad.ink(pad.share(at));
        self.inked = true;
        Ok(true)
    }

    fn reset(&mut self, seed: u32) -> Result<(), Error> {
        self.begin(Settings { seed, ..self.settings })
    }

    fn poll(&mut self) -> Result<bool, Error> {
        let Some((values, step)) = self.answer.take()? else { return Ok(!self.answer.is_waiting()) };
        for ((learner, seen), values) in self.learners.iter_mut().zip(&mut self.seen).zip(values.chunks_exact(6)) {
            if let Some(fresh) = learner.seen(values) {
                *seen = fresh;
            }
        }
        let moved = step != self.seen_step || self.curve.is_empty();
        self.seen_step = step;
        self.version += 1;
        if moved {
            self.remember();
        }
        Ok(true)
    }

    fn submit(&mut self, steps: usize) -> Result<(), Error> {
        // What was changed is measured at once.
        let measured = if self.inked { Measured::ALL } else { Measured::of(self.frame) };
        self.frame += 1;
        if std::mem::take(&mut self.inked) {
            let digit = self.pad.standardised(&self.task.standardisation);
            self.learners.iter_mut().try_for_each(|learner| learner.show(digit.clone()))?;
        }
        let mut views = Vec::new();
        for learner in &mut self.learners {
            learner.submit(steps, measured)?;
            views.extend(learner.views()?);
        }
        self.step += steps;
        let ticket = self.gpu.submit("what is seen", |encoder| self.gpu.encode_readback(encoder, &views))?;
        self.answer.expect(ticket, self.step);
        Ok(())
    }

    /// One step of each, three gradients: a software driver has to paint as well.
    fn steps(&self) -> f64 {
        1.0
    }

    fn readings(&self) -> Vec<Reading> {
        let [sgd, sam] = &self.seen;
        let reading = |name, value: f32, digits| Reading::new(name, value.into(), digits);
        vec![
            Reading::new("step", self.seen_step as f64, 0),
            reading("SGD: held back images", sgd.accuracy[0], 3),
            reading("SAM: held back images", sam.accuracy[0], 3),
            reading("SGD: labels learnt", sgd.accuracy[1], 3),
            reading("SAM: labels learnt", sam.accuracy[1], 3),
            reading("SGD: largest eigenvalue", sgd.eigenvalue, 1),
            reading("SAM: largest eigenvalue", sam.eigenvalue, 1),
            reading("SGD: loss", sgd.loss, 3),
            reading("SAM: loss", sam.loss, 3),
        ]
    }

    fn drawing(&self, view: View) -> Drawing {
        picture::draw(self, view)
    }

    /// Both begin anew at the network of a file.
    fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let wrong = |error: fourfold::data::Error| Error::Input(error.to_string());
        let file = Checkpoint::from_bytes(name, bytes).map_err(wrong)?;
        let trained = TrainedClassifier::from_checkpoint(&file).map_err(wrong)?;
        let Self { task: Task { classifier: own, .. }, .. } = self;
        let ends = |classifier: &Classifier| {
            let ImageShape { height, width, channels } = classifier.image_shape();
            format!("{height} x {width} x {channels} to {}", classifier.classes())
        };
        let is_plain = trained.statistics.is_empty();
        if ends(own) != ends(&trained.classifier) || !is_plain {
            let (model, of) = (trained.classifier.architecture(), if is_plain { "" } else { " with batch norm" });
            let expected = format!("a network from {}, without batch norm", ends(own));
            return Err(Error::input(name, expected, format_args!("`{model}` from {}{of}", ends(&trained.classifier))));
        }
        self.begin_with(trained.classifier.architecture(), self.settings)?;
        self.learners.iter_mut().try_for_each(|learner| learner.set_weights(&trained.weights))
    }

    /// The network that SAM has trained so far.
    fn save(&self) -> Option<(String, Vec<u8>)> {
        let weights = &self.seen[1].weights;
        if weights.is_empty() {
            return None;
        }
        let trained = TrainedClassifier {
            classifier: self.task.classifier.clone(),
            weights: Data::F32(weights.clone()),
            statistics: Data::F32(Vec::new()),
            standardisation: self.task.standardisation.clone(),
        };
        Some(("sam.safetensors".into(), trained.to_checkpoint().to_bytes()))
    }
}

/// The number that a slider was set to, without the digits of its binary form.
fn round(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests;
