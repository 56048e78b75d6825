//! One step of an agent as a graph.

use fourfold_shaders::Element;

use super::settings::{AgentSettings, Sampling};
use super::{ACTION, BEGINS, FRESH, OBSERVATION, OUTPUT, REMAINING, REWARD, SEED, TARGETS, WEIGHTS};
use crate::data::Actions;
use crate::graph::{Graph, Tag, Tensor, TensorType};
use crate::models::{SequenceModel, Window};

pub(super) const MEAN: &str = "mean";
pub(super) const DEVIATION: &str = "deviation";

/// Columns of the context before the observation: what was asked for, the time, and 1 for a step that is not padding.
const RETURN: usize = 0;
const TIME: usize = 1;
const MASK: usize = 2;
const SEEN: usize = 3;

/// The step of E episodes: inputs observation (E, S) and reward (E), outputs action (E, W) and what the model said.
///
/// States: `steps` (E, K, 3 + S), the rows of the last K steps, and `actions` (E, K, W), what was done in them. `flagged`
/// adds the input begins (E), which is not 0 where an episode has begun.
pub(super) fn graph(model: &dyn SequenceModel, settings: &AgentSettings, flagged: bool) -> Graph {
    let graph = Graph::new();
    let (episodes, context) = (settings.episodes(), model.context());
    let (observations, width) = (model.observations(), model.actions().width());
    let weights = model.parameters().state(&graph, WEIGHTS);
    let observation = graph.input(OBSERVATION, TensorType::f32([episodes, observations]));
    let reward = graph.input(REWARD, TensorType::f32([episodes]));
    let targets = graph.input(TARGETS, TensorType::f32([episodes]));
    let state = |name: &str, shape: &[usize]| graph.state(name, Tag::Bookkeeping, TensorType::f32(shape));
    let restarted = state(FRESH, &[episodes]);
    let fresh = match flagged {
        true => restarted + graph.input(BEGINS, TensorType::u32([episodes])).cast(Element::F32),
        false => restarted,
    };
    let remaining = state(REMAINING, &[episodes]);
    let time = state("time", &[episodes]);
    let steps = state("steps", &[episodes, context, SEEN + observations]);
    let actions = state("actions", &[episodes, context, width]);

    let observation = match settings.standardisation {
        None => observation,
        Some(_) => {
            let moment = |name| graph.input(name, TensorType::f32([observations]));
            (observation - moment(MEAN)) / moment(DEVIATION)
        }
    };
    let left = if settings.delayed { remaining } else { remaining - reward / settings.return_scale };
    let asked = fresh.select(targets, left);
    let now = fresh.select(graph.constant(0.0), time + 1.0);

    let [asked_column, now_column] = [asked, now].map(|numbers| numbers.reshape([episodes, 1]));
    let row = graph.concatenate(&[asked_column, now_column, graph.full([episodes, 1], 1.0), observation], 1);
    let seen = shifted(steps, fresh, row);
    let taken = |action| shifted(actions, fresh, action);

    let part = |first, width| seen.narrow(2, first, width);
    let number = |first| part(first, 1).reshape([episodes, context]);
    let mut times = number(TIME);
    if settings.restart_times {
        let first = (now - (context - 1) as f32).max(graph.constant(0.0));
        times = (times - first.reshape([episodes, 1])) * number(MASK);
    }
    let window = Window {
        returns: number(RETURN),
        observations: part(SEEN, observations),
        actions: taken(graph.full([episodes, width], 0.0)),
        times: times.cast(Element::U32),
        mask: number(MASK),
    };
    let output = model.act(&model.parameters().of(weights), &window);
    let action = match model.actions() {
        Actions::Continuous(_) => output,
        Actions::Discrete(_) => {
            let choice = chosen(&graph, output, settings.sampling).cast(Element::F32).reshape([episodes, 1]);
            // No choice is below 0: the choice it stays, but a NaN where a logit is.
            choice.max(output.maximum(1).reshape([episodes, 1]).min(graph.constant(-1.0)))
        }
    };
    graph.output(OUTPUT, output);
    graph.output(ACTION, action);
    graph.assign(steps, seen);
    graph.assign(actions, taken(action));
    graph.assign(remaining, asked);
    graph.assign(time, now);
    graph.assign(restarted, graph.full([episodes], 0.0));
    graph
}

/// The context (E, K, width) a step further left, zeros where an episode begins, and `row` (E, width) at its end.
fn shifted<'g>(context: Tensor<'g>, fresh: Tensor<'g>, row: Tensor<'g>) -> Tensor<'g> {
    let [episodes, length, width] = context.shape()[..] else { return context };
    let graph = context.graph();
    let last = row.reshape([episodes, 1, width]);
    if length == 1 {
        return last;
    }
    let before = context.narrow(1, 1, length - 1);
    let before = fresh.reshape([episodes, 1, 1]).select(graph.constant(0.0), before);
    graph.concatenate(&[before, last], 1)
}

/// The choice of each row of logits (E, choices), `u32` (E).
fn chosen<'g>(graph: &'g Graph, logits: Tensor<'g>, sampling: Sampling) -> Tensor<'g> {
    let Sampling::Sampled { temperature } = sampling else { return logits.argmax(1) };
    let seed = graph.state(SEED, Tag::Bookkeeping, TensorType::u32([2]));
    graph.advance(seed);
    // The largest of logits with Gumbel noise is a choice in proportion to their exponentials. Both logarithms are kept
    // from 0, where one of them errs by as much as 2^-21.
    let deviates = seed.uniform(0, logits.shape());
    let exponential = -deviates.max(graph.constant(1e-7)).log();
    let gumbel = -exponential.max(graph.constant(1e-6)).log();
    (logits / temperature + gumbel).argmax(1)
}

/// Every episode begins anew.
pub(super) fn restart(episodes: usize) -> Graph {
    let graph = Graph::new();
    let fresh = graph.state(FRESH, Tag::Bookkeeping, TensorType::f32([episodes]));
    graph.assign(fresh, graph.full([episodes], 1.0));
    graph
}

/// Returns over the return scale, as the model takes them.
pub(super) fn scaled(returns: &[f32], scale: f32) -> Vec<f32> {
    returns.iter().map(|target| target / scale).collect()
}
