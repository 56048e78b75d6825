//! Convolutional networks over images `(images, rows, columns, channels)`: classifiers (the small network, He's residual networks,
//! wide residual networks and pyramidal ones), and the encoder of games.

mod nature;
mod pyramid_net;
mod resnet;
mod small;
mod wide_resnet;

pub use nature::NatureEncoder;
pub use pyramid_net::PyramidNet;
pub use resnet::{ResNet, Shortcut};
pub use small::SmallConvNet;
pub use wide_resnet::{WideResNet, WideShortcut};

use crate::graph::{ConvolutionOptions, PoolOptions, Tensor};
use crate::nn::{BatchNorm2d, Conv2d, Initialise, Linear, Mode, Parameters, Weights};

/// The places where a network declares what it has.
#[derive(Debug)]
pub struct Declarations<'a> {
    /// The parameters, which are trained.
    pub parameters: &'a mut Parameters,
    /// The running statistics of batch norm.
    pub statistics: &'a mut Parameters,
}

impl Declarations<'_> {
    /// A convolution of 3 x 3 without bias, with a padding of 1.
    fn convolution(&mut self, name: &str, [channels, outputs]: [usize; 2], stride: usize) -> Conv2d {
        Conv2d::new(self.parameters, name, [3, 3, channels, outputs], ConvolutionOptions::new(stride, 1))
    }

    /// The same with TensorFlow's padding of images whose sides the stride divides: at a stride of 2 none before the image and
    /// 1 after it.
    fn padded_after(&mut self, name: &str, [channels, outputs]: [usize; 2], stride: usize) -> Conv2d {
        // With 6 pixels a side a stride of 2 meets every even length's padding.
        let options = ConvolutionOptions::same(stride, [6; 2], [3; 2]);
        Conv2d::new(self.parameters, name, [3, 3, channels, outputs], options)
    }

    /// A convolution of one tap without bias.
    fn projection(&mut self, name: &str, [channels, outputs]: [usize; 2], stride: usize) -> Conv2d {
        Conv2d::new(self.parameters, name, [1, 1, channels, outputs], ConvolutionOptions::new(stride, 0))
    }

    fn norm(&mut self, name: &str, channels: usize) -> BatchNorm2d {
        BatchNorm2d::new(self.parameters, self.statistics, name, channels)
    }
}

/// The weights, statistics and mode of a pass through a network.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a, 'g> {
    /// The parameters.
    pub weights: Weights<'a, 'g>,
    /// The declarations of the running statistics.
    pub statistics: &'a Parameters,
    /// The purpose of the pass.
    pub mode: Mode<'a, 'g>,
}

