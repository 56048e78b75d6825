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
    observations: usize,
    actions: usize,
    /// Rows of one binding, a power of two; a longer column is cut.
    rows: usize,
}

/// A column of the trajectories with the numbers of a step.
const COLUMNS: [&str; 3] = ["observations", "actions", "returns"];

impl Tables {
    /// `binding` is the most bytes that one binding may have.
    pub fn new(data: &Trajectories, starts: usize, binding: u64) -> Self {
        let (observations, actions) = (data.observations(), data.actions().width());
        let widest = observations.max(actions) * Element::BYTES;
        let most = (binding / widest as u64).max(1);
        // A power of two is exact as an f32, which constants of a graph are.
        let rows = 1usize << most.ilog2().min(31);
        Self { steps: data.steps(), episodes: data.episodes(), starts, observations, actions, rows }
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

    /// Windows drawn by `seed`.
    pub fn window<'g>(&self, graph: &'g Graph, seed: Tensor<'g>, options: WindowOptions) -> Window<'g> {
        let list = |name: &str, length: usize| graph.input(name, TensorType::u32([length]));
        let tables = EpisodeTables {
            starts: list("starts", self.starts),
            episodes: list("episodes", self.steps),
            firsts: list("firsts", self.episodes + 1),
        };
        let drawn = seed.windows(STREAM, tables, options);
        let [observations, actions, returns] = COLUMNS.map(|column| self.gather(graph, column, drawn.rows));
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
        if let Some(standardisation) = &settings.standardisation {
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
        for (column, values) in [("observations", &observations), ("actions", &columns.actions)] {
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
    use crate::data::{Actions, Steps};
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
}
