//! One training step as a graph: whole, or in the two halves between which ranks tell each other the gradients of chunks.

use std::cell::Cell;
use std::ops::Range;

use fourfold::data::Dataset;
use fourfold::graph::{Graph, Tag, Tensor, TensorType, gradients};
use fourfold::models::Classifier;
use fourfold::nn::{BatchNorm2d, Mode, Noise, SeenStatistics, Statistics, Synchronised};
use fourfold::optim::{AscentVariant, Sam, WeightDecay, clip_by_global_norm};
use fourfold::shaders::Element;
use fourfold::shaders::elementwise::Compare;

use super::chunk_mean::mean_over_chunks;
use super::trainer::{Method, Recipe, RunningFrom};

/// The name of the input of an [`update`] with what all chunks tell.
pub const TOLD: &str = "told";

pub fn shard_name(index: usize) -> String {
    format!("images.{index}")
}

/// The state of an [`own`] graph with the statistics that a chunk saw in a pass.
pub fn seen_name(pass: usize, chunk: usize) -> String {
    format!("seen.{pass}.{chunk}")
}

/// The parts of a training besides its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    pub classifier: &'a Classifier,
    pub data: &'a Dataset,
    pub recipe: &'a Recipe,
    /// Rows of the image table that one binding holds.
    pub shard: usize,
}

impl Setup<'_> {
    /// Passes whose statistics of batch norm are kept.
    pub fn passes(&self) -> usize {
        let both = self.last_pass().is_some();
        if self.classifier.statistics().length() == 0 { 0 } else { 1 + usize::from(both) }
    }

    /// Numbers that a chunk tells: its gradient and losses, then the statistics that it saw.
    pub fn told(&self) -> usize {
        self.told_at_once() + self.passes() * self.classifier.statistics().length()
    }

    /// Those before the statistics.
    pub fn told_at_once(&self) -> usize {
        self.classifier.parameters().length() + 1 + usize::from(self.recipe.is_sharpness_aware())
    }

    /// Returns true if the chunks exchange statistics of batch norm in the middle of a step.
    pub fn is_synchronised(&self) -> bool {
        self.recipe.synchronised && self.recipe.chunks > 1 && self.classifier.statistics().length() > 0
    }

    /// The pass of a chunk at w + eps, if its statistics are kept: those before it are at w and, of several ascent steps, on the
    /// way.
    fn last_pass(&self) -> Option<usize> {
        match self.recipe.method {
            Method::SharpnessAware { sam, .. } if self.recipe.running_from == RunningFrom::Both => Some(sam.steps),
            _ => None,
        }
    }

    fn steps(&self) -> usize {
        self.data.len() / self.recipe.batch
    }
}

/// The batch of a step, gathered on the GPU.
struct Batch<'g> {
    x: Tensor<'g>,
    y: Tensor<'g>,
    seed: Tensor<'g>,
    position: Tensor<'g>,
    weights: Tensor<'g>,
}

impl<'g> Batch<'g> {
    fn new(graph: &'g Graph, setup: Setup<'_>) -> Self {
        let Setup { classifier, data, recipe, shard } = setup;
        let (rows, batch) = (data.len(), recipe.batch);
        let labels = graph.input("labels", TensorType::f32([rows, 1]));
        // Row numbers as f32, which holds whole numbers exactly up to 16 million.
        let order = graph.input("order", TensorType::f32([setup.steps(), batch]));
        let position = graph.state("position", Tag::Bookkeeping, TensorType::f32([]));
        let seed = graph.state("seed", Tag::Bookkeeping, TensorType::u32([2]));
        let weights = classifier.parameters().state(graph, "weights");
        let picked = order.gather(position.cast(Element::U32).reshape([1])).reshape([batch]);
        let x = gather_images(graph, data, shard, picked);
        let x = recipe.augmentation.as_ref().map_or(x, |augmentation| augmentation.apply(graph, data, x, seed));
        let y = labels.gather(picked.cast(Element::U32)).reshape([batch]).cast(Element::U32);
        Self { x, y, seed, position, weights }
    }

    /// The mean loss of some rows at weights `w`, whose statistics of batch norm may be kept.
    fn loss(
        &self,
        setup: Setup<'_>,
        w: Tensor<'g>,
        rows: Range<usize>,
        kept: Option<&SeenStatistics<'g>>,
    ) -> Tensor<'g> {
        let [x, y] = [self.x, self.y].map(|of| of.narrow(0, rows.start, rows.len()));
        // Batch norm is the batch's own in both passes of a sharpness-aware step; what is kept of it is another matter.
        let statistics = match kept {
            kept if setup.is_synchronised() => {
                Statistics::Synchronised(Synchronised { mean: mean_over_chunks, graphs: setup.recipe.chunks, kept })
            }
            Some(seen) => Statistics::Kept(seen),
            None => Statistics::Batch,
        };
        let mode = Mode { noise: Noise::of(self.seed), statistics };
        setup.classifier.forward(w, x, mode).cross_entropy(y, setup.recipe.smoothing).mean_all()
    }
}

