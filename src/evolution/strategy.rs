//! OpenAI-ES and PGPE whole on the GPU: rollouts, fitness, ranks, gradients and updates of a generation are one
//! recording, and many generations go into one submission without a number coming back.

use fourfold_shaders::evolution::fitness::Summary;
use fourfold_shaders::rollout::unroll::{Composition, Members};
use fourfold_shaders::{
    Call, Data, Element, Target, evolution::centred_ranks, evolution::evolution_gradient, evolution::fitness,
    evolution::pgpe_deviation, evolution::pgpe_gradient, optimiser::adamw, optimiser::advance_step, optimiser::ring,
};

use crate::data::{Checkpoint, Error as FileError};
use crate::gpu::{BufferView, Gpu, Launch, Recording, Ticket};
use crate::rollout::{self, Allocation, Error, Operands, Rollout, Weights};

/// How the centre of the population moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// OpenAI-ES (Salimans et al. 2017): one deviation `sigma` for all parameters, kept as it is.
    OpenAiEs { sigma: f32 },
    /// PGPE (Sehnke et al. 2010) as in EvoJAX: each parameter has a deviation that adapts at `rate`, by no more than
    /// the share `fraction` in a generation.
    Pgpe { deviation: f32, rate: f32, fraction: f32 },
}

/// A strategy and its population.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub method: Method,
    /// The rate of Adam on the centre.
    pub rate: f32,
    /// The share of the centre that decays in a generation, in units of the rate.
    pub weight_decay: f32,
    /// Population, episodes, horizon. The members are an even number.
    pub rollout: rollout::Settings,
    /// The key of all random numbers.
    pub key: u32,
    /// Generations that the ring of metrics holds.
    pub ring: usize,
}

/// What a strategy takes beyond its kernels, as pure data.
#[derive(Debug, Clone)]
pub struct Plan {
    pub rollout: rollout::Plan,
    /// Tensors of the strategy: what a checkpoint holds first, then what one generation leaves to none.
    pub buffers: Vec<Allocation>,
    /// Elements of scratch buffers between dispatches of one gradient.
    pub scratch: usize,
}

impl Plan {
    /// The plan for a composition, whose members are made [`Members::Perturbed`].
    ///
    /// # Errors
    /// Those of [`rollout::Plan::new`].
    pub fn new(composition: &Composition, settings: &Settings, target: &Target) -> Result<Self, Error> {
        let composition = Composition { members: Members::Perturbed, ..composition.clone() };
        let rollout = rollout::Plan::new(&composition, &settings.rollout, target)?;
        if settings.ring == 0 {
            return Err(Error::Settings { message: "the ring of metrics holds at least one generation".into() });
        }
        let (members, count) = (settings.rollout.members, composition.parameters());
        if members as u64 / 2 * count.div_ceil(2) as u64 > 1 << 32 {
            let message = format!(
                "{} directions of {count} parameters are more numbers than one generation can draw (2^33)",
                members / 2
            );
            return Err(Error::Settings { message });
        }
        let f32 = |name, length| Allocation { name, element: Element::F32, length };
        let u32 = |name, length| Allocation { name, element: Element::U32, length };
        let mut buffers = vec![
            f32(CENTER, count),
            f32("deviation", count),
            f32("first_moment", count),
            f32("second_moment", count),
            u32(SEED, 2),
            u32(STEP, 1),
            f32(RING, settings.ring * Summary::COLUMNS.len()),
            f32("rate", 1),
            f32("deviation_rate", 1),
            f32("gradient", count),
            f32("deviation_gradient", count),
            f32("fitness", members),
            f32("utilities", members),
            f32("metrics", Summary::COLUMNS.len()),
        ];
        if matches!(settings.method, Method::OpenAiEs { .. }) {
            buffers.retain(|buffer| !buffer.name.starts_with("deviation_"));
        }
        let plan = Self { rollout, buffers, scratch: 0 };
        let scratch = plan.gradient(settings, target).scratch.iter().map(|scratch| scratch.length).sum();
        Ok(Self { scratch, ..plan })
    }

