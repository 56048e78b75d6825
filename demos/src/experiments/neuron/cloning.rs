//! Behaviour cloning: an attention neuron learns to act as a teacher did, by back-propagation through time.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::data::{Checkpoint, permutation};
use fourfold::graph::{Graph, Plan, Session, Tag, Tensor, TensorType, Values, gradients};
use fourfold::models::{AttentionNeuronModel, NeuronMemory};
use fourfold::nn::Parameters;
use fourfold::optim::{AdamW, Optimiser, Schedule, clip_by_global_norm};
use fourfold::shaders::elementwise::{Binary, Unary};
use fourfold::shaders::rollout::policies::AttentionNeuron;
use fourfold::shaders::{Data, Element};

use crate::failure::Failure;

/// Episodes of one length, trajectory after trajectory and step after step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trajectories {
    /// Steps of each trajectory.
    pub steps: usize,
    /// Observations, `(trajectories, steps, channels)`.
    pub inputs: Vec<f32>,
    /// Actions of one step before, `(trajectories, steps)`: one number; zeros at first.
    pub previous: Vec<f32>,
    /// Actions of the teacher there, `(trajectories, steps)`.
    pub labels: Vec<f32>,
}

impl Trajectories {
    /// The number of trajectories.
    pub fn count(&self) -> usize {
        self.labels.len() / self.steps.max(1)
    }

    /// Adds trajectories of the same length.
    ///
    /// # Panics
    /// If they have another length.
    pub fn extend(&mut self, others: Trajectories) {
        assert_eq!(self.steps, others.steps, "steps of a trajectory");
        self.inputs.extend(others.inputs);
        self.previous.extend(others.previous);
        self.labels.extend(others.labels);
    }
}

/// Everything that decides a training besides the network, the data and the seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Trajectories of one batch.
    pub batch: usize,
    /// Steps through which one update is propagated back; it divides the trajectories. What the neurons remember is
    /// carried from one window of a batch to the next.
    pub window: usize,
    /// The learning rate at the beginning; it falls to 0 along half a cosine over `updates`.
    pub rate: f32,
    pub updates: usize,
    /// The gradient is clipped to this norm.
    pub clip: f32,
    /// The deviation of the noise on previous actions: the student will not do exactly what the teacher did.
    pub noise: f32,
    /// Added to the initial bias of the forget gates, so that a channel remembers from the start what it is.
    pub forget_bias: f32,
}

impl Recipe {
    /// Batches of a pass over so many trajectories of so many steps, and windows of each.
    ///
    /// # Errors
    /// There are fewer trajectories than a batch holds, or the window does not divide the steps.
    pub fn batches(&self, trajectories: usize, steps: usize) -> Result<[usize; 2], Failure> {
        let Self { batch, window, .. } = *self;
        if batch == 0 || batch > trajectories {
            let message = format!("--batch takes a number from 1 to {trajectories}, the trajectories, got {batch}");
            return Err(Failure::Input(message));
        }
        if window == 0 || !steps.is_multiple_of(window) {
            return Err(Failure::Input(format!("--window takes a number that divides {steps} steps, got {window}")));
        }
        Ok([trajectories / batch, steps / window])
    }
}

/// A student with its teacher's trajectories on the GPU.
#[derive(Debug)]
pub struct Cloning {
    session: Session,
    parameters: Parameters,
    trajectories: usize,
    batch: usize,
    windows: usize,
    seed: u32,
    pass: u64,
}

