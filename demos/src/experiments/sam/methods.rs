//! The data, the network and the recipe of each method, from the settings.

use fourfold::data::{Dataset, Standardisation, digits};
use fourfold::graph::Adaptive;
use fourfold::models::{Architecture, Classifier};
use fourfold::optim::{AdamW, Ascent, Optimiser, Sam, Schedule, Sgd, WeightDecay};

use super::trainer::{Method, Recipe};
use super::variant::{self, Augmentation};
use super::{Ball, OptimiserName, Settings};
use crate::failure::Failure;

/// The images of a training, standardised.
#[derive(Debug, Clone)]
pub struct Images {
    /// Those that it sees, some with wrong labels.
    pub training: Dataset,
    /// Those by which settings are compared, with as many wrong labels.
    pub validation: Option<Dataset>,
    pub test: Dataset,
    pub standardisation: Standardisation,
}

/// Apart from the labels that are wrong in training.
const VALIDATION_SEED: u64 = 0x7661_6c69_6461;

impl Settings {
    /// The images of a training. `seed` decides the split of the built-in digits and the wrong labels, so that each seed of
    /// a comparison sees other ones, and all methods the same.
    ///
    /// # Errors
    /// If the files of the data set cannot be read, or hold fewer images than are asked for.
    pub fn images(&self, seed: u64) -> Result<Images, Failure> {
        let (split, standardisation) = match self.data.folder(&self.data_dir) {
            None => {
                let split = digits().split(0.2, seed)?;
                let standardisation = Standardisation::per_feature(&split.training);
                (split, standardisation)
            }
            Some(folder) => {
                let split = self.data.load(&folder, "--data digits")?;
                let standardisation = Standardisation::per_channel(&split.training);
                (split, standardisation)
            }
        };
        let (all, held) = (split.training, self.validation);
        if held >= all.len() {
            let most = all.len() - 1;
            return Err(Failure::Input(format!("--validation: expected at most {most} images, got {held}")));
        }
        let rows = self.images.unwrap_or(all.len() - held).min(all.len());
        if rows + held > all.len() {
            let expected = format!("expected at most {} images beside --images {rows}", all.len() - rows);
            return Err(Failure::Input(format!("--validation: {expected}, got {held}")));
        }
        let mut validation = if held > 0 { Some(all.rows(rows..rows + held)?) } else { None };
        // All of a large set is not copied.
        let mut training = if rows < all.len() { all.truncated(rows) } else { all };
        let mut test = split.test;
        for set in [&mut training, &mut test].into_iter().chain(&mut validation) {
            standardisation.apply(set);
        }
        training.flip_labels(self.label_noise, seed);
        if let Some(validation) = &mut validation {
            validation.flip_labels(self.label_noise, seed ^ VALIDATION_SEED);
        }
        Ok(Images { training, validation, test, standardisation })
    }

    /// Returns the network that the settings ask for.
    ///
    /// # Errors
    /// If the network does not suit the images.
    pub fn classifier(&self, data: &Dataset) -> Result<Classifier, Failure> {
        let architecture: Architecture = self.model.parse().map_err(Failure::input)?;
        Classifier::new(&architecture, data.image_shape(), data.classes(), self.dropout).map_err(Failure::Input)
    }

    /// The recipe of SGD (or AdamW) by itself, or of SAM around it, on `rows` training images.
    pub fn recipe(
        &self,
        sharpness_aware: bool,
        classifier: &Classifier,
        standardisation: &Standardisation,
        rows: usize,
    ) -> Recipe {
        let outside = if sharpness_aware && self.decay_inside { 0.0 } else { self.weight_decay };
        let count = classifier.parameters().length();
        let sam = Sam {
            ascent: match self.ascent {
                Ball::L2 | Ball::Random => Ascent::L2,
                Ball::Linf => Ascent::LInfinity,
            },
            adaptive: self.adaptive.then_some(Adaptive { count, eta: 0.01 }),
            steps: self.ascent_steps,
            chunks: self.chunks,
            weight_decay: if self.decay_inside { WeightDecay::Inside(self.weight_decay) } else { WeightDecay::Outside },
            second_order: self.second_order,
        };
        Recipe {
            method: if sharpness_aware { Method::SharpnessAware { sam, rho: self.rho } } else { Method::Plain },
            optimiser: match self.optimiser {
                OptimiserName::Sgd => {
                    Optimiser::Sgd(Sgd { momentum: self.momentum, nesterov: true, weight_decay: outside })
                }
                OptimiserName::Adamw => Optimiser::AdamW(AdamW { weight_decay: outside, ..AdamW::default() }),
            },
            rate: self.rate,
            schedule: Schedule::Cosine { steps: self.epochs * (rows / self.batch.max(1)).max(1) },
            batch: self.batch,
            smoothing: self.smoothing,
            clip: self.clip,
            running_from: self.running_from,
            synchronised: self.sync_batch_norm,
            augmentation: Augmentation::new(self.augment, self.border, self.hole_of, standardisation),
            chunks: self.chunks,
            ascent: variant::Ascent {
                random: self.ascent == Ball::Random,
                perturb: self.perturb,
                adaptive_on: self.adaptive_on,
            },
        }
    }

    /// The names of the two methods in tables and files.
    pub fn method_names(&self) -> [&'static str; 2] {
        match (self.optimiser, self.adaptive) {
            (OptimiserName::Sgd, false) => ["SGD", "SAM"],
            (OptimiserName::Sgd, true) => ["SGD", "ASAM"],
            (OptimiserName::Adamw, false) => ["AdamW", "AdamW + SAM"],
            (OptimiserName::Adamw, true) => ["AdamW", "AdamW + ASAM"],
        }
    }
}
