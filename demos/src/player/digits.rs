//! A classifier of handwritten digits, one image after another.

use std::rc::Rc;

use fourfold::Gpu;
use fourfold::data::{Dataset, digits};
use fourfold::graph::{Graph, Plan, Session, TensorType, Values};
use fourfold::models::{Classifier, TrainedClassifier};
use fourfold::shaders::Data;

use super::Player;
use crate::animation::Animation;
use crate::animation::drawing::{Drawing, Ink};
use crate::animation::projector::Key;
use crate::animation::reel::{Curve, Reel, Scene};
use crate::failure::Failure;

/// A classifier, with its answers to the images that the split of a seed holds back.
#[derive(Debug)]
pub(super) struct DigitPlayer {
    gpu: Gpu,
    trained: TrainedClassifier,
    /// The seed of the split that it was trained on, where its file says so.
    split: Option<u64>,
    seed: u64,
    place: usize,
}

/// Images of an episode.
const SHOWN: usize = 40;

/// The share of the images that is held back, as `fourfold sam` does.
const TEST: f64 = 0.2;

impl DigitPlayer {
    pub(super) fn new(gpu: Gpu, trained: TrainedClassifier, split: Option<u64>) -> Self {
        Self { gpu, trained, split, seed: 0, place: 0 }
    }

    /// Returns images and the probabilities of their classes.
    fn answers(&self, seed: u64) -> Result<(Dataset, Vec<f32>), Failure> {
        let test = digits().split(TEST, self.split.unwrap_or(seed))?.test;
        let count = test.len();
        let graph = Graph::new();
        let x = graph.input("images", TensorType::f32([count, test.features()]));
        let classifier = &self.trained.classifier;
        let weights = classifier.parameters().state(&graph, "weights");
        let running = classifier.running(&graph, "statistics");
        graph.output("probabilities", classifier.forward(weights, x, Classifier::evaluation(running)).softmax());
        let plan = Plan::new(&graph, &self.gpu.target())?;
        let mut values = Values::from([("weights".to_owned(), self.trained.weights.clone())]);
        values.extend(running.map(|_| ("statistics".to_owned(), self.trained.statistics.clone())));
        let mut session = Session::new(&self.gpu, plan, &values)?;
        let moments = self.trained.standardisation.mean.iter().zip(&self.trained.standardisation.deviation);
        let images =
            test.images().iter().zip(moments.cycle()).map(|(pixel, (mean, deviation))| (pixel - mean) / deviation);
        session.write("images", &Data::F32(images.collect()))?;
        session.submit(1)?;
        Ok((test, session.read("probabilities")?.f32().to_vec()))
    }

    fn film(&self) -> Result<Reel, Failure> {
        let (test, chances) = self.answers(self.seed)?;
        let (mut right, mut shares) = (0, Vec::new());
        let mut scenes = Vec::new();
        for shown in 0..SHOWN {
            let index = (self.place + shown) % test.len();
            let (label, own) = (test.labels()[index] as usize, &chances[10 * index..10 * index + 10]);
            let answer = (0..10).fold(0, |best, class| if own[class] > own[best] { class } else { best });
            right += usize::from(answer == label);
            shares.push(100.0 * right as f64 / (shown + 1) as f64);
            let verdict = if answer == label { "right".to_owned() } else { format!("wrong: it is a {label}") };
            scenes.push(Scene {
                drawing: drawing(test.image(index), own, label),
                words: [format!("says {answer}, {:.0} % sure", 100.0 * own[answer]), verdict],
            });
        }
        let unseen = if self.split.is_some() { " that it had not seen" } else { "" };
        Ok(Reel {
            title: format!("a classifier: {right} of {SHOWN} digits{unseen} are right"),
            time_step: 0.8,
            score: right as f64,
            shuffles: Vec::new(),
            scenes,
            curves: vec![Curve { name: "% right".into(), values: shares, range: [0.0, 100.0] }],
        })
    }
}

/// The image at the left, the chances of the ten classes at the right.
fn drawing(image: &[f32], chances: &[f32], label: usize) -> Drawing {
    let mut drawing = Drawing::new([-2.0, -8.6, 24.0, 1.0]);
    for (place, &pixel) in image.iter().enumerate().filter(|(_, pixel)| **pixel > 0.1) {
        let (row, column) = ((place / 8) as f64, (place % 8) as f64);
        drawing.block(Ink::Grey((255.0 * pixel) as u8), (column, -row), [1.02, 1.02]);
    }
    for (class, &chance) in chances.iter().enumerate() {
        let (left, height) = (11.0 + 1.2 * class as f64, 7.0 * f64::from(chance));
        let ink = if class == label { Ink::Goal } else { Ink::Limb };
        if height > 0.02 {
            drawing.block(ink, (left, -7.4 + height / 2.0), [0.8, height]);
        }
        drawing.label((left, -8.1), class.to_string());
    }
    drawing.line(Ink::Ground, 0.05, &[(10.2, -7.4), (22.6, -7.4)]);
    drawing
}

impl Player for DigitPlayer {
    fn keys(&self) -> &'static [Key] {
        &[Key::Restart]
    }

    fn first(&mut self, seed: u64) -> Result<Rc<dyn Animation>, Failure> {
        (self.seed, self.place) = (seed, SHOWN * (seed % 8) as usize);
        Ok(Rc::new(self.film()?))
    }

    fn answer(&mut self, _: Key, _: usize) -> Result<(Rc<dyn Animation>, usize), Failure> {
        self.place += SHOWN;
        Ok((Rc::new(self.film()?), 0))
    }

    /// The share of right answers to all images that the split of the seed holds back.
    fn score(&mut self, _: usize, seed: u64) -> Result<f64, Failure> {
        let (test, chances) = self.answers(seed)?;
        let best =
            |own: &[f32]| (0..own.len()).fold(0, |best, class| if own[class] > own[best] { class } else { best });
        let right = chances.chunks(10).zip(test.labels()).filter(|(own, label)| best(own) == **label as usize).count();
        Ok(right as f64 / test.len() as f64)
    }
}
