//! The trajectories on the GPU, and the windows that a training step draws from them.

use fourfold_shaders::trajectories::returns_to_go::Problem;
use fourfold_shaders::{Data, Element, trajectories::windows};

use super::{OfflineSettings, OfflineTrainingError, ReturnsToGo, Starts};
use crate::data::{Standardisation, Trajectories};
use crate::gpu::{self, BufferView, Gpu, Launch};
use crate::graph::{EpisodeTables, Graph, Tensor, TensorType, WindowOptions};
use crate::models::Window;

/// The place of the windows among those that draw random numbers; models count theirs from 0.
const STREAM: u32 = u32::MAX;

/// The columns of trajectories, as inputs of a graph by name.
#[derive(Debug)]
pub(super) struct Tables {
    steps: usize,
    episodes: usize,
    starts: usize,
    /// Numbers of an observation, or words of its newest frame.
    observations: usize,
    /// Frames of an observation, where it is pictures.
    stack: Option<usize>,
    actions: usize,
    /// Rows of one binding, a power of two; a longer column is cut.
    rows: usize,
}

impl Tables {
    /// `binding` is the most bytes that one binding may have.
    pub fn new(data: &Trajectories, starts: usize, binding: u64) -> Self {
        let stack = data.frames().map(|frames| frames.shape.stack);
        let observations = data.frames().map_or(data.observations(), |frames| frames.shape.pixels() / Element::BYTES);
        let actions = data.actions().width();
        let widest = observations.max(actions) * Element::BYTES;
        let most = (binding / widest as u64).saturating_sub(stack.map_or(0, |stack| stack as u64 - 1)).max(1);
        // A power of two is exact as an f32, which constants of a graph are.
        let rows = 1usize << most.ilog2().min(31);
        Self { steps: data.steps(), episodes: data.episodes(), starts, observations, stack, actions, rows }
    }

    fn width(&self, column: &str) -> usize {
        match column {
            "observations" => self.observations,
            "actions" => self.actions,
            _ => 1,
        }
    }

    /// The names and rows of the tables of a column.
    fn parts(&self, column: &str) -> Vec<(String, usize)> {
        let firsts = (0..self.steps).step_by(self.rows);
        let name = |part: usize| if part == 0 { column.to_owned() } else { format!("{column}.{part}") };
        firsts.enumerate().map(|(part, first)| (name(part), self.rows.min(self.steps - first))).collect()
    }

    /// The rows of a column, `(B, K, width)`: zeros in padding.
    fn gather<'g>(&self, graph: &'g Graph, column: &str, rows: Tensor<'g>) -> Tensor<'g> {
        let width = self.width(column);
        let parts = self.parts(column).into_iter().enumerate().map(|(part, (name, count))| {
            let table = graph.input(&name, TensorType::f32([count, width]));
            // Rows of the parts before wrap to numbers past the table, which gather zeros as those of the parts behind.
            let first = graph.constant((part * self.rows) as f32).cast(Element::U32);
            table.gather(if part == 0 { rows } else { rows - first })
        });
        parts.reduce(|a, b| a + b).expect("there is a step")
    }

