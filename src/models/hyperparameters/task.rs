//! The task of each member of a population: learning images by a perceptron with stochastic gradient descent.

use fourfold_shaders::elementwise::{Compare, Unary};
use fourfold_shaders::{Data, Element};

use crate::data::{Dataset, Error, Standardisation};
use crate::evolution::{InnerStep, MemberState, SharedTensor, StepContext};
use crate::graph::{Tensor, gradients};
use crate::nn::Initialise;

/// The measure of a member after each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The cross-entropy of a minibatch of training images.
    TrainingLoss,
    /// The cross-entropy of a minibatch of validation images.
    ValidationLoss,
    /// Minus the share of right answers on a minibatch of training images: it has no gradient.
    TrainingAccuracy,
    /// Minus the share of right answers on a minibatch of validation images: it has no gradient.
    ValidationAccuracy,
}

impl Judgement {
    fn on_validation(self) -> bool {
        matches!(self, Judgement::ValidationLoss | Judgement::ValidationAccuracy)
    }

    fn by_accuracy(self) -> bool {
        matches!(self, Judgement::TrainingAccuracy | Judgement::ValidationAccuracy)
    }
}

/// The sizes of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSettings {
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
    /// Images of a minibatch, of training and of judging alike.
    pub batch: usize,
    /// Steps of a training.
    pub horizon: usize,
    /// The measure of each step.
    pub judgement: Judgement,
    /// The minibatch that judges is the same throughout a training: for telescoped losses, whose differences would show
    /// the minibatch otherwise.
    pub fixed_judge: bool,
}

/// Images and the perceptron that learns them.
#[derive(Debug)]
pub struct ImageTask {
    /// The sizes of the task.
    pub settings: TaskSettings,
    /// Inputs, hidden layers, classes.
    widths: Vec<usize>,
    tables: [Table; 2],
    /// 0, 1, 2, … up to the widest layer.
    positions: Data,
}

/// Images `(rows, features)` and labels `(rows, 1)` as numbers: a kernel that gathers rows copies `f32`.
#[derive(Debug)]
struct Table {
    rows: usize,
    images: (Data, [usize; 2]),
    labels: (Data, [usize; 2]),
}

impl Table {
    fn new(set: &Dataset) -> Self {
        let (rows, features) = (set.len(), set.features());
        let labels = set.labels().iter().map(|&label| label as f32).collect();
        Self {
            rows,
            images: (Data::F32(set.images().to_vec()), [rows, features]),
            labels: (Data::F32(labels), [rows, 1]),
        }
    }
}

/// A minibatch that all members see.
#[derive(Debug, Clone, Copy)]
pub(in crate::models) struct Minibatch<'g> {
    /// `(1, batch, features)`
    pub images: Tensor<'g>,
    /// `u32 (batch)`
    pub labels: Tensor<'g>,
}

/// Places of random numbers: minibatches, then the parameters from `INITIAL` on.
pub(in crate::models) const TRAINING_ROWS: u32 = 0;
const JUDGING_ROWS: u32 = 1;
const INITIAL: u32 = 2;

/// A training that leaves all bounds costs this much a step, several times the loss of guessing among ten classes: losses
/// without bounds would make the few members that diverge all that an estimate sees.
pub(super) const CEILING: f32 = 20.0;

/// Gradients and weights beyond it count as nothing: they are on their way to infinity.
const BOUND: f32 = 1e15;

impl ImageTask {
    /// A task of learning from `training`, judged on it or on `validation`; both are standardised by the mean and the
    /// deviation of all pixels of `training`.
    ///
    /// # Errors
    /// Sets of other images than each other.
    pub fn new(mut training: Dataset, mut validation: Dataset, settings: TaskSettings) -> Result<Self, Error> {
        if training.image_shape() != validation.image_shape() || training.classes() != validation.classes() {
            let shape = |set: &Dataset| format!("images of {} in {} classes", set.image_shape(), set.classes());
            return Err(Error::content(validation.name(), shape(&training), shape(&validation)));
        }
        let standardisation = Standardisation::per_channel(&training);
        standardisation.apply(&mut training);
        standardisation.apply(&mut validation);
        let inputs = [training.features()].into_iter();
        let widths: Vec<usize> = inputs.chain(settings.hidden.iter().copied()).chain([training.classes()]).collect();
        let widest = settings.hidden.iter().copied().max().unwrap_or(0).max(1);
        let positions = Data::F32((0..widest).map(|position| position as f32).collect());
        let tables = [Table::new(&training), Table::new(&validation)];
        Ok(Self { settings, widths, tables, positions })
    }

