//! The attention neuron that plays Pong: its message on a grid, convolutions, and a choice among actions.

use super::VisionNeuron;
use crate::rollout::policies::attention_neuron::{Part, affine, cut};
use crate::{Error, Sizes, product, sum};

/// A convolution without padding, with a relu behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Channels that come out.
    pub channels: usize,
    /// The side of the kernel.
    pub kernel: usize,
    /// Places between two windows.
    pub stride: usize,
}

/// The layer, and behind it `logits = W_2 relu(W_1 relu(convolutions of relu(m)) + b_1) + b_2`, for messages on a square grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PongNetwork {
    /// The layer that sees.
    pub layer: VisionNeuron,
    /// The convolutions.
    pub convolutions: Vec<Convolution>,
    /// Numbers of the hidden layer.
    pub hidden: usize,
    /// Actions to choose from.
    pub actions: usize,
}

impl PongNetwork {
    /// The paper's network: 1,687,726 parameters.
    pub fn paper() -> Self {
        let convolution = |kernel, stride| Convolution { channels: 64, kernel, stride };
        let convolutions = vec![convolution(4, 2), convolution(3, 1)];
        Self { layer: VisionNeuron::pong(), convolutions, hidden: 512, actions: 6 }
    }

    /// A small student with three actions: 45,547 parameters. Keys have neither bias nor previous action, which change nothing.
    pub fn student() -> Self {
        let layer = VisionNeuron { actions: 0, key_bias: false, messages: 100, dimension: 16, ..VisionNeuron::pong() };
        let convolutions = vec![Convolution { channels: 32, kernel: 4, stride: 2 }];
        Self { layer, convolutions, hidden: 64, actions: 3 }
    }

    /// The side of the grid of the message's places.
    fn side(&self) -> usize {
        self.layer.messages.isqrt()
    }

    /// Channels and side of the grid before each convolution and after the last.
    fn grids(&self) -> Vec<[usize; 2]> {
        let mut grids = vec![[self.layer.dimension, self.side()]];
        for convolution in &self.convolutions {
            let side = grids[grids.len() - 1][1];
            let windows = side.checked_sub(convolution.kernel).map_or(0, |rest| rest / convolution.stride.max(1) + 1);
            grids.push([convolution.channels, windows]);
        }
        grids
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// The first size out of range.
    pub fn check(&self) -> Result<(), Error> {
        self.layer.check()?;
        let messages = self.layer.messages;
        let mut sizes = Sizes("pong network").positive(&[("hidden", self.hidden), ("actions", self.actions)])?;
        for (convolution, grid) in self.convolutions.iter().zip(self.grids()) {
            let Convolution { channels, kernel, stride } = *convolution;
            sizes = sizes.positive(&[("channels", channels), ("kernel", kernel), ("stride", stride)])?.expect(
                "kernel",
                kernel <= grid[1],
                format_args!("at most the grid's side of {}", grid[1]),
                kernel,
            )?;
        }
        sizes.expect("messages", self.side() * self.side() == messages, "a square number", messages)?;
        Ok(())
    }

    /// The tensors of the flat vector of weights in the order of the published code.
    ///
    /// # Panics
    /// If [`check`](Self::check) refuses the sizes.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = self.layer.parts();
        parts.extend(self.tail());
        parts
    }

    fn tail(&self) -> Vec<Part> {
        let (grids, mut parts) = (self.grids(), Vec::new());
        let mut part = |name: String, shape: &[usize]| {
            parts.push(Part { name: format!("{name}.weight"), shape: shape.to_vec() });
            parts.push(Part { name: format!("{name}.bias"), shape: shape[..1].to_vec() });
        };
        for (index, (convolution, grid)) in self.convolutions.iter().zip(&grids).enumerate() {
            let Convolution { channels, kernel, .. } = *convolution;
            part(format!("convolution{index}"), &[channels, grid[0], kernel, kernel]);
        }
        let [channels, side] = grids[grids.len() - 1];
        part("hidden".into(), &[self.hidden, product(&[channels, side, side])]);
        part("head".into(), &[self.actions, self.hidden]);
        parts
    }

    /// The length of the flat vector of weights.
    pub fn parameters(&self) -> usize {
        sum(&[self.layer.parameters(), self.tail().iter().fold(0, |total, part| sum(&[total, product(&part.shape)]))])
    }

    /// The logits `(actions)` for a stack of pictures, see [`VisionNeuron::message`].
    ///
    /// # Panics
    /// If a slice has another length than its shape says, or [`check`](Self::check) refuses the sizes.
    pub fn logits(
        &self,
        weights: &[f64],
        frames: &[&[u8]],
        previous_action: &[f64],
        keep: Option<&[bool]>,
    ) -> Vec<f64> {
        let mut take = cut(weights);
        let message = self.layer.message(take(self.layer.parameters()), frames, previous_action, keep, None);
        let relu = |x: f64| x.max(0.0);
        let dimension = self.layer.dimension;
        // Channels before rows and columns from here on.
        let mut x: Vec<f64> = (0..message.len())
            .map(|index| relu(message[index % self.layer.messages * dimension + index / self.layer.messages]))
            .collect();
        let grids = self.grids();
        for (convolution, grids) in self.convolutions.iter().zip(grids.windows(2)) {
            let ([inputs, side], [outputs, windows]) = (grids[0], grids[1]);
            let Convolution { kernel, stride, .. } = *convolution;
            let (weight, bias) = (take(outputs * inputs * kernel * kernel), take(outputs));
            let place = |index: usize| {
                let (output, row, column) = (index / (windows * windows), index / windows % windows, index % windows);
                let product = |tap: usize| {
                    let (input, down, across) = (tap / (kernel * kernel), tap / kernel % kernel, tap % kernel);
                    let at = (input * side + row * stride + down) * side + column * stride + across;
                    weight[output * inputs * kernel * kernel + tap] * x[at]
                };
                relu(bias[output] + (0..inputs * kernel * kernel).map(product).sum::<f64>())
            };
            x = (0..outputs * windows * windows).map(place).collect();
        }
        let hidden = affine(take(self.hidden * x.len()), take(self.hidden), &x);
        let hidden: Vec<f64> = hidden.into_iter().map(relu).collect();
        affine(take(self.actions * self.hidden), take(self.actions), &hidden)
    }
}