impl<'g> Pass<'_, 'g> {
    /// Batch norm and ReLU.
    #[track_caller]
    fn norm_relu(&self, norm: &BatchNorm2d, x: Tensor<'g>) -> Tensor<'g> {
        norm.forward_relu(&self.weights, self.statistics, x, self.mode)
    }

    #[track_caller]
    fn norm(&self, norm: &BatchNorm2d, x: Tensor<'g>) -> Tensor<'g> {
        norm.forward(&self.weights, self.statistics, x, self.mode)
    }
}

/// Declares the linear head `fc` of the SAM paper's code: weights uniform within 1 / sqrt(classes), and biases of 0.
fn paper_head(declare: &mut Declarations<'_>, inputs: usize, classes: usize) -> Linear {
    let initialise = [Initialise::linear(classes), Initialise::Constant(0.0)];
    Linear::initialised(declare.parameters, "fc", [inputs, classes], initialise)
}

/// The mean of each channel over all pixels: `(images, rows, columns, channels)` to `(images, channels)`.
#[track_caller]
fn global_average(x: Tensor<'_>) -> Tensor<'_> {
    match *x.shape() {
        [images, rows, columns, channels] => x.reshape([images, rows * columns, channels]).mean(1),
        _ => x.graph().fail("global_average", format!("takes images (images, rows, columns, channels), got {x:?}")),
    }
}

/// The images with zero channels after the last, so that there are `channels`.
#[track_caller]
fn with_zero_channels(x: Tensor<'_>, channels: usize) -> Tensor<'_> {
    let shape = x.shape();
    x.pad(&[0; 4], shape.with_axis(3, channels))
}

/// The mean of `stride` x `stride` pixels.
#[track_caller]
fn averaged(x: Tensor<'_>, stride: usize) -> Tensor<'_> {
    if stride == 1 { x } else { x.average_pool(PoolOptions::new(stride)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameters of a network, counted by PyTorch 2.15.0 on modules of the same layers.
    fn count<T>(declare: impl FnOnce(&mut Declarations<'_>) -> T) -> usize {
        let (mut parameters, mut statistics) = (Parameters::new(), Parameters::new());
        declare(&mut Declarations { parameters: &mut parameters, statistics: &mut statistics });
        parameters.count()
    }

    #[test]
    fn networks_have_as_many_parameters_as_in_pytorch() {
        let resnet = |depth, width, shortcut, channels| {
            count(|declare| ResNet::new(declare, depth, width, shortcut, [channels, 10]).unwrap())
        };
        assert_eq!(count(|declare| SmallConvNet::new(declare, 1, 10)), 24_058);
        assert_eq!([20, 32, 56].map(|depth| resnet(depth, 16, Shortcut::Zeros, 3)), [269_722, 464_154, 853_018]);
        assert_eq!([20, 32].map(|depth| resnet(depth, 16, Shortcut::Projection, 3)), [272_474, 466_906]);
        assert_eq!([8, 20].map(|depth| resnet(depth, 16, Shortcut::Zeros, 1)), [75_002, 269_434]);
        assert_eq!(resnet(8, 8, Shortcut::Zeros, 1), 19_074);
    }

    #[test]
    fn wide_networks_have_as_many_parameters_as_in_pytorch() {
        use WideShortcut::{PaperCode, Projection, Zeros};
        let wide = |depth, widening, shortcut, sides| {
            count(|declare| WideResNet::new(declare, depth, widening, shortcut, sides).unwrap())
        };
        assert_eq!(wide(28, 10, Zeros, [3, 10]), 36_220_634);
        assert_eq!(wide(28, 10, Zeros, [3, 100]), 36_278_324);
        assert_eq!(wide(28, 10, Projection, [3, 10]), 36_479_194);
        assert_eq!(wide(28, 10, Zeros, [1, 10]), 36_220_346);
        assert_eq!([Zeros, Projection].map(|shortcut| wide(16, 4, shortcut, [3, 10])), [2_706_906, 2_748_890]);
        assert_eq!([Zeros, PaperCode].map(|form| wide(16, 4, form, [1, 10])), [2_706_618; 2]);
        assert_eq!(wide(16, 8, Projection, [3, 10]), 10_961_370);
        assert_eq!([2, 10].map(|widening| wide(40, widening, Zeros, [3, 10])), [2_232_794, 55_583_194]);
        assert_eq!([Zeros, Projection].map(|shortcut| wide(10, 2, shortcut, [1, 10])), [292_666, 303_418]);
        assert_eq!(wide(10, 1, Projection, [1, 10]), 77_562);
    }

    #[test]
    fn pyramidal_networks_have_as_many_parameters_as_in_pytorch() {
        let (mut parameters, mut statistics) = (Parameters::new(), Parameters::new());
        let mut declare = Declarations { parameters: &mut parameters, statistics: &mut statistics };
        PyramidNet::new(&mut declare, 272, 200, [3, 10]).unwrap();
        assert_eq!(parameters.count(), 26_210_842);
        let vectors = parameters.iter().filter(|parameter| parameter.shape.rank() == 1);
        // Scales and shifts of batch norm, and ten biases of the head.
        assert_eq!(vectors.map(|parameter| parameter.shape.elements()).sum::<usize>(), 210_864 + 10);
    }

    #[test]
    fn padding_after_the_image_alone_is_that_of_strides_of_two() {
        let (mut parameters, mut statistics) = (Parameters::new(), Parameters::new());
        let mut declare = Declarations { parameters: &mut parameters, statistics: &mut statistics };
        let [one, two] = [1, 2].map(|stride| declare.padded_after(&format!("conv{stride}"), [1, 1], stride).options());
        assert_eq!((one.rows, one.columns), ([1, 1], [1, 1]));
        assert_eq!((two.rows, two.columns), ([0, 1], [0, 1]));
        for side in [32, 28, 16, 14, 8] {
            assert_eq!(ConvolutionOptions::same(2, [side; 2], [3; 2]), two);
        }
    }

    #[test]
    fn depths_that_no_network_has_are_refused() {
        let (mut parameters, mut statistics) = (Parameters::new(), Parameters::new());
        let mut declare = Declarations { parameters: &mut parameters, statistics: &mut statistics };
        let error = ResNet::new(&mut declare, 9, 16, Shortcut::Zeros, [1, 10]).unwrap_err();
        assert!(error.ends_with("got 9 layers and a width of 16"), "{error}");
        let error = WideResNet::new(&mut declare, 28, 0, WideShortcut::Zeros, [1, 10]).unwrap_err();
        assert!(error.ends_with("got 28 layers and 0"), "{error}");
        let error = PyramidNet::new(&mut declare, 270, 200, [1, 10]).unwrap_err();
        assert!(error.ends_with("got 270 layers and 200"), "{error}");
    }
}