    /// Inputs, units of each hidden layer, classes.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The shapes of a member's parameters: weight `(outputs, inputs)` and bias `(outputs)` of each layer.
    pub fn tensors(&self) -> Vec<Vec<usize>> {
        self.widths.windows(2).flat_map(|pair| [vec![pair[1], pair[0]], vec![pair[1]]]).collect()
    }

    /// Parameters of a member.
    pub fn weights(&self) -> usize {
        self.tensors().iter().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// Weights, then velocities.
    pub(super) fn states(&self) -> Vec<MemberState> {
        let shapes = self.tensors();
        let named = |prefix: &'static str| {
            shapes.iter().enumerate().map(move |(index, shape)| {
                let kind = if index.is_multiple_of(2) { "weight" } else { "bias" };
                MemberState::f32(format!("{prefix}{}.{kind}", index / 2 + 1), &shape[..])
            })
        };
        named("fc").chain(named("velocity")).collect()
    }

    pub(in crate::models) fn shared(&self) -> Vec<SharedTensor<'_>> {
        const NAMES: [[&str; 2]; 2] =
            [["training.images", "training.labels"], ["validation.images", "validation.labels"]];
        let mut shared = Vec::new();
        for (table, [images, labels]) in self.tables.iter().zip(NAMES) {
            shared.push(SharedTensor { name: images, data: &table.images.0, shape: &table.images.1 });
            shared.push(SharedTensor { name: labels, data: &table.labels.0, shape: &table.labels.1 });
        }
        shared
    }

    /// The number of each unit of a hidden layer, for tasks that cut widths; shared after the others.
    pub(super) fn positions(&self) -> &Data {
        &self.positions
    }

    /// PyTorch's default for linear layers: uniform within 1 / sqrt(inputs), the same for all members; and no velocity.
    pub(in crate::models) fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
        let shapes = self.tensors();
        let drawn = shapes.iter().enumerate().map(|(index, shape)| {
            let Initialise::Uniform(bound) = Initialise::linear(self.widths[index / 2]) else {
                unreachable!("linear layers begin with uniform weights")
            };
            inner.episode_seed.uniform(INITIAL + index as u32, &shape[..]) * (2.0 * bound) - bound
        });
        drawn.chain(shapes.iter().map(|shape| inner.graph.full(&shape[..], 0.0))).collect()
    }

    /// Weights that keep the scale of what passes through layers of ReLUs (He et al. 2015): normal with the variance 2 /
    /// inputs, the same for all members; no biases, and no velocity.
    pub(super) fn reset_deep<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
        let shapes = self.tensors();
        let drawn = shapes.iter().enumerate().map(|(index, shape)| match index % 2 {
            0 => {
                let deviation = (2.0 / self.widths[index / 2] as f32).sqrt();
                inner.episode_seed.normal(INITIAL + index as u32, &shape[..]) * deviation
            }
            _ => inner.graph.full(&shape[..], 0.0),
        });
        drawn.chain(shapes.iter().map(|shape| inner.graph.full(&shape[..], 0.0))).collect()
    }

    pub(in crate::models) fn minibatch<'g>(
        &self,
        inner: &StepContext<'g>,
        seed: Tensor<'g>,
        place: u32,
        table: usize,
    ) -> Minibatch<'g> {
        let (batch, rows) = (self.settings.batch, self.tables[table].rows);
        // The product may round up to the number of rows.
        let last = inner.graph.constant((rows - 1) as f32);
        let chosen = (seed.uniform(place, [batch]) * rows as f32).min(last).cast(Element::U32);
        let [images, labels] = [2 * table, 2 * table + 1].map(|index| inner.shared[index].gather(chosen));
        let features = self.widths[0];
        Minibatch { images: images.reshape([1, batch, features]), labels: labels.reshape([batch]).cast(Element::U32) }
    }

    /// `(population, batch, classes)`; masks `(population, 1, units)` are those of the hidden layers, if any.
    pub(in crate::models) fn logits<'g>(
        &self,
        images: Tensor<'g>,
        tensors: &[Tensor<'g>],
        masks: &[Tensor<'g>],
    ) -> Tensor<'g> {
        let layers = tensors.len() / 2;
        let mut x = images;
        for layer in 0..layers {
            let (weight, bias) = (tensors[2 * layer], tensors[2 * layer + 1]);
            let [population, outputs] = bias.shape()[..] else { return bias };
            x = x.matmul_transposed(weight, false, true) + bias.reshape([population, 1, outputs]);
            if layer + 1 < layers {
                x = x.relu();
                x = masks.get(layer).map_or(x, |mask| x * *mask);
            }
        }
        x
    }

    /// The mean cross-entropy of each member, `(population)`.
    pub(in crate::models) fn cross_entropy<'g>(&self, logits: Tensor<'g>, labels: Tensor<'g>) -> Tensor<'g> {
        let [population, batch, _] = logits.shape()[..] else { return logits };
        let labels = labels.reshape([1, batch]).broadcast_to([population, batch]);
        logits.cross_entropy(labels, 0.0).mean(1)
    }

    /// The share of right answers of each member, `(population)`.
    fn accuracy<'g>(&self, logits: Tensor<'g>, labels: Tensor<'g>) -> Tensor<'g> {
        let batch = labels.elements();
        let answers = logits.argmax(2).cast(Element::F32);
        answers.compare(Compare::Eq, labels.cast(Element::F32).reshape([1, batch])).mean(1)
    }

    /// One step of SGD with momentum, `v = momentum v + g`, `w = w - rate v`, and the judgement after it. Rates and
    /// momenta are `(population)`, one for each tensor.
    pub(super) fn step<'g>(
        &self,
        inner: &StepContext<'g>,
        states: &[Tensor<'g>],
        rates: &[Tensor<'g>],
        momenta: &[Tensor<'g>],
        masks: &[Tensor<'g>],
    ) -> InnerStep<'g> {
        let (tensors, velocities) = states.split_at(states.len() / 2);
        let batch = self.minibatch(inner, inner.step_seed, TRAINING_ROWS, 0);
        let loss = self.cross_entropy(self.logits(batch.images, tensors, masks), batch.labels);
        let slopes = gradients(loss.sum_all(), tensors);
        let mut after = Vec::with_capacity(states.len());
        let mut moved = Vec::with_capacity(velocities.len());
        for (index, (&tensor, &velocity)) in tensors.iter().zip(velocities).enumerate() {
            let mut column = vec![1; tensor.shape().rank()];
            column[0] = inner.population;
            let [rate, momentum] = [rates[index], momenta[index]].map(|number| number.reshape(&column[..]));
            let velocity = bounded(momentum * velocity + bounded(slopes[index]));
            after.push(bounded(tensor - rate * velocity));
            moved.push(velocity);
        }
        let loss = self.judge(inner, &after, masks);
        after.extend(moved);
        InnerStep { states: after, loss }
    }

    fn judge<'g>(&self, inner: &StepContext<'g>, tensors: &[Tensor<'g>], masks: &[Tensor<'g>]) -> Tensor<'g> {
        let TaskSettings { judgement, fixed_judge, .. } = self.settings;
        let seed = if fixed_judge { inner.episode_seed } else { inner.step_seed };
        let batch = self.minibatch(inner, seed, JUDGING_ROWS, usize::from(judgement.on_validation()));
        let logits = self.logits(batch.images, tensors, masks);
        if judgement.by_accuracy() {
            return self.accuracy(logits, batch.labels).unary(Unary::Neg);
        }
        let loss = self.cross_entropy(logits, batch.labels);
        // A NaN is not below the ceiling either.
        let ceiling = inner.graph.constant(CEILING);
        loss.compare(Compare::Lt, ceiling).select(loss, ceiling)
    }
}

/// The tensor, with 0 where a number has left all bounds.
pub(in crate::models) fn bounded(tensor: Tensor<'_>) -> Tensor<'_> {
    let graph = tensor.graph();
    tensor.abs().compare(Compare::Le, graph.constant(BOUND)).select(tensor, graph.constant(0.0))
}