impl Cloning {
    /// A training of `network`, which has one action, from the initial weights of `seed` on.
    ///
    /// # Errors
    /// As [`Recipe::batches`]; the device has no memory.
    pub fn new(
        gpu: &Gpu,
        network: AttentionNeuron,
        data: &Trajectories,
        recipe: &Recipe,
        seed: u32,
    ) -> Result<Self, Failure> {
        let trajectories = data.count();
        let windows = recipe.batches(trajectories, data.steps)?[1];
        let channels = data.inputs.len() / (data.steps * trajectories);
        let mut parameters = Parameters::new();
        let model = AttentionNeuronModel::new(&mut parameters, network).map_err(Failure::run)?;
        let graph = Graph::new();
        build(&graph, &parameters, &model, recipe, [trajectories, windows, channels]);
        let plan = Arc::new(Plan::new(&graph, &gpu.target())?);
        let values = Values::from([
            ("inputs".into(), Data::F32(data.inputs.clone())),
            ("previous".into(), Data::F32(data.previous.clone())),
            ("labels".into(), Data::F32(data.labels.clone())),
            ("positions".into(), model.position_values()),
            ("weights".into(), initial(&parameters, network, recipe.forget_bias, seed)),
            ("seed".into(), Data::U32(vec![seed, 0])),
        ]);
        let session = Session::new(gpu, plan, &values)?;
        Ok(Self { session, parameters, trajectories, batch: recipe.batch, windows, seed, pass: 0 })
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Updates of one pass over the trajectories.
    pub fn updates(&self) -> usize {
        self.trajectories / self.batch * self.windows
    }

    /// Goes on with other trajectories, as many and as long as those before.
    ///
    /// # Errors
    /// There are more or fewer of them.
    pub fn replace(&mut self, data: &Trajectories) -> Result<(), Failure> {
        for (name, values) in [("inputs", &data.inputs), ("previous", &data.previous), ("labels", &data.labels)] {
            self.session.write(name, &Data::F32(values.clone()))?;
        }
        Ok(())
    }

    /// One pass over the trajectories, `burst` updates in each submission, after each of which `done` is told how many:
    /// the mean loss of the batches before each update.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run_pass(&mut self, burst: usize, mut done: impl FnMut(usize)) -> Result<f64, Failure> {
        let order = permutation(self.trajectories, self.seed.into(), self.pass);
        let used = self.trajectories / self.batch * self.batch;
        self.session.write("order", &Data::F32(order[..used].iter().map(|&row| row as f32).collect()))?;
        self.session.write("position", &Data::F32(vec![0.0]))?;
        let mut left = self.updates();
        while left > 0 {
            let updates = left.min(burst.max(1));
            self.session.submit(updates)?;
            self.session.gpu().wait()?;
            left -= updates;
            done(updates);
        }
        self.pass += 1;
        let losses = self.session.read("losses")?;
        let loss = losses.f32().iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64;
        if !loss.is_finite() {
            let message = format!("the loss became {loss} in pass {}: try a smaller --rate", self.pass);
            return Err(Failure::Run(message));
        }
        Ok(loss)
    }

    /// Adds weights, optimiser state and counters to a checkpoint; trajectories are not part of it.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn save(&mut self, checkpoint: &mut Checkpoint) -> Result<(), Failure> {
        for (name, values) in self.session.states()? {
            let shape = self.session.plan().states[&name].shape.to_vec();
            checkpoint.insert(&format!("cloning.{name}"), &shape, values);
        }
        checkpoint.set("cloning.pass", self.pass.to_string());
        Ok(())
    }

    /// Resumes from a checkpoint of a training of the same recipe.
    ///
    /// # Errors
    /// It is damaged, or of another network.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let states = self.session.plan().states.clone();
        for (name, state) in &states {
            let values = checkpoint.tensor(&format!("cloning.{name}"), state.element, &state.shape)?;
            self.session.write(name, values)?;
        }
        let pass = checkpoint.get("cloning.pass")?;
        let wrong = |_| Failure::Input(format!("{}: cloning.pass: expected a number, got `{pass}`", checkpoint.file()));
        self.pass = pass.parse().map_err(wrong)?;
        Ok(())
    }

    /// The student's weights as they are now, in the order of the published checkpoints.
    ///
    /// # Errors
    /// If the device fails.
    pub fn weights(&mut self) -> Result<Vec<f32>, Failure> {
        Ok(self.parameters.to_dense(self.session.read("weights")?.f32()))
    }
}

/// PyTorch's initial values, with the forget gates more open.
fn initial(parameters: &Parameters, network: AttentionNeuron, forget_bias: f32, seed: u32) -> Data {
    let mut initial = parameters.initial(seed);
    let bias = parameters.iter().find(|parameter| parameter.name == "lstm.bias_ih");
    if let (Data::F32(values), Some(bias)) = (&mut initial, bias) {
        // Gates in the order input, forget, cell, output.
        let forget = &mut values[bias.offset + network.hidden..][..network.hidden];
        forget.iter_mut().for_each(|value| *value += forget_bias);
    }
    initial
}