/// The gradient and the losses of a step.
struct Outcome<'g> {
    gradient: Tensor<'g>,
    loss: Tensor<'g>,
    sharpened_loss: Option<Tensor<'g>>,
}

impl<'g> Outcome<'g> {
    /// The mean of the chunks', in their order.
    fn mean(chunks: &[Self]) -> Self {
        let mean = |part: &dyn Fn(&Self) -> Option<Tensor<'g>>| {
            mean_of_stored(&chunks.iter().filter_map(part).collect::<Vec<_>>())
        };
        Self {
            gradient: mean(&|chunk| Some(chunk.gradient)).expect("there is at least one chunk"),
            loss: mean(&|chunk| Some(chunk.loss)).expect("there is at least one chunk"),
            sharpened_loss: mean(&|chunk| chunk.sharpened_loss),
        }
    }
}

/// The sum of tensors in their order, divided by how many they are.
fn mean<'g>(tensors: impl Iterator<Item = Tensor<'g>>) -> Option<Tensor<'g>> {
    let mut count = 0;
    let sum = tensors.inspect(|_| count += 1).reduce(|a, b| a + b)?;
    Some(if count == 1 { sum } else { sum * (1.0 / count as f32) })
}

/// The mean of what chunks have computed. Summed in another shape than they have, the parts are stored before: ranks store
/// them, and one kernel of a part and the sum, as the plan would make it, may round otherwise.
fn mean_of_stored<'g>(parts: &[Tensor<'g>]) -> Option<Tensor<'g>> {
    match parts {
        [only] => Some(*only),
        parts => {
            let shape = parts.first()?.shape();
            Some(mean(parts.iter().map(|part| part.reshape([1, shape.elements()])))?.reshape(shape))
        }
    }
}

/// The outcome of some rows of the batch, with one ascent.
fn outcome<'g>(
    graph: &'g Graph,
    setup: Setup<'_>,
    (batch, variant): (&Batch<'g>, AscentVariant<'g>),
    rows: Range<usize>,
    seen: [&SeenStatistics<'g>; 2],
) -> Outcome<'g> {
    let passes = Cell::new(0);
    let loss = |w: Tensor<'g>| {
        let kept = match passes.replace(passes.get() + 1) {
            0 => Some(seen[0]),
            pass if Some(pass) == setup.last_pass() => Some(seen[1]),
            _ => None,
        };
        batch.loss(setup, w, rows.clone(), kept)
    };
    match setup.recipe.method {
        Method::Plain => {
            let loss = loss(batch.weights);
            Outcome { gradient: gradients(loss, &[batch.weights])[0], loss, sharpened_loss: None }
        }
        Method::SharpnessAware { sam, rho } => {
            let apart = match sam.weight_decay {
                WeightDecay::Inside(decay) if setup.recipe.chunks > 1 => Some(decay),
                _ => None,
            };
            let objective = |w: Tensor<'g>| apart.map_or_else(|| loss(w), |decay| loss(w) + penalty(w, decay));
            let weight_decay = if apart.is_some() { WeightDecay::Outside } else { sam.weight_decay };
            let sam = Sam { chunks: 1, weight_decay, ..sam };
            let step = sam.variant_gradient(batch.weights, graph.constant(rho), variant, |w, _| objective(w));
            Outcome { gradient: step.gradient, loss: step.loss, sharpened_loss: Some(step.sharpened_loss) }
        }
    }
}

/// `decay / 2 |w|^2`. Of another shape than what it is added to, it and its gradient are stored before: chunks in one graph
/// share those of the weights, and one kernel of a chunk by itself, as the plan would make it, may round otherwise.
fn penalty(w: Tensor<'_>, decay: f32) -> Tensor<'_> {
    let row = w.reshape([1, w.shape().elements()]);
    (row.dot(row).reshape([1]) * (0.5 * decay)).reshape([])
}

/// The ascent of a recipe where it is not SAM's.
fn ascent_variant<'g>(graph: &'g Graph, setup: Setup<'_>, batch: &Batch<'g>) -> AscentVariant<'g> {
    match setup.recipe.is_sharpness_aware() {
        true => setup.recipe.ascent.variant(graph, setup.classifier, batch.seed),
        false => AscentVariant::default(),
    }
}

/// The rows of a chunk.
fn rows(recipe: &Recipe, chunk: usize) -> Range<usize> {
    let size = recipe.batch / recipe.chunks;
    chunk * size..(chunk + 1) * size
}

/// Moves the weights along a gradient, and records the losses.
fn update_weights<'g>(graph: &'g Graph, setup: Setup<'_>, weights: Tensor<'g>, outcome: Outcome<'g>) {
    let recipe = setup.recipe;
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let ring = |name| graph.state(name, Tag::Bookkeeping, TensorType::f32([setup.steps(), 1]));
    graph.record(ring("losses"), outcome.loss.reshape([1]), step);
    if let Some(loss) = outcome.sharpened_loss {
        graph.record(ring("sharpened_losses"), loss.reshape([1]), step);
    }
    let gradient = recipe.clip.map_or(outcome.gradient, |norm| clip_by_global_norm(outcome.gradient, norm));
    let rate = recipe.schedule.rate(graph, recipe.rate, step);
    recipe.optimiser.step(weights, gradient, rate, step);
}

