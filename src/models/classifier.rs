//! Classifiers of images, by name.

use std::fmt;
use std::str::FromStr;

use super::convolutional::{Declarations, Pass, PyramidNet, ResNet, Shortcut, SmallConvNet, WideResNet, WideShortcut};
use super::{Mlp, VisionTransformer, VisionTransformerOptions};
use crate::data::ImageShape;
use crate::graph::{Graph, Tag, Tensor, TensorType};
use crate::nn::{Mode, Noise, Parameters};

/// The network of a classifier, written `mlp:128` (hidden widths, `mlp:256,128` for two), `vit`, `cnn`, `resnet:20` (layers;
/// `resnet:8,8` with a width other than 16), `wrn:16,4` (layers and widening; `wrn-conv:16,4` with convolutions around its blocks,
/// as Zagoruyko's, and `wrn-same:16,4` with the SAM paper's padding and head) or `pyramidnet:272,200` (layers and alpha).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Architecture {
    /// A multi-layer perceptron.
    Mlp {
        /// The widths of its hidden layers.
        hidden: Vec<usize>,
    },
    /// A small vision transformer.
    VisionTransformer,
    /// Three convolutions with batch norm.
    SmallConvNet,
    /// A residual network of He et al. with shortcuts without parameters.
    ResNet {
        /// Layers, 6 n + 2.
        depth: usize,
        /// Channels of the first group, 16 in the paper.
        width: usize,
    },
    /// A wide residual network.
    WideResNet {
        /// Layers, 6 n + 4.
        depth: usize,
        /// The factor of the widths.
        widening: usize,
        /// The way around a block whose shape changes, and padding and head.
        shortcut: WideShortcut,
    },
    /// A pyramidal network in the form of the SAM paper's code.
    PyramidNet {
        /// Layers, 9 n + 2.
        depth: usize,
        /// The channels that the last block has more than the first convolution.
        alpha: usize,
    },
}

/// A text that names no architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchitectureError(String);

impl fmt::Display for ArchitectureError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "expected `vit`, `cnn`, `resnet:` and layers (8, 14, 20, ..) as in `resnet:20`, `wrn:` (`wrn-conv:`, `wrn-same:`) and layers (10, 16, 22, ..) and widening as in `wrn:16,4`, `pyramidnet:` and layers (11, 20, 29, ..) and alpha as in `pyramidnet:272,200`, or `mlp:` and hidden widths up to {} as in `mlp:256,128`, got `{}`",
            Architecture::WIDEST,
            self.0
        )
    }
}

impl std::error::Error for ArchitectureError {}

impl Architecture {
    /// The most that one hidden layer holds: more is a slip of the keyboard, and would be a matrix of gigabytes.
    pub const WIDEST: usize = 16_384;
    /// The most layers of a residual network: each makes the plan longer.
    pub const DEEPEST: usize = 1_024;
    /// The most that the widths of a residual network are multiplied by.
    pub const MOST_WIDENING: usize = 64;
}

