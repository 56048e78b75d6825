//! Inner problems as graphs: a step of every member.

use std::fmt::Debug;

use fourfold_shaders::Data;

use crate::graph::{Graph, Shape, Tensor, TensorType};

/// An inner problem whose members are trained side by side: `N` networks in one graph, whose leading axis is the
/// population.
///
/// Steps are functions from states to states, so that one step is a plan that is recorded again and again, and several
/// steps in one graph can be differentiated. Members do not interact: row `i` of every result follows from row `i` of
/// the states and of theta alone, which makes the gradient of the **sum** of all members' losses the inner gradient of
/// each.
///
/// Members differ in theta and in nothing else. Random numbers come from the seeds of the [`StepContext`] and have
/// no population axis, so all members see the same minibatches and begin with the same weights: with other noise for
/// each, the difference of an antithetic pair would show the noise and not theta.
pub trait GraphProblem: Debug {
    /// The name in error messages.
    fn name(&self) -> &str;

    /// Outer parameters P, at least 1.
    fn parameters(&self) -> usize;

    /// Steps of the whole inner problem; `None` where it never ends.
    fn horizon(&self) -> Option<usize>;

    /// The tensors that a member carries from step to step, in an order that [`reset`](Self::reset) and [`step`](Self::step) keep.
    fn states(&self) -> Vec<MemberState>;

    /// Tensors that all members read and none writes, on the GPU once however large the population is: a data set.
    fn shared(&self) -> Vec<SharedTensor<'_>> {
        Vec::new()
    }

    /// The states at the start of an episode, in the order of [`states`](Self::states): each in the shape of a member's
    /// state, the same for all, or with the population before it.
    fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>>;

    /// One step from `states`, each with the population as its leading axis.
    fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g>;
}

/// A state of each member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    /// Must be unique within the problem.
    pub name: String,
    /// The type without the population axis.
    pub kind: TensorType,
}

impl MemberState {
    /// A state of `f32` numbers.
    pub fn f32(name: impl Into<String>, shape: impl Into<Shape>) -> Self {
        Self { name: name.into(), kind: TensorType::f32(shape) }
    }

    /// The type with the population as the leading axis.
    pub fn of(&self, population: usize) -> TensorType {
        let axes = [population].into_iter().chain(self.kind.shape.iter().copied());
        TensorType { element: self.kind.element, shape: Shape::from(axes.collect::<Vec<_>>()) }
    }
}

/// A tensor that all members read.
#[derive(Debug, Clone, Copy)]
pub struct SharedTensor<'a> {
    /// Must be unique within the problem.
    pub name: &'a str,
    /// The values, row-major.
    pub data: &'a Data,
    /// The dimensions, outermost first.
    pub shape: &'a [usize],
}

/// The graph that a step is built in, and all that it may read besides the states.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StepContext<'g> {
    /// The graph that the step is built in.
    pub graph: &'g Graph,
    /// Members N.
    pub population: usize,
    /// `(population, parameters)`
    pub theta: Tensor<'g>,
    /// `u32 []`: the step of the episode, from 0.
    pub time: Tensor<'g>,
    /// `u32 [2]`: (key, steps done since the beginning, over all episodes). Random numbers of it are others in every step.
    pub step_seed: Tensor<'g>,
    /// `u32 [2]`: (key, number of the episode). Random numbers of it are the same throughout an episode.
    pub episode_seed: Tensor<'g>,
    /// The tensors of [`GraphProblem::shared`], in their order.
    pub shared: Vec<Tensor<'g>>,
}

impl<'g> StepContext<'g> {
    /// Outer parameter `index` of each member, `(population)`.
    #[track_caller]
    pub fn parameter(&self, index: usize) -> Tensor<'g> {
        self.theta.narrow(1, index, 1).reshape([self.population])
    }
}

/// The result of a step.
#[derive(Debug, Clone)]
pub struct InnerStep<'g> {
    /// The states after the step, in the order and the shapes in which they came.
    pub states: Vec<Tensor<'g>>,
    /// `(population)`: the loss of each member, to be minimised. It need not be differentiable.
    pub loss: Tensor<'g>,
}
