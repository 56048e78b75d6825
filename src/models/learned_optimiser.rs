//! An optimiser that is learned: a small perceptron, the same for every parameter of a network, turns what is known of
//! the parameter into its next step (Metz et al. 2019, "Understanding and correcting pathologies in the training of
//! learned optimizers").
//!
//! * [`LearnedOptimiser`]: what it reads and what it writes, as operations of a graph over a population.
//! * [`LearnedTraining`]: a [`GraphProblem`](crate::evolution::GraphProblem) whose outer parameters are its weights.
//! * [`RatedTraining`]: the same training by SGD or Adam, whose outer parameter is the learning rate.
//! * [`TrainedOptimiser`]: its weights as a checkpoint file.

mod flat;
mod rated;
mod trained;
mod training;

pub use rated::{RatedTraining, Rule};
pub use trained::TrainedOptimiser;
pub use training::LearnedTraining;

use fourfold_shaders::{Data, Element};

use crate::graph::{Graph, Tensor};
use crate::nn::Initialise;

/// The perceptron and the scales of what it says.
///
/// For each parameter `w` of a network with gradient `g` it reads [`FEATURES`](Self::FEATURES) numbers: `g`; `w`;
/// `g / (sqrt(v) + 1e-8)` and `m / (sqrt(v) + 1e-8)`, where `v` is the average of `g^2` that forgets at 0.999 a step and
/// `m` that of `g` at 0.9; and averages of `g` at each of [`DECAYS`](Self::DECAYS). Each is divided by its root mean
/// square over the tensor that the parameter belongs to. To these come numbers that all parameters share,
/// `tanh(t / s - 1)` for step `t` from 0 and each `s` of [`TIMES`](Self::TIMES). One hidden layer of ReLU units leads to
/// a direction `d` and a magnitude `a`, and the step is
///
/// ```text
/// w <- w - direction * d * exp(magnitude * a)
/// ```
///
/// The weights of the perceptron lie in one row `theta` in this order, with H hidden units: `hidden.weight (H, 8)`,
/// `hidden.time (H, 9)`, `hidden.bias (H)`, `output.weight (2, H)`, `output.bias (2)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnedOptimiser {
    /// Units of the hidden layer.
    pub hidden: usize,
    /// 1e-3 in the literature.
    pub direction: f32,
    /// 1e-3 in the literature.
    pub magnitude: f32,
}

/// Tensors that every step reads and none writes.
#[derive(Debug, Clone, Copy)]
pub struct OptimiserConstants<'g> {
    /// `(4, 1)`: [`LearnedOptimiser::DECAYS`].
    pub decays: Tensor<'g>,
    /// `(9)`: one over each of [`LearnedOptimiser::TIMES`].
    pub rates: Tensor<'g>,
    /// `(parameters, tensors)`: one over the size of a tensor where a parameter belongs to it.
    pub means: Tensor<'g>,
    /// `(tensors, parameters)`: 1 where a parameter belongs to a tensor.
    pub belongs: Tensor<'g>,
}

/// The inputs of an update of N networks of W parameters each.
#[derive(Debug, Clone, Copy)]
pub struct OptimiserInput<'g> {
    /// `(N, parameters of the optimiser)`
    pub theta: Tensor<'g>,
    /// `u32 []`: the step, from 0.
    pub time: Tensor<'g>,
    /// `(N, W)`
    pub weights: Tensor<'g>,
    /// `(N, W)`
    pub gradient: Tensor<'g>,
    /// `(N, 4, W)`: averages of the gradient, 0 at first.
    pub averages: Tensor<'g>,
    /// `(N, W)`: the average of the squared gradient, 0 at first.
    pub squares: Tensor<'g>,
    /// The constants, as tensors of the graph.
    pub constants: OptimiserConstants<'g>,
}

/// The results of an update, each in the shape of its input.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct OptimiserStep<'g> {
    /// The new weights.
    pub weights: Tensor<'g>,
    /// The new averages of the gradient.
    pub averages: Tensor<'g>,
    /// The new averages of the squared gradient.
    pub squares: Tensor<'g>,
}

impl Default for LearnedOptimiser {
    /// 16 units and the scales of the literature.
    fn default() -> Self {
        Self { hidden: 16, direction: 1e-3, magnitude: 1e-3 }
    }
}