    /// Bytes on the GPU, the parameters themselves and the optimiser's moments included.
    pub fn bytes(&self) -> u64 {
        let own: u64 = self.buffers.iter().map(Allocation::bytes).sum();
        own + self.rollout.bytes() + (self.scratch * Element::BYTES) as u64
    }

    fn parameters(&self) -> usize {
        self.rollout.composition.parameters()
    }

    fn gradient(&self, settings: &Settings, target: &Target) -> fourfold_shaders::Sequence {
        let (parameters, directions) = (self.parameters(), settings.rollout.members / 2);
        let stream = settings.rollout.stream;
        match settings.method {
            Method::OpenAiEs { sigma } => {
                evolution_gradient::Problem { parameters, directions, stream, sigma, factor: -1.0 }.sequence(target)
            }
            Method::Pgpe { .. } => {
                pgpe_gradient::Problem { parameters, directions, stream, factor: -1.0 }.sequence(target)
            }
        }
    }
}

const CENTER: &str = "center";
const SEED: &str = "seed";
const STEP: &str = "step";
const RING: &str = "ring";

/// Tensors that a checkpoint holds.
const KEPT: [&str; 7] = [CENTER, "deviation", "first_moment", "second_moment", SEED, STEP, RING];

/// No deviation becomes smaller.
const FLOOR: f32 = 1e-5;

/// A strategy on a device.
#[derive(Debug)]
pub struct Strategy {
    gpu: Gpu,
    settings: Settings,
    plan: Plan,
    buffers: Vec<BufferView>,
    rollout: Rollout,
    /// Before the rollout: the step number. After it: everything else.
    before: Recording,
    after: Recording,
}

impl Strategy {
    /// A strategy whose centre starts at `initial`; neither submits nor polls.
    ///
    /// # Errors
    /// Settings or files that make no sense, initial parameters of another number, no memory.
    pub fn new(gpu: &Gpu, composition: &Composition, settings: Settings, initial: &[f32]) -> Result<Self, Error> {
        let plan = Plan::new(composition, &settings, &gpu.target())?;
        let count = plan.parameters();
        if initial.len() != count {
            let message = format!("the policy has {count} parameters but {} initial ones were given", initial.len());
            return Err(Error::Settings { message });
        }
        let (deviation, deviation_rate) = match settings.method {
            Method::OpenAiEs { sigma } => (sigma, 0.0),
            Method::Pgpe { deviation, rate, .. } => (deviation, rate),
        };
        if !(deviation > 0.0 && deviation.is_finite() && settings.rate.is_finite()) {
            let message = format!("the deviation must be above 0 and rates finite, but it is {deviation}");
            return Err(Error::Settings { message });
        }
        let mut buffers = Vec::with_capacity(plan.buffers.len());
        for buffer in &plan.buffers {
            buffers.push(match buffer.name {
                CENTER => gpu.upload(CENTER, &Data::F32(initial.to_vec()))?,
                "deviation" => gpu.upload("deviation", &Data::F32(vec![deviation; count]))?,
                SEED => gpu.upload(SEED, &Data::U32(vec![settings.key, 0]))?,
                "rate" => gpu.upload("rate", &Data::F32(vec![settings.rate]))?,
                "deviation_rate" => gpu.upload("deviation_rate", &Data::F32(vec![deviation_rate]))?,
                "first_moment" | "second_moment" | STEP | RING => gpu.zeros(buffer.name, buffer.length)?,
                name => gpu.uninitialised(name, buffer.length)?,
            });
        }
        let view = |name| buffers[position(&plan, name)].clone();
        let weights = Weights::Perturbed { center: view(CENTER), deviation: view("deviation") };
        let operands = Operands { seed: view(SEED), weights, wiring: None };
        let rollout = Rollout::new(gpu, plan.rollout.clone(), operands)?;
        let (before, after) = (Recording::default(), Recording::default());
        let mut strategy = Self { gpu: gpu.clone(), settings, plan, buffers, rollout, before, after };
        strategy.prepare()?;
        Ok(strategy)
    }