    /// The observations of these rows, `(B, K, numbers)`: zeros in padding.
    fn observations<'g>(&self, graph: &'g Graph, rows: Tensor<'g>, times: Tensor<'g>) -> Tensor<'g> {
        let Some(stack) = self.stack else { return self.gather(graph, "observations", rows) };
        let shape = rows.shape();
        let [rows, times] = [rows, times].map(|tensor| tensor.reshape([tensor.elements()]));
        let parts = self.parts("observations").into_iter().enumerate().map(|(part, (name, count))| {
            let first = part * self.rows;
            let lead = lead(first, stack);
            let table = graph.input(&name, TensorType::u32([lead + count, self.observations]));
            let number = |number: usize| graph.constant(number as f32).cast(Element::U32);
            // Rows of the parts before wrap to numbers past the table, or lie among those that lead to it.
            table.frames(if part == 0 { rows } else { rows - number(first) + number(lead) }, times, stack, lead)
        });
        let pixels = parts.reduce(|a, b| a + b).expect("there is a step");
        pixels.reshape([&shape[..], &[self.observations * Element::BYTES * stack]].concat())
    }

    /// Windows drawn by `seed`.
    pub fn window<'g>(&self, graph: &'g Graph, seed: Tensor<'g>, options: WindowOptions) -> Window<'g> {
        let list = |name: &str, length: usize| graph.input(name, TensorType::u32([length]));
        let tables = EpisodeTables {
            starts: list("starts", self.starts),
            episodes: list("episodes", self.steps),
            firsts: list("firsts", self.episodes + 1),
        };
        let drawn = seed.windows(STREAM, tables, options);
        let observations = self.observations(graph, drawn.rows, drawn.times);
        let [actions, returns] = ["actions", "returns"].map(|column| self.gather(graph, column, drawn.rows));
        let returns = returns.reshape([options.batch, options.context]);
        Window { returns, observations, actions, times: drawn.times, mask: drawn.mask }
    }

    /// Uploads the trajectories, observations standardised and returns divided by their scale, and sums the returns.
    ///
    /// Values scaled once here need no scaling in every step; padding, which no output of a model depends on, is
    /// then zero after standardisation instead of before it, as it is when a policy acts.
    ///
    /// # Errors
    /// The device has no memory left, or is lost.
    pub fn upload(
        &self,
        gpu: &Gpu,
        data: &Trajectories,
        settings: &OfflineSettings,
    ) -> Result<Vec<(String, BufferView)>, OfflineTrainingError> {
        let lengths: Vec<usize> = data.ranges().map(|range| range.len()).collect();
        let (episodes, firsts) = windows::tables(&lengths).map_err(gpu::Error::from)?;
        let starts = match &settings.starts {
            Starts::Steps => (0..self.steps as u32).collect(),
            Starts::Episodes => firsts[..self.episodes].to_vec(),
            Starts::Given(starts) => starts.clone(),
        };
        let columns = data.columns();
        let mut observations = columns.observations.clone();
        if let Some(standardisation) = &settings.standardisation
            && data.frames().is_none()
        {
            standardise(&mut observations, standardisation);
        }
        let scaled = |numbers: &[f32]| Data::F32(numbers.iter().map(|number| number / settings.return_scale).collect());
        let firsts = gpu.upload("fourfold firsts", &Data::U32(firsts))?;
        let returns = match &settings.returns {
            ReturnsToGo::Given(returns) => gpu.upload("fourfold returns", &scaled(returns))?,
            sums => {
                let (steps, episodes, longest) = (self.steps, self.episodes, data.longest());
                let problem = Problem { episodes, steps, longest, delayed: *sums == ReturnsToGo::Delayed };
                summed(gpu, &problem, &firsts, &scaled(&columns.rewards))?
            }
        };
        let mut tables = Vec::new();
        if let Some(frames) = data.frames() {
            let stack = frames.shape.stack;
            for (part, (name, count)) in self.parts("observations").into_iter().enumerate() {
                let first = part * self.rows;
                let words = frames.words(first - lead(first, stack)..first + count);
                let view = gpu.upload(&format!("fourfold {name}"), &Data::U32(words))?;
                tables.push((name, view));
            }
        }
        let numbers = [("observations", &observations), ("actions", &columns.actions)];
        for (column, values) in numbers.into_iter().skip(usize::from(self.stack.is_some())) {
            let stretch = self.rows * self.width(column);
            for ((name, _), part) in self.parts(column).into_iter().zip(values.chunks(stretch)) {
                let view = gpu.upload(&format!("fourfold {name}"), &Data::F32(part.to_vec()))?;
                tables.push((name, view));
            }
        }
        for (part, (name, count)) in self.parts("returns").into_iter().enumerate() {
            tables.push((name, returns.part(part * self.rows, count)));
        }
        tables.push(("starts".into(), gpu.upload("fourfold starts", &Data::U32(starts))?));
        tables.push(("episodes".into(), gpu.upload("fourfold episodes", &Data::U32(episodes))?));
        tables.push(("firsts".into(), firsts));
        Ok(tables)
    }
}

/// Frames of the part before that the part which begins at `first` has too.
fn lead(first: usize, stack: usize) -> usize {
    first.min(stack - 1)
}

fn standardise(observations: &mut [f32], Standardisation { mean, deviation }: &Standardisation) {
    for row in observations.chunks_exact_mut(mean.len()) {
        for ((value, mean), deviation) in row.iter_mut().zip(mean).zip(deviation) {
            *value = (*value - mean) / deviation;
        }
    }
}

