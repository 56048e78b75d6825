//! A learning rate and a momentum for each tensor of a network, and the width of each of its hidden layers.

use fourfold_shaders::elementwise::{Compare, Unary};

use super::ImageTask;
use crate::evolution::{GraphProblem, InnerStep, MemberState, SharedTensor, StepContext};
use crate::graph::{Op, Tensor};

/// Outer parameters, of which there are 29 for five hidden layers: the logarithm of the rate of each tensor, the logit
/// of the momentum of each tensor, and for each hidden layer the logit of the share of its units that are there:
/// `floor(sigmoid(theta) * units)` of them, the others masked. Widths are whole numbers, so the objective is a step
/// function of the latter.
#[derive(Debug)]
pub struct TensorHyperparameters {
    task: ImageTask,
    positions: [usize; 1],
}

impl TensorHyperparameters {
    /// Learns the rates of each tensor of a task's network.
    pub fn new(task: ImageTask) -> Self {
        let positions = [task.positions().len()];
        Self { task, positions }
    }

    /// Returns the images and the network.
    pub fn task(&self) -> &ImageTask {
        &self.task
    }

    /// Tensors, each of which has a rate and a momentum.
    pub fn tensors(&self) -> usize {
        2 * self.task.widths().len() - 2
    }

    /// Hidden layers, each of which has a width.
    pub fn layers(&self) -> usize {
        self.task.widths().len() - 2
    }

    /// Theta for shares in the open interval from 0 to 1: rates, momenta, and shares of the units.
    pub fn theta(&self, rates: &[f64], momenta: &[f64], shares: &[f64]) -> Vec<f32> {
        let logit = |share: &f64| (share / (1.0 - share)).ln();
        let rates = rates.iter().map(|rate| rate.ln());
        rates.chain(momenta.iter().map(logit)).chain(shares.iter().map(logit)).map(|theta| theta as f32).collect()
    }

    /// Units that each hidden layer has at theta.
    pub fn units(&self, theta: &[f32]) -> Vec<usize> {
        let shares = &theta[2 * self.tensors()..];
        let layers = shares.iter().zip(&self.task.settings.hidden);
        layers.map(|(&share, &units)| (units as f64 / (1.0 + f64::from(-share).exp())).floor() as usize).collect()
    }
}

impl GraphProblem for TensorHyperparameters {
    fn name(&self) -> &str {
        "the hyper-parameters of each tensor"
    }

    fn parameters(&self) -> usize {
        2 * self.tensors() + self.layers()
    }

    fn horizon(&self) -> Option<usize> {
        Some(self.task.settings.horizon)
    }

    fn states(&self) -> Vec<MemberState> {
        self.task.states()
    }

    fn shared(&self) -> Vec<SharedTensor<'_>> {
        let mut shared = self.task.shared();
        shared.push(SharedTensor { name: "positions", data: self.task.positions(), shape: &self.positions });
        shared
    }

    /// Five layers that begin with PyTorch's default weights pass on a hundredth of what they are given, and learn nothing
    /// in trainings of a few hundred steps, whatever the hyper-parameters: there is no slope to follow.
    fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
        self.task.reset_deep(inner)
    }

    fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
        let (tensors, population, parameters) = (self.tensors(), inner.population, self.parameters());
        // One parameter of all members after the other, each where a view may begin: views cost nothing, slices a
        // dispatch for each parameter.
        let row = population.next_multiple_of(Op::ALIGNMENT);
        let rows = inner.theta.transpose().pad(&[0, 0], [parameters, row]).reshape([parameters * row]);
        let (exponentials, sigmoids) = (rows.exp(), rows.unary(Unary::Sigmoid));
        let rates: Vec<_> = (0..tensors).map(|tensor| exponentials.view(tensor * row, [population])).collect();
        let momenta: Vec<_> = (tensors..2 * tensors).map(|tensor| sigmoids.view(tensor * row, [population])).collect();
        let positions = inner.shared[inner.shared.len() - 1];
        let masks = self.task.settings.hidden.iter().enumerate().map(|(layer, &units)| {
            let share = sigmoids.view((2 * tensors + layer) * row, [population, 1]);
            let kept = (share * units as f32).unary(Unary::Floor);
            let mask = positions.narrow(0, 0, units).reshape([1, units]).compare(Compare::Lt, kept);
            mask.reshape([population, 1, units])
        });
        let masks: Vec<_> = masks.collect();
        self.task.step(inner, states, &rates, &momenta, &masks)
    }
}
