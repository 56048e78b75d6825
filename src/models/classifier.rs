//! Classifiers of images, by name.

use std::fmt;
use std::str::FromStr;

use super::{Mlp, VisionTransformer, VisionTransformerOptions};
use crate::graph::Tensor;
use crate::nn::{Noise, Parameters};

/// The network of a classifier, written `mlp:128` (hidden widths, `mlp:256,128` for two) or `vit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Architecture {
    /// A multi-layer perceptron.
    Mlp {
        /// The widths of its hidden layers.
        hidden: Vec<usize>,
    },
    /// A small vision transformer.
    VisionTransformer,
}

/// A text that names no architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchitectureError(String);

impl fmt::Display for ArchitectureError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "expected `vit`, or `mlp:` and hidden widths up to {} as in `mlp:256,128`, got `{}`",
            Architecture::WIDEST,
            self.0
        )
    }
}

impl std::error::Error for ArchitectureError {}

impl Architecture {
    /// The most that one hidden layer holds: more is a slip of the keyboard, and would be a matrix of gigabytes.
    pub const WIDEST: usize = 16_384;
}

impl FromStr for Architecture {
    type Err = ArchitectureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ArchitectureError(text.into());
        match text {
            "vit" => Ok(Architecture::VisionTransformer),
            "mlp" => Ok(Architecture::Mlp { hidden: vec![128] }),
            _ => {
                let widths = text.strip_prefix("mlp:").ok_or_else(wrong)?;
                let width = |width: &str| {
                    width.parse().ok().filter(|width| (1..=Self::WIDEST).contains(width)).ok_or_else(wrong)
                };
                Ok(Architecture::Mlp { hidden: widths.split(',').map(width).collect::<Result<_, _>>()? })
            }
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Architecture::Mlp { hidden } => {
                let widths: Vec<String> = hidden.iter().map(usize::to_string).collect();
                write!(formatter, "mlp:{}", widths.join(","))
            }
            Architecture::VisionTransformer => formatter.write_str("vit"),
        }
    }
}

/// A network from images to logits, with its parameters.
#[derive(Debug, Clone)]
pub struct Classifier {
    parameters: Parameters,
    network: Network,
    architecture: Architecture,
    image: [usize; 2],
    classes: usize,
}

#[derive(Debug, Clone)]
enum Network {
    Mlp(Mlp),
    VisionTransformer(VisionTransformer),
}

impl Classifier {
    /// A classifier of images of `image` = (height, width) pixels; `dropout` concerns the transformer alone.
    ///
    /// # Errors
    /// A size of 0, or an image that cannot be cut into patches.
    pub fn new(architecture: &Architecture, image: [usize; 2], classes: usize, dropout: f32) -> Result<Self, String> {
        let mut parameters = Parameters::new();
        let network = match architecture {
            Architecture::Mlp { hidden } => {
                let widths = [&[image[0].saturating_mul(image[1])], &hidden[..], &[classes]].concat();
                if widths.contains(&0) {
                    return Err(format!("expected pixels, classes and units of every layer, got {widths:?}"));
                }
                Network::Mlp(Mlp::new(&mut parameters, &widths))
            }
            Architecture::VisionTransformer => {
                // 16 tokens of an 8 x 8 image, 49 of a 28 x 28 one.
                let patch = if image[0] <= 8 { 2 } else { 4 };
                let options =
                    VisionTransformerOptions { image, patch, dimension: 32, depth: 2, heads: 4, classes, dropout };
                Network::VisionTransformer(VisionTransformer::new(&mut parameters, options)?)
            }
        };
        Ok(Self { parameters, network, architecture: architecture.clone(), image, classes })
    }

    /// Returns the parameters, in the order of their declaration.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Height and width of an image.
    pub fn image_shape(&self) -> [usize; 2] {
        self.image
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Images `(batch, height * width)` to logits `(batch, classes)`, at the flat `weights`.
    #[track_caller]
    pub fn forward<'g>(&self, weights: Tensor<'g>, images: Tensor<'g>, noise: Noise<'g>) -> Tensor<'g> {
        let weights = self.parameters.of(weights);
        match &self.network {
            Network::Mlp(mlp) => mlp.forward(&weights, images),
            Network::VisionTransformer(transformer) => transformer.forward(&weights, images, noise),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_written_as_they_are_read() {
        for text in ["mlp:128", "mlp:256,128", "vit"] {
            assert_eq!(text.parse::<Architecture>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_architecture_is_named() {
        for text in ["mlp:", "mlp:0", "cnn", "mlp:12,x", "mlp:16385", "mlp:99999999999999999999"] {
            let error = text.parse::<Architecture>().unwrap_err().to_string();
            assert!(error.ends_with(&format!("got `{text}`")), "{error}");
        }
    }
}