/// The returns-to-go of rewards, in one submission.
fn summed(
    gpu: &Gpu,
    problem: &Problem,
    firsts: &BufferView,
    rewards: &Data,
) -> Result<BufferView, OfflineTrainingError> {
    let rewards = gpu.upload("fourfold rewards", rewards)?;
    let returns = gpu.uninitialised("fourfold returns", problem.steps)?;
    let arguments = [firsts.clone(), rewards, returns.clone()];
    let sequence = problem.sequence(&gpu.target()).map_err(gpu::Error::from)?;
    let recording = gpu.prepare(&[Launch::new(&sequence, &arguments)])?;
    gpu.submit_pass("returns-to-go", |pass| recording.record(pass))?;
    Ok(returns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Actions, FrameShape, Frames, Steps};
    use crate::graph::Reference;

    /// Episodes of 6 and 5 steps, which observe their number and its negative.
    fn eleven() -> Trajectories {
        let numbers = (0..11).map(|step| step as f32);
        let steps = Steps {
            observations: numbers.clone().flat_map(|step| [step, -step]).collect(),
            actions: numbers.clone().map(|step| 2.0 * step).collect(),
            rewards: vec![1.0; 11],
            ends: vec![6, 11],
            terminated: vec![true; 2],
        };
        Trajectories::new("eleven", 2, Actions::Continuous(1), steps).unwrap()
    }

    #[test]
    fn columns_longer_than_a_binding_are_cut_and_windows_do_not_notice() {
        let data = eleven();
        // 39 bytes hold four rows of two numbers, a power of two: three parts.
        let tables = Tables::new(&data, 11, 39);
        assert_eq!(tables.parts("observations").iter().map(|part| part.1).collect::<Vec<_>>(), [4, 4, 3]);
        let graph = Graph::new();
        let options = WindowOptions { batch: 20, context: 4, restart: false, largest: u32::MAX };
        let window = tables.window(&graph, graph.input("seed", TensorType::u32([2])), options);
        let (episodes, firsts) = windows::tables(&[6, 5]).unwrap();
        let mut values = Reference::new([("seed", vec![3.0, 1.0]), ("starts", (0..11).map(f64::from).collect())]);
        values.set("episodes", episodes.into_iter().map(f64::from).collect());
        values.set("firsts", firsts.into_iter().map(f64::from).collect());
        let steps = data.columns();
        for (column, numbers) in
            [("observations", &steps.observations), ("actions", &steps.actions), ("returns", &steps.rewards)]
        {
            let numbers: Vec<f64> = numbers.iter().map(|&number| number.into()).collect();
            for ((name, _), part) in
                tables.parts(column).into_iter().zip(numbers.chunks(tables.rows * tables.width(column)))
            {
                values.set(&name, part.to_vec());
            }
        }
        let tensors =
            [window.observations, window.actions, window.returns, window.mask, window.times.cast(Element::F32)];
        let got = values.evaluate_all(&tensors).unwrap();
        let mut parts = [false; 3];
        for (element, (&mask, &time)) in got[3].iter().zip(&got[4]).enumerate() {
            let observation = got[0][2 * element];
            assert_eq!(got[0][2 * element + 1], -observation);
            assert_eq!(got[1][element], 2.0 * observation);
            assert_eq!(got[2][element], mask);
            if mask == 1.0 {
                assert_eq!(time, if observation < 6.0 { observation } else { observation - 6.0 });
                parts[observation as usize / 4] = true;
            } else {
                assert_eq!(observation, 0.0);
            }
        }
        assert_eq!(parts, [true; 3]);
    }

    #[test]
    fn pictures_longer_than_a_binding_are_cut_and_stacks_do_not_notice() {
        let shape = FrameShape { rows: 2, columns: 2, stack: 3 };
        let Steps { actions, rewards, ends, terminated, .. } = eleven().columns().clone();
        let steps = Steps { observations: Vec::new(), actions, rewards, ends, terminated };
        let pixels = (0..11).flat_map(|step| [20 * step; 4]).collect();
        let data = Trajectories::of_frames("seen", Frames { shape, pixels }, Actions::Continuous(1), steps).unwrap();
        // 27 bytes hold six frames of a word, two of them for the stacks of the first: four of its own.
        let tables = Tables::new(&data, 11, 27);
        let parts = tables.parts("observations");
        assert_eq!(parts.iter().map(|part| part.1).collect::<Vec<_>>(), [4, 4, 3]);
        let graph = Graph::new();
        let [rows, times] = ["rows", "times"].map(|name| graph.input(name, TensorType::u32([1, 12])));
        let seen = tables.observations(&graph, rows, times);
        // Every step, and padding.
        let within = |step: usize| if step < 6 { step } else { step - 6 };
        let mut values = Reference::new([
            ("rows", (0..12).map(f64::from).collect()),
            ("times", (0..12).map(|step| within(step) as f64).collect()),
        ]);
        for (part, (name, count)) in parts.into_iter().enumerate() {
            let first = part * 4;
            let words = data.frames().unwrap().words(first - lead(first, 3)..first + count);
            values.set(&name, words.into_iter().map(f64::from).collect());
        }
        let got = values.evaluate(seen).unwrap();
        for (step, stack) in got.chunks(12).enumerate() {
            for (place, &value) in stack.iter().enumerate() {
                let before = 2 - place % 3;
                let shade = if step < 11 && before <= within(step) { 20.0 * (step - before) as f64 } else { 0.0 };
                assert!((value * 255.0 - shade).abs() < 1e-4, "step {step}, element {place}: {value}");
            }
        }
    }
}