    fn view(&self, name: &str) -> BufferView {
        self.buffers[position(&self.plan, name)].clone()
    }

    /// Builds the dispatches around the rollout.
    fn prepare(&mut self) -> Result<(), Error> {
        let (gpu, target) = (&self.gpu, self.gpu.target());
        let rollout::Settings { members, episodes, .. } = self.settings.rollout;
        let count = self.plan.parameters();
        let one = |call: Call, views: &[BufferView]| gpu.prepare(&[Launch::new(&call, views)]);
        let view = |name| self.view(name);
        let before = one(advance_step::Problem::STEP.call(&target), &[view(STEP)])?;

        let fitness = fitness::Problem { members, episodes };
        let columns = Summary::COLUMNS.len();
        let adam = adamw::Problem {
            count,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: self.settings.weight_decay,
            decayed: count,
        };
        let [returns, lengths] = [self.rollout.returns().clone(), self.rollout.lengths().clone()];
        let mut after = one(fitness.call(&target), &[returns, view("fitness")])?
            .then(one(fitness.summary(&target), &[view("fitness"), lengths, view("metrics")])?)
            .then(one(
                ring::Problem { length: self.settings.ring, columns }.call(&target),
                &[view("metrics"), view(STEP), view(RING)],
            )?)
            .then(one(centred_ranks::Problem { members }.call(&target), &[view("fitness"), view("utilities")])?);
        let mut operands = vec![view("utilities"), view(SEED)];
        match self.settings.method {
            Method::OpenAiEs { .. } => operands.push(view("gradient")),
            Method::Pgpe { .. } => {
                operands.extend([view("deviation"), view("gradient"), view("deviation_gradient")]);
            }
        }
        after = after.then(gpu.prepare_sequence(&self.plan.gradient(&self.settings, &target), &operands)?);
        let operands = [CENTER, "first_moment", "second_moment", "gradient", "rate", STEP].map(view);
        after = after.then(one(adam.call(&target), &operands)?);
        if let Method::Pgpe { fraction, .. } = self.settings.method {
            let call = pgpe_deviation::Problem { count, fraction, floor: FLOOR }.call(&target);
            after = after.then(one(call, &["deviation", "deviation_gradient", "deviation_rate"].map(view))?);
        }
        let after = after.then(one(advance_step::Problem::SEED.call(&target), &[view(SEED)])?);
        (self.before, self.after) = (before, after);
        Ok(())
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// (parameters): the centre of the population, for whoever evaluates it on the GPU.
    pub fn center(&self) -> BufferView {
        self.view(CENTER)
    }

    /// Dispatches of one generation.
    pub fn dispatches(&self) -> usize {
        self.before.len() + self.rollout.dispatches() + self.after.len()
    }

    /// Records one generation. The caller submits.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.before.record(pass);
        self.rollout.record(pass);
        self.after.record(pass);
    }

