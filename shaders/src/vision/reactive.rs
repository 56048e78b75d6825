//! The attention neuron with a network behind it that remembers nothing: its message on a grid, convolutions, and what to do.
//! The paper plays Pong with it.

use super::VisionNeuron;
use crate::rollout::environments::USEFUL_ACTIONS;
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

/// The meaning of the outputs of a [`ReactiveNetwork`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Which of these actions of the world is the best, the first among equals.
    Choice(Vec<u32>),
    /// The numbers of the action, through a hyperbolic tangent.
    Numbers,
}

/// The layer, and behind it `outputs = W_2 relu(W_1 relu(convolutions of relu(m)) + b_1) + b_2`, for messages on a square grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactiveNetwork {
    /// The layer that sees.
    pub layer: VisionNeuron,
    /// The convolutions.
    pub convolutions: Vec<Convolution>,
    /// Numbers of the hidden layer.
    pub hidden: usize,
    /// Numbers that come out: one for each action to choose from, or those of an action.
    pub outputs: usize,
    /// Their meaning.
    pub answer: Answer,
}

impl ReactiveNetwork {
    /// The paper's network for Pong: 1,687,726 parameters.
    pub fn pong() -> Self {
        let convolution = |kernel, stride| Convolution { channels: 64, kernel, stride };
        let convolutions = vec![convolution(4, 2), convolution(3, 1)];
        Self {
            layer: VisionNeuron::pong(),
            convolutions,
            hidden: 512,
            outputs: 6,
            answer: Answer::Choice((0..6).collect()),
        }
    }

    /// A small student of Pong with the three [useful actions](USEFUL_ACTIONS): 45,547 parameters. Keys have neither bias nor
    /// previous action, which change nothing.
    pub fn pong_student() -> Self {
        let layer = VisionNeuron { actions: 0, key_bias: false, messages: 100, dimension: 16, ..VisionNeuron::pong() };
        let convolutions = vec![Convolution { channels: 32, kernel: 4, stride: 2 }];
        Self {
            layer,
            convolutions,
            hidden: 64,
            outputs: 3,
            answer: Answer::Choice(USEFUL_ACTIONS.map(|action| action as u32).into()),
        }
    }

    /// A small student of the car race, for pictures of 48 x 48: 31,107 parameters.
    pub fn car_student() -> Self {
        let own = Self::pong_student().layer;
        let layer = VisionNeuron { rows: 48, columns: 48, messages: 64, learned_norms: false, ..own };
        Self { layer, answer: Answer::Numbers, ..Self::pong_student() }
    }

    /// Numbers in an action of the world.
    pub fn actions(&self) -> usize {
        match self.answer {
            Answer::Choice(_) => 1,
            Answer::Numbers => self.outputs,
        }
    }

    /// The side of the grid of the message's places.
    fn side(&self) -> usize {
        self.layer.messages.isqrt()
    }

    /// Channels and side of the grid before each convolution and after the last.
    pub fn grids(&self) -> Vec<[usize; 2]> {
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
        let mut sizes = Sizes("reactive network").positive(&[("hidden", self.hidden), ("outputs", self.outputs)])?;
        for (convolution, grid) in self.convolutions.iter().zip(self.grids()) {
            let Convolution { channels, kernel, stride } = *convolution;
            sizes = sizes.positive(&[("channels", channels), ("kernel", kernel), ("stride", stride)])?.expect(
                "kernel",
                kernel <= grid[1],
                format_args!("at most the grid's side of {}", grid[1]),
                kernel,
            )?;
        }
        sizes = sizes.expect("messages", self.side() * self.side() == messages, "a square number", messages)?;
        if let Answer::Choice(actions) = &self.answer {
            let outputs = self.outputs;
            sizes.expect("answer", actions.len() == outputs, format_args!("{outputs} actions"), actions.len())?;
        }
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

    /// The tensors behind the layer's.
    ///
    /// # Panics
    /// If [`check`](Self::check) refuses the sizes.
    pub fn tail(&self) -> Vec<Part> {
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
        part("head".into(), &[self.outputs, self.hidden]);
        parts
    }

    /// The length of the flat vector of weights.
    pub fn parameters(&self) -> usize {
        sum(&[self.layer.parameters(), self.tail().iter().fold(0, |total, part| sum(&[total, product(&part.shape)]))])
    }

    /// The outputs for a stack of pictures, see [`VisionNeuron::message`].
    ///
    /// # Panics
    /// If a slice has another length than its shape says, or [`check`](Self::check) refuses the sizes.
    pub fn outputs(
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
        affine(take(self.outputs * self.hidden), take(self.outputs), &hidden)
    }
}