impl LearnedOptimiser {
    /// Numbers that are read of each parameter.
    pub const FEATURES: usize = 4 + Self::DECAYS.len();
    /// The decay rates of the averages of the gradient.
    pub const DECAYS: [f32; 4] = [0.5, 0.9, 0.99, 0.999];
    /// Steps after which the numbers of time pass through 0.
    pub const TIMES: [f32; 9] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0];
    /// The decay rate of the average of the squared gradient.
    pub const SQUARE_DECAY: f32 = 0.999;
    /// The average of the gradient that is divided by the root of the squares: 0.9, as in Adam.
    const ADAM: usize = 1;
    /// Under the roots of mean squares: a tensor of zeros stays one.
    const TINY: f32 = 1e-12;

    /// Outer parameters, 322 with 16 units.
    pub fn parameters(&self) -> usize {
        self.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Names and shapes of its tensors, in the order of theta.
    pub fn tensors(&self) -> [(&'static str, Vec<usize>); 5] {
        let hidden = self.hidden;
        [
            ("hidden.weight", vec![hidden, Self::FEATURES]),
            ("hidden.time", vec![hidden, Self::TIMES.len()]),
            ("hidden.bias", vec![hidden]),
            ("output.weight", vec![2, hidden]),
            ("output.bias", vec![2]),
        ]
    }

    /// Theta to begin with: hidden weights normal with deviation `1 / sqrt(features)`, everything else 0, so that the
    /// optimiser does nothing yet but knows where it could go.
    pub fn initial(&self, seed: u32) -> Vec<f32> {
        let weights = self.hidden * Self::FEATURES;
        let deviation = 1.0 / (Self::FEATURES as f32).sqrt();
        let mut theta = Initialise::Normal(deviation).values(seed, 0, weights);
        theta.resize(self.parameters(), 0.0);
        theta
    }

    /// The [`OptimiserConstants`] of networks with tensors of these sizes, in their order, with the shapes.
    pub fn constants(sizes: &[usize]) -> [(Data, [usize; 2]); 4] {
        let (tensors, parameters) = (sizes.len(), sizes.iter().sum::<usize>());
        let mut means = vec![0.0; parameters * tensors];
        let mut belongs = vec![0.0; tensors * parameters];
        let mut parameter = 0;
        for (tensor, &size) in sizes.iter().enumerate() {
            for _ in 0..size {
                means[parameter * tensors + tensor] = 1.0 / size as f32;
                belongs[tensor * parameters + parameter] = 1.0;
                parameter += 1;
            }
        }
        [
            (Data::F32(Self::DECAYS.to_vec()), [Self::DECAYS.len(), 1]),
            (Data::F32(Self::TIMES.map(|time| 1.0 / time).to_vec()), [Self::TIMES.len(), 1]),
            (Data::F32(means), [parameters, tensors]),
            (Data::F32(belongs), [tensors, parameters]),
        ]
    }

    /// One step of every network.
    #[track_caller]
    pub fn step<'g>(&self, graph: &'g Graph, input: &OptimiserInput<'g>) -> OptimiserStep<'g> {
        let OptimiserInput { theta, weights, gradient, constants, .. } = *input;
        let [population, parameters] = weights.shape()[..] else {
            return OptimiserStep { weights, averages: input.averages, squares: input.squares };
        };
        let row = |tensor: Tensor<'g>| tensor.reshape([population, 1, parameters]);
        let averages = row(gradient) + constants.decays * (input.averages - row(gradient));
        let squared = gradient.square();
        let squares = squared + (input.squares - squared) * Self::SQUARE_DECAY;
        let inverse = 1.0 / (squares.sqrt() + 1e-8);
        let adam = averages.narrow(1, Self::ADAM, 1) * row(inverse);
        let read = [row(gradient), row(weights), row(gradient * inverse), adam, averages];
        let features = self.normalised(graph.concatenate(&read, 1), constants);
        let [direction, magnitude] = self.perceptron(graph, theta, input.time, constants.rates, features);
        let moved = direction * self.direction * (magnitude * self.magnitude).exp();
        OptimiserStep { weights: weights - moved, averages, squares }
    }

    /// `(N, 8, W)`: each feature over its root mean square over the tensor.
    fn normalised<'g>(&self, features: Tensor<'g>, constants: OptimiserConstants<'g>) -> Tensor<'g> {
        let mean_square = features.square().matmul(constants.means);
        features * (1.0 / (mean_square + Self::TINY).sqrt()).matmul(constants.belongs)
    }

    /// Direction and magnitude, `(N, W)` each.
    fn perceptron<'g>(
        &self,
        graph: &'g Graph,
        theta: Tensor<'g>,
        time: Tensor<'g>,
        rates: Tensor<'g>,
        features: Tensor<'g>,
    ) -> [Tensor<'g>; 2] {
        let [population, _, parameters] = features.shape()[..] else { return [features; 2] };
        let mut offset = 0;
        let [weight, timed, bias, output, shift] = self.tensors().map(|(_, shape)| {
            let length = shape.iter().product();
            let tensor = theta.narrow(1, offset, length);
            offset += length;
            // Vectors become columns.
            let axes = [shape[0], shape.get(1).copied().unwrap_or(1)];
            tensor.reshape([population, axes[0], axes[1]])
        });
        // Features that all parameters share come in as a bias.
        let times = (time.cast(Element::F32) * rates - 1.0).tanh();
        let shared = bias
            + timed.reshape([population * self.hidden, Self::TIMES.len()]).matmul(times).reshape([
                population,
                self.hidden,
                1,
            ]);
        // The bias as the weight of a feature that is 1 saves a pass over all hidden units.
        let ones = graph.full([population, 1, parameters], 1.0);
        let features = graph.concatenate(&[features, ones], 1);
        let hidden = graph.concatenate(&[weight, shared], 2).matmul(features).relu();
        let answers = output.matmul(hidden) + shift;
        [0, 1].map(|answer| answers.narrow(1, answer, 1).reshape([population, parameters]))
    }
}