impl FromStr for Architecture {
    type Err = ArchitectureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ArchitectureError(text.into());
        match text {
            "vit" => Ok(Architecture::VisionTransformer),
            "cnn" => Ok(Architecture::SmallConvNet),
            "mlp" => Ok(Architecture::Mlp { hidden: vec![128] }),
            _ => {
                let (name, numbers) = text.split_once(':').ok_or_else(wrong)?;
                let number = |number: &str| number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong);
                let numbers: Vec<usize> = numbers.split(',').map(number).collect::<Result<_, _>>()?;
                let blocks = |depth: usize, beside: usize, of_block: usize| {
                    (of_block + beside..=Self::DEEPEST).contains(&depth) && (depth - beside).is_multiple_of(of_block)
                };
                let layers = |depth: usize, beside: usize| blocks(depth, beside, 6);
                let shortcut = match name {
                    "wrn-conv" => WideShortcut::Projection,
                    "wrn-same" => WideShortcut::PaperCode,
                    _ => WideShortcut::Zeros,
                };
                match (name, &numbers[..]) {
                    ("mlp", hidden) if hidden.iter().all(|width| *width <= Self::WIDEST) => {
                        Ok(Architecture::Mlp { hidden: numbers })
                    }
                    ("resnet", &[depth]) if layers(depth, 2) => Ok(Architecture::ResNet { depth, width: 16 }),
                    ("resnet", &[depth, width]) if layers(depth, 2) && width <= 16 * Self::MOST_WIDENING => {
                        Ok(Architecture::ResNet { depth, width })
                    }
                    ("wrn" | "wrn-conv" | "wrn-same", &[depth, widening])
                        if layers(depth, 4) && widening <= Self::MOST_WIDENING =>
                    {
                        Ok(Architecture::WideResNet { depth, widening, shortcut })
                    }
                    ("pyramidnet", &[depth, alpha]) if blocks(depth, 2, 9) && alpha <= 16 * Self::MOST_WIDENING => {
                        Ok(Architecture::PyramidNet { depth, alpha })
                    }
                    _ => Err(wrong()),
                }
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
            Architecture::SmallConvNet => formatter.write_str("cnn"),
            Architecture::ResNet { depth, width: 16 } => write!(formatter, "resnet:{depth}"),
            Architecture::ResNet { depth, width } => write!(formatter, "resnet:{depth},{width}"),
            Architecture::WideResNet { depth, widening, shortcut } => {
                let name = match shortcut {
                    WideShortcut::Zeros => "wrn",
                    WideShortcut::Projection => "wrn-conv",
                    WideShortcut::PaperCode => "wrn-same",
                };
                write!(formatter, "{name}:{depth},{widening}")
            }
            Architecture::PyramidNet { depth, alpha } => write!(formatter, "pyramidnet:{depth},{alpha}"),
        }
    }
}

/// A network from images to logits, with its parameters.
#[derive(Debug, Clone)]
pub struct Classifier {
    parameters: Parameters,
    statistics: Parameters,
    network: Network,
    architecture: Architecture,
    image: ImageShape,
    classes: usize,
}

#[derive(Debug, Clone)]
enum Network {
    Mlp(Mlp),
    VisionTransformer(VisionTransformer),
    SmallConvNet(SmallConvNet),
    ResNet(ResNet),
    WideResNet(WideResNet),
    PyramidNet(PyramidNet),
}

impl Classifier {
    /// A classifier of images of `[height, width]` pixels, or of `[height, width, channels]`; `dropout` concerns the
    /// transformer alone.
    ///
    /// # Errors
    /// A size of 0, or an image that cannot be cut into patches.
    pub fn new(
        architecture: &Architecture,
        image: impl Into<ImageShape>,
        classes: usize,
        dropout: f32,
    ) -> Result<Self, String> {
        let image = image.into();
        let (mut parameters, mut statistics) = (Parameters::new(), Parameters::new());
        let mut declare = Declarations { parameters: &mut parameters, statistics: &mut statistics };
        if image.features() == 0 || classes == 0 {
            return Err(format!("expected images of some pixels and a class, got {image} and {classes}"));
        }
        let smallest = image.height.min(image.width);
        let quarters = |name: &str| match [image.height, image.width].iter().all(|side| side.is_multiple_of(4)) {
            true => Ok(()),
            false => Err(format!("`{name}` halves an image twice: expected sides that 4 divides, got {image}")),
        };
        let sides = [image.channels, classes];
        let network = match architecture {
            Architecture::Mlp { hidden } => {
                let widths = [&[image.features()], &hidden[..], &[classes]].concat();
                if widths.contains(&0) {
                    return Err(format!("expected pixels, classes and units of every layer, got {widths:?}"));
                }
                Network::Mlp(Mlp::new(declare.parameters, &widths))
            }
            Architecture::VisionTransformer => {
                // 16 tokens of an 8 x 8 image, 49 of a 28 x 28 one.
                let patch = if image.height <= 8 { 2 } else { 4 };
                let options =
                    VisionTransformerOptions { image, patch, dimension: 32, depth: 2, heads: 4, classes, dropout };
                Network::VisionTransformer(VisionTransformer::new(declare.parameters, options)?)
            }
            Architecture::SmallConvNet => {
                if smallest < 4 {
                    return Err(format!("`cnn` halves an image twice: expected 4 x 4 pixels or more, got {image}"));
                }
                Network::SmallConvNet(SmallConvNet::new(&mut declare, image.channels, classes))
            }
            &Architecture::ResNet { depth, width } => {
                Network::ResNet(ResNet::new(&mut declare, depth, width, Shortcut::Zeros, sides)?)
            }
            &Architecture::WideResNet { depth, widening, shortcut } => {
                quarters("wrn")?;
                Network::WideResNet(WideResNet::new(&mut declare, depth, widening, shortcut, sides)?)
            }
            &Architecture::PyramidNet { depth, alpha } => {
                quarters("pyramidnet")?;
                Network::PyramidNet(PyramidNet::new(&mut declare, depth, alpha, sides)?)
            }
        };
        Ok(Self { parameters, statistics, network, architecture: architecture.clone(), image, classes })
    }

