//! Settings of a training beyond SGD and SAM as they are: augmentation, and other ascents.

use clap::ValueEnum;
use fourfold::data::{Dataset, Standardisation};
use fourfold::graph::{AugmentOptions, Graph, Tensor, TensorType};
use fourfold::models::Classifier;
use fourfold::optim::AscentVariant;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The augmentation of training images, once a batch: both passes of a sharpness-aware step see the same images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    #[default]
    None,
    /// Moved by up to 4 pixels along both axes, every second one mirrored
    CropFlip,
    /// The same, with a hole of 16 x 16 pixels
    CropFlipCutout,
}

/// The pixels beyond the border of an image that is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Border {
    /// Its mirror image, as in the SAM paper's code
    #[default]
    Reflected,
    /// Black, as PyTorch users have it
    Black,
}

/// The images that have a hole at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoleOf {
    /// All images of a batch, as in the SAM paper's code
    #[default]
    Batch,
    /// Each image has its own, as in the paper of cutout
    Image,
}

/// The parameters that the ascent moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Perturb {
    #[default]
    All,
    /// Scales and shifts of norms, and biases, with one norm over them
    NormsAndBiases,
}

/// The parameters whose perturbation adaptive SAM scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdaptiveOn {
    #[default]
    All,
    /// Weights of convolutions and linear layers
    Weights,
}

/// The pixels by which an image is moved at most.
const CROP: usize = 4;
/// The side of a hole.
const HOLE: usize = 16;

/// An augmentation in a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    options: AugmentOptions,
    /// A black image after standardisation, where the border is black.
    black: Option<Vec<f32>>,
}

impl Augmentation {
    /// Returns the augmentation of images that were standardised in this way; `None` for none.
    pub fn new(augment: Augment, border: Border, hole: HoleOf, standardisation: &Standardisation) -> Option<Self> {
        let hole_side = match augment {
            Augment::None => return None,
            Augment::CropFlip => 0,
            Augment::CropFlipCutout => HOLE,
        };
        let hole_of_batch = hole == HoleOf::Batch;
        let options = AugmentOptions { crop: CROP, mirror: true, hole: hole_side, hole_of_batch };
        let moments = standardisation.mean.iter().zip(&standardisation.deviation);
        let black = || moments.map(|(mean, deviation)| -mean / deviation).collect();
        Some(Self { options, black: (border == Border::Black).then(black) })
    }

    /// Refuses images that are too small.
    ///
    /// # Errors
    /// Images of which nothing, or another image, would be left.
    pub fn check(augment: Augment, data: &Dataset) -> Result<(), Failure> {
        let least = match augment {
            Augment::None => return Ok(()),
            Augment::CropFlip => CROP + 1,
            Augment::CropFlipCutout => HOLE + 1,
        };
        let image = data.image_shape();
        if image.height.min(image.width) < least {
            let expected = format!("images of at least {least} x {least} pixels");
            return Err(Failure::Input(format!("--augment: expected {expected}, got {image}")));
        }
        Ok(())
    }

    /// Returns the values of the [`input`](Self::apply) that it adds to a graph.
    pub fn black(&self) -> Option<&Vec<f32>> {
        self.black.as_ref()
    }

    /// Augments images `(batch, features)`.
    pub fn apply<'g>(&self, graph: &'g Graph, data: &Dataset, x: Tensor<'g>, seed: Tensor<'g>) -> Tensor<'g> {
        /// Above the streams of all layers.
        const STREAM: u32 = 0x6175_676d;
        let (shape, image) = (x.shape(), data.image_shape());
        let black = self
            .black
            .as_ref()
            .map(|_| graph.input("black", TensorType::f32([image.height, image.width, image.channels])));
        let images = x.reshape([shape[0], image.height, image.width, image.channels]);
        images.augment(seed, STREAM, self.options, black).reshape(shape)
    }
}

/// The ascent of a recipe where it is not SAM's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ascent {
    /// True for a random direction in the place of the gradient's.
    pub random: bool,
    pub perturb: Perturb,
    pub adaptive_on: AdaptiveOn,
}

impl Ascent {
    /// Returns the masks that it needs, by the names of their inputs: 1 where a parameter is meant, in a flat tensor.
    pub fn masks(self, classifier: &Classifier) -> Vec<(&'static str, Vec<f32>)> {
        let mask = |meant: &dyn Fn(usize) -> bool| {
            let parameters = classifier.parameters();
            let mut mask = vec![0.0; parameters.length()];
            for parameter in parameters.iter().filter(|parameter| meant(parameter.shape.rank())) {
                mask[parameter.offset..][..parameter.shape.elements()].fill(1.0);
            }
            mask
        };
        let perturbed = match self.perturb {
            Perturb::All => self.random.then(|| mask(&|_| true)),
            Perturb::NormsAndBiases => Some(mask(&|rank| rank < 2)),
        };
        let scaled = (self.adaptive_on == AdaptiveOn::Weights).then(|| mask(&|rank| rank >= 2));
        let named = [("perturbed", perturbed), ("scaled", scaled)];
        named.into_iter().filter_map(|(name, mask)| Some((name, mask?))).collect()
    }

    /// Returns the variant for the optimiser, with the inputs that hold the [masks](Self::masks).
    pub fn variant<'g>(self, graph: &'g Graph, classifier: &Classifier, seed: Tensor<'g>) -> AscentVariant<'g> {
        const STREAM: u32 = 0x6469_7265;
        let length = classifier.parameters().length();
        let mut variant = AscentVariant::default();
        for (name, _) in self.masks(classifier) {
            let mask = graph.input(name, TensorType::f32([length]));
            match name {
                "perturbed" => variant.perturbed = Some(mask),
                _ => variant.scaled = Some(mask),
            }
        }
        variant.direction = self.random.then(|| seed.normal(STREAM, [length]));
        variant
    }
}