    /// Records a readback of what [`progress`](Self::progress) needs.
    ///
    /// # Errors
    /// No memory for it.
    pub fn readback(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Ticket, Error> {
        let counters = (self.rollout.counters().clone(), Element::U32);
        let views = [(self.view(STEP), Element::U32), (self.view(RING), Element::F32), counters];
        Ok(self.gpu.readback(encoder, &views)?)
    }

    /// The generations finished when the values of a [`readback`](Self::readback) were taken, and a summary of each of
    /// the last, oldest first, as many as the ring holds.
    ///
    /// # Errors
    /// [`Error::Fault`] where an environment or the policy gave a number that is not finite in the last of them.
    pub fn progress(&self, values: &[Data]) -> Result<(u32, Vec<Summary>), Error> {
        let [step, ring, counters] = values else { unreachable!("three tensors are read back") };
        self.rollout.check(counters.u32())?;
        let generation = step.u32()[0];
        let columns = Summary::COLUMNS.len();
        let first = generation.saturating_sub(self.settings.ring as u32 - 1).max(1);
        let summary = |generation: u32| {
            let row = generation as usize % self.settings.ring * columns;
            let row: [f32; 7] = ring.f32()[row..][..columns].try_into().expect("a row of the ring");
            Summary::from_row(row)
        };
        let summaries = if generation == 0 { Vec::new() } else { (first..=generation).map(summary).collect() };
        Ok((generation, summaries))
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Strategy {
    /// Chooses how a rollout is cut into dispatches, see [`Rollout::pace`]. Changes no result; the strategy must not have
    /// advanced since its state was last set, for the trial leaves the rollout's own buffers changed and nothing else.
    ///
    /// # Errors
    /// Those of [`Rollout::pace`].
    pub fn pace(&mut self, time: std::time::Duration) -> Result<(), Error> {
        self.rollout.pace(time)?;
        self.prepare()
    }

    /// Submits `generations` generations and a readback of their progress, and waits for neither.
    ///
    /// # Errors
    /// No memory for the readback.
    pub fn submit(&mut self, generations: usize) -> Result<Ticket, Error> {
        let label = wgpu::CommandEncoderDescriptor { label: Some("evolution") };
        let mut encoder = self.gpu.device().create_command_encoder(&label);
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            (0..generations).for_each(|_| self.record(&mut pass));
        }
        let ticket = self.readback(&mut encoder)?;
        self.gpu.queue().submit([encoder.finish()]);
        Ok(ticket)
    }

    /// Sets the rates of the centre and the deviation for the generations submitted from now on.
    pub fn set_rates(&mut self, rate: f32, deviation_rate: f32) {
        let write = |view: BufferView, value: f32| {
            self.gpu.queue().write_buffer(&view.buffer, view.offset, bytemuck::bytes_of(&value));
        };
        write(self.view("rate"), rate);
        if let Method::Pgpe { .. } = self.settings.method {
            write(self.view("deviation_rate"), deviation_rate);
        }
    }

    /// Waits for the values of the centre.
    ///
    /// # Errors
    /// The device was lost.
    pub fn parameters(&self) -> Result<Vec<f32>, Error> {
        let mut values = self.read(&[CENTER])?;
        match values.pop() {
            Some(Data::F32(values)) => Ok(values),
            _ => unreachable!("the centre holds f32"),
        }
    }

    fn read(&self, names: &[&str]) -> Result<Vec<Data>, Error> {
        let element = |name: &str| self.plan.buffers[position(&self.plan, name)].element;
        let views: Vec<_> = names.iter().map(|name| (self.view(name), element(name))).collect();
        Ok(self.gpu.submit_readback(&views)?.wait()?)
    }

    /// Waits for the state of the strategy and writes it into a checkpoint.
    ///
    /// # Errors
    /// The device was lost.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        for (name, values) in KEPT.into_iter().zip(self.read(&KEPT)?) {
            checkpoint.insert(name, &[values.len()], values);
        }
        Ok(())
    }

    /// Goes on from the state in a checkpoint, to the same bits as if it had never stopped.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape; then nothing is changed.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), FileError> {
        let mut found = Vec::with_capacity(KEPT.len());
        for name in KEPT {
            let buffer = &self.plan.buffers[position(&self.plan, name)];
            found.push(checkpoint.tensor(name, buffer.element, &[buffer.length])?);
        }
        for (name, data) in KEPT.into_iter().zip(found) {
            let view = self.view(name);
            self.gpu.queue().write_buffer(&view.buffer, view.offset, data.bytes());
        }
        Ok(())
    }
}

fn position(plan: &Plan, name: &str) -> usize {
    let found = plan.buffers.iter().position(|buffer| buffer.name == name);
    found.unwrap_or_else(|| unreachable!("the plan has the buffer `{name}`"))
}