/// One update. Which rows of the tables a batch takes, and what is remembered, the GPU finds out by itself.
fn build<'g>(
    graph: &'g Graph,
    parameters: &Parameters,
    model: &AttentionNeuronModel,
    recipe: &Recipe,
    [trajectories, windows, channels]: [usize; 3],
) {
    let &Recipe { batch, window, .. } = recipe;
    let network = *model.network();
    let state = |name, kind| graph.state(name, Tag::Bookkeeping, kind);
    let position = state("position", TensorType::f32([]));
    let step = state("step", TensorType::u32([]));
    let seed = state("seed", TensorType::u32([2]));
    let weights = parameters.state(graph, "weights");
    let memory = TensorType::f32([batch * channels, network.hidden]);
    let [hidden, cell] = ["hidden", "cell"].map(|name| state(name, memory.clone()));

    // Whole numbers as f32, which holds them exactly up to 16 million; the half keeps the quotient off the edge.
    let turn = ((position + 0.5) * (1.0 / windows as f32)).unary(Unary::Floor);
    let place = position - turn * windows as f32;
    let order = graph.input("order", TensorType::f32([trajectories / batch, batch]));
    let picked = order.gather(turn.cast(Element::U32).reshape([1])).reshape([batch]);
    let rows = (picked * windows as f32 + place).cast(Element::U32);
    let gathered = |name: &str, width: usize| -> Tensor<'g> {
        let table = graph.input(name, TensorType::f32([trajectories * windows, window * width]));
        table.gather(rows).reshape([batch, window, width]).permute(&[1, 0, 2])
    };
    let inputs = gathered("inputs", channels);
    let labels = gathered("labels", network.actions);
    let noise = seed.normal(0, [window, batch, network.actions]) * recipe.noise;
    let previous = gathered("previous", network.actions) + noise;

    // Zeros in the first window of a batch.
    let keep = place.binary(Binary::Min, graph.constant(1.0));
    let start = NeuronMemory { hidden: hidden * keep, cell: cell * keep };
    let done = model.unroll(&parameters.of(weights), model.positions(graph, "positions"), inputs, previous, start);
    let loss = done.actions.mean_squared_error(labels);
    let gradient = clip_by_global_norm(gradients(loss, &[weights])[0], recipe.clip);

    let losses = state("losses", TensorType::f32([trajectories / batch * windows, 1]));
    graph.record(losses, loss.reshape([1]), step);
    graph.assign(hidden, done.memory.hidden);
    graph.assign(cell, done.memory.cell);
    graph.assign(position, position + 1.0);
    graph.advance(seed);
    let rate = Schedule::Cosine { steps: recipe.updates }.rate(graph, recipe.rate, step);
    let adam = Optimiser::AdamW(AdamW { weight_decay: 0.0, ..AdamW::default() });
    adam.step(weights, gradient, rate, step);
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Recipe =
        Recipe { batch: 8, window: 5, rate: 0.02, updates: 400, clip: 0.5, noise: 0.0, forget_bias: 3.0 };

    /// The sum of the inputs, a twentieth of it and what was done before: what a student can learn at once.
    fn sums(trajectories: usize, steps: usize) -> Trajectories {
        let mut random = fourfold::shaders::random::threefry::Random::new(9, 0);
        let mut data = Trajectories { steps, ..Trajectories::default() };
        for _ in 0..trajectories {
            let mut previous = 0.0;
            for _ in 0..steps {
                let inputs: [f32; 5] = std::array::from_fn(|_| random.normal());
                let label = (0.2 * inputs.iter().sum::<f32>()).tanh();
                data.inputs.extend(inputs);
                data.previous.push(previous);
                data.labels.push(label);
                previous = label;
            }
        }
        data
    }

    #[test]
    fn a_student_learns_the_sum_of_its_inputs() {
        let gpu = Gpu::open().unwrap();
        let mut cloning = Cloning::new(&gpu, AttentionNeuron::cart_pole(), &sums(16, 10), &RECIPE, 1).unwrap();
        assert_eq!(cloning.updates(), 4);
        let first = cloning.run_pass(4, |_| {}).unwrap();
        let mut last = first;
        for _ in 0..60 {
            last = cloning.run_pass(4, |_| {}).unwrap();
        }
        assert!(last < 0.1 * first, "the loss fell from {first} to {last} only");
        assert_eq!(cloning.weights().unwrap().len(), 913);
    }

    #[test]
    fn how_many_updates_share_a_submission_changes_no_bit() {
        let gpu = Gpu::open().unwrap();
        let trained = |burst| {
            let recipe = Recipe { noise: 0.03, ..RECIPE };
            let mut cloning = Cloning::new(&gpu, AttentionNeuron::cart_pole(), &sums(16, 10), &recipe, 1).unwrap();
            cloning.run_pass(burst, |_| {}).unwrap();
            cloning.weights().unwrap()
        };
        assert_eq!(trained(1), trained(4));
    }

    #[test]
    fn what_is_remembered_is_carried_over_windows_and_forgotten_between_batches() {
        let gpu = Gpu::open().unwrap();
        // Without a step, the loss of a pass depends on the memory alone.
        let loss = |window| {
            let recipe = Recipe { window, rate: 0.0, ..RECIPE };
            let mut cloning = Cloning::new(&gpu, AttentionNeuron::cart_pole(), &sums(16, 10), &recipe, 1).unwrap();
            [cloning.run_pass(1, |_| {}).unwrap(), cloning.run_pass(1, |_| {}).unwrap()]
        };
        let [whole, windows] = [loss(10), loss(2)];
        for (whole, windows) in whole.iter().zip(windows) {
            assert!((whole - windows).abs() < 1e-6 * whole, "{whole} in one window, {windows} in five");
        }
    }

    #[test]
    fn batches_and_windows_that_do_not_fit_are_refused() {
        let refused = |recipe: Recipe| recipe.batches(16, 10).unwrap_err().to_string();
        assert_eq!(
            refused(Recipe { batch: 17, ..RECIPE }),
            "--batch takes a number from 1 to 16, the trajectories, got 17"
        );
        assert_eq!(refused(Recipe { window: 3, ..RECIPE }), "--window takes a number that divides 10 steps, got 3");
    }
}