    /// Returns the parameters, in the order of their declaration.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the running statistics of batch norm, which evaluation reads and no optimiser touches: none in networks
    /// without batch norm.
    pub fn statistics(&self) -> &Parameters {
        &self.statistics
    }

    /// The running statistics as the state `name` of a graph, which starts as [`Parameters::initial`] or from a checkpoint;
    /// `None` for a network without batch norm.
    #[track_caller]
    pub fn running<'g>(&self, graph: &'g Graph, name: &str) -> Option<Tensor<'g>> {
        let length = self.statistics.length();
        (length > 0).then(|| graph.state(name, Tag::Bookkeeping, TensorType::f32([length])))
    }

    /// Evaluation, with the running statistics that [`running`](Self::running) gives.
    pub fn evaluation<'a, 'g>(running: Option<Tensor<'g>>) -> Mode<'a, 'g> {
        running.map_or(Mode::from(Noise::NONE), Mode::evaluation)
    }

    /// Returns the architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Returns height, width and channels of an image.
    pub fn image_shape(&self) -> ImageShape {
        self.image
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Images `(batch, height * width * channels)` to logits `(batch, classes)`, at the flat `weights`. The mode is a
    /// [`Noise`], or says what batch norm normalises by as well.
    #[track_caller]
    pub fn forward<'a, 'g: 'a>(
        &'a self,
        weights: Tensor<'g>,
        images: Tensor<'g>,
        mode: impl Into<Mode<'a, 'g>>,
    ) -> Tensor<'g> {
        let (weights, mode) = (self.parameters.of(weights), mode.into());
        let pass = Pass { weights, statistics: &self.statistics, mode };
        let pixels = || {
            let batch = images.shape().first().copied().unwrap_or(0);
            images.reshape([batch, self.image.height, self.image.width, self.image.channels])
        };
        match &self.network {
            Network::Mlp(mlp) => mlp.forward(&weights, images),
            Network::VisionTransformer(transformer) => transformer.forward(&weights, images, mode.noise),
            Network::SmallConvNet(network) => network.forward(pass, pixels()),
            Network::ResNet(network) => network.forward(pass, pixels()),
            Network::WideResNet(network) => network.forward(pass, pixels()),
            Network::PyramidNet(network) => network.forward(pass, pixels()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_written_as_they_are_read() {
        let wide = ["wrn:16,4", "wrn-conv:16,4", "wrn-same:28,10", "pyramidnet:272,200"];
        for text in ["mlp:128", "mlp:256,128", "vit", "cnn", "resnet:20", "resnet:8,8"].into_iter().chain(wide) {
            assert_eq!(text.parse::<Architecture>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_architecture_is_named() {
        let wrong = ["mlp:", "mlp:0", "cmn", "mlp:12,x", "mlp:16385", "mlp:99999999999999999999"];
        let of_layers = ["resnet:9", "resnet:1026", "resnet:20,0", "wrn:16", "wrn:4,1", "wrn:16,65", "pyramidnet:272"];
        for text in wrong.into_iter().chain(of_layers).chain(["pyramidnet:270,200", "wrn-x:16,4"]) {
            let error = text.parse::<Architecture>().unwrap_err().to_string();
            assert!(error.ends_with(&format!("got `{text}`")), "{error}");
        }
    }
}