/// One training step: the batch is gathered on the GPU, and nothing is read back.
pub fn whole(graph: &Graph, setup: Setup<'_>) {
    let Setup { classifier, recipe, .. } = setup;
    let batch = Batch::new(graph, setup);
    let (seen, seen_moved) = (SeenStatistics::new(), SeenStatistics::new());
    let passes = [&seen, &seen_moved];
    let variant = ascent_variant(graph, setup, &batch);
    let chunks = (0..recipe.chunks).map(|chunk| outcome(graph, setup, (&batch, variant), rows(recipe, chunk), passes));
    update_weights(graph, setup, batch.weights, Outcome::mean(&chunks.collect::<Vec<_>>()));
    if let Some(running) = classifier.running(graph, "statistics") {
        SeenStatistics::update(&passes, classifier.statistics(), running, BatchNorm2d::MOMENTUM);
    }
    graph.assign(batch.position, batch.position + 1.0);
    graph.advance(batch.seed);
}

/// The half of a step that a rank does by itself: what its chunks tell, in the output [`TOLD`] and, of batch norm, in the states
/// of [`seen_name`].
pub fn own(graph: &Graph, setup: Setup<'_>, chunks: Range<usize>) {
    let Setup { classifier, recipe, .. } = setup;
    let batch = Batch::new(graph, setup);
    let variant = ascent_variant(graph, setup, &batch);
    let mut told = Vec::new();
    for chunk in chunks {
        let seen = [SeenStatistics::new(), SeenStatistics::new()];
        let outcome = outcome(graph, setup, (&batch, variant), rows(recipe, chunk), seen.each_ref());
        told.extend([outcome.gradient, outcome.loss.reshape([1])]);
        told.extend(outcome.sharpened_loss.map(|loss| loss.reshape([1])));
        for (pass, seen) in seen.iter().take(setup.passes()).enumerate() {
            let length = classifier.statistics().length();
            let state = graph.state(&seen_name(pass, chunk), Tag::Bookkeeping, TensorType::f32([length]));
            SeenStatistics::update(&[seen], classifier.statistics(), state, 1.0);
        }
    }
    graph.output(TOLD, graph.concatenate(&told, 0));
}

/// The other half, alike on every rank: the mean of what all chunks have told, in their order as in the [`whole`] step.
pub fn update(graph: &Graph, setup: Setup<'_>) {
    let Setup { classifier, recipe, .. } = setup;
    let told = graph.input(TOLD, TensorType::f32([recipe.chunks, setup.told()]));
    let part =
        |chunk: usize, start: usize, length: usize| told.narrow(0, chunk, 1).narrow(1, start, length).reshape([length]);
    let weights = classifier.parameters().state(graph, "weights");
    let (position, seed) = (
        graph.state("position", Tag::Bookkeeping, TensorType::f32([])),
        graph.state("seed", Tag::Bookkeeping, TensorType::u32([2])),
    );
    let length = classifier.parameters().length();
    let chunks = (0..recipe.chunks).map(|chunk| Outcome {
        gradient: part(chunk, 0, length),
        loss: part(chunk, length, 1).reshape([]),
        sharpened_loss: recipe.is_sharpness_aware().then(|| part(chunk, length + 1, 1).reshape([])),
    });
    update_weights(graph, setup, weights, Outcome::mean(&chunks.collect::<Vec<_>>()));
    if let Some(running) = classifier.running(graph, "statistics") {
        let length = classifier.statistics().length();
        let moved = (0..setup.passes()).fold(running, |moved, pass| {
            let start = setup.told_at_once() + pass * length;
            let seen = mean((0..recipe.chunks).map(|chunk| part(chunk, start, length)));
            seen.map_or(moved, |seen| moved * (1.0 - BatchNorm2d::MOMENTUM) + seen * BatchNorm2d::MOMENTUM)
        });
        graph.assign(running, moved);
    }
    graph.assign(position, position + 1.0);
    graph.advance(seed);
}

/// The images of the rows `picked` (whole numbers as f32), from a table in shards of `shard` rows.
fn gather_images<'g>(graph: &'g Graph, data: &Dataset, shard: usize, picked: Tensor<'g>) -> Tensor<'g> {
    // Past every table: a gather gives zeros there, so the sum over the shards is the row of the one that has it.
    let nowhere = graph.constant(1e9);
    let parts = (0..data.len()).step_by(shard).enumerate().map(|(index, first)| {
        let rows = shard.min(data.len() - first);
        let table = graph.input(&shard_name(index), TensorType::f32([rows, data.features()]));
        let own = picked - first as f32;
        let own = own.compare(Compare::Ge, graph.constant(0.0)).select(own, nowhere);
        table.gather(own.cast(Element::U32))
    });
    parts.reduce(|a, b| a + b).expect("a set has at least one image")
}
