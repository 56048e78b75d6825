//! The attention neuron on 64 cart-poles, beside a perceptron.
//!
//! Each input of the attention neuron has a sensory neuron of its own and no place, so that it goes on when the inputs are
//! shuffled; the perceptron falls.

mod attention;
mod picture;
mod poles;
mod sensors;

use fourfold::Gpu;
use fourfold::gpu::Ticket;
use fourfold::models::{PolicyNetwork, TrainedPolicy};

use crate::answer::Answer;
use crate::timeline::Timeline;
use crate::{Control, Drawing, Error, Pointer, Reading, Scene, Value, View, period, weights};
use attention::Attention;
use poles::{LANES, Poles, Seen};
use sensors::Sources;

/// Radians per second that a kick adds.
const KICK: f32 = 5.0;

/// Both sides.
pub(crate) struct Neuron {
    gpu: Gpu,
    /// The attention neuron's cart-poles, then the perceptron's.
    sides: [Poles; 2],
    settings: Settings,
    answer: Answer<Moment>,
    seen: [Seen; 2],
    attention: Attention,
    /// The lane that is drawn large.
    lane: usize,
    /// The inputs of that lane, and the action.
    inputs: Vec<f32>,
    /// The sources of these inputs.
    order: Vec<u32>,
    action: f32,
    /// Steps submitted, and steps seen.
    step: usize,
    seen_step: usize,
    shuffles: u32,
    /// Step, and the mean reward of each side; marked are the shuffles.
    curve: Timeline<3>,
    /// Mean rewards of the last steps, smoothed.
    scores: [f64; 2],
    /// Carts that left the track.
    left: [u64; 2],
}

/// What stands by when a readback is submitted.
struct Moment {
    step: usize,
    lane: usize,
    order: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    easy: bool,
    from: Sources,
    /// Steps from shuffle to shuffle; 0 is never.
    period: usize,
    forget: bool,
    seed: u32,
}

/// The choices of noise channels.
const NOISE: [usize; 4] = [0, 5, 10, 20];

/// Opens the scene.
pub(crate) fn open(gpu: &Gpu, seed: u32) -> Result<Box<dyn Scene>, Error> {
    let trained = TrainedPolicy::from_bytes(weights::ATTENTION_NEURON.name, weights::ATTENTION_NEURON.bytes()?)?;
    Ok(Box::new(Neuron::new(gpu, trained, seed)?))
}

impl Neuron {
    fn new(gpu: &Gpu, trained: TrainedPolicy, seed: u32) -> Result<Self, Error> {
        let from = Sources { copies: 1, noise_channels: 0 };
        let settings = Settings { easy: true, from, period: 0, forget: false, seed };
        let attention = attention(&trained)?;
        Ok(Self {
            gpu: gpu.clone(),
            sides: sides(gpu, trained, settings)?,
            settings,
            answer: Answer::none(),
            seen: Default::default(),
            attention,
            lane: 0,
            inputs: Vec::new(),
            order: Vec::new(),
            action: 0.0,
            step: 0,
            seen_step: 0,
            shuffles: 0,
            curve: Timeline::default(),
            scores: [0.0; 2],
            left: [0; 2],
        })
    }

    fn shuffle(&mut self) -> Result<(), Error> {
        self.shuffles += 1;
        let seed = self.settings.seed.wrapping_mul(1 << 16).wrapping_add(self.shuffles);
        self.sides.iter_mut().try_for_each(|side| side.shuffle(seed))?;
        if self.settings.forget {
            self.encode("forget", |scene, encoder| {
                scene.sides.iter().try_for_each(|side| side.encode_forget(encoder))
            })?;
        }
        self.curve.mark(self.step as f64);
        Ok(())
    }

    /// Submits what is encoded.
    fn encode<T>(
        &mut self,
        label: &str,
        encode: impl FnOnce(&mut Self, &mut fourfold::wgpu::CommandEncoder) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let gpu = self.gpu.clone();
        gpu.submit(label, |encoder| Ok(encode(self, encoder)))?
    }

    /// Submits steps of one wiring, and in the same submission the readback if it is wanted: some drivers let a second
    /// submission wait for the first.
    fn steps(&mut self, steps: usize, is_read: bool) -> Result<Option<Ticket>, Error> {
        let ticket = self.encode("cart-poles", |scene, encoder| {
            for side in &mut scene.sides {
                side.encode_beginning(encoder)?;
            }
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                for _ in 0..steps {
                    scene.sides.iter().for_each(|side| side.record(&mut pass));
                }
            }
            if !is_read {
                return Ok(None);
            }
            let [neuron, perceptron] = &scene.sides;
            let sides = neuron.views().into_iter().chain(perceptron.views());
            let views: Vec<_> = sides.chain(neuron.views_of(scene.lane)).collect();
            Ok(Some(scene.gpu.encode_readback(encoder, &views)?))
        })?;
        self.step += steps;
        Ok(ticket)
    }

    /// Forgets what has been seen.
    fn clear(&mut self) {
        self.answer.forget();
        self.attention.clear();
        self.seen = Default::default();
        self.curve = Timeline::default();
        (self.step, self.seen_step, self.shuffles) = (0, 0, 0);
        (self.scores, self.left) = ([0.0; 2], [0; 2]);
    }

    fn rewire(&mut self, from: Sources) -> Result<(), Error> {
        self.settings.from = from;
        let gpu = self.gpu.clone();
        // What is on its way is of other inputs.
        self.answer.forget();
        self.sides.iter_mut().try_for_each(|side| side.rewire(&gpu, from))
    }

    fn kick_all(&mut self) -> Result<(), Error> {
        // Every second pole to the other side.
        let spins: Vec<f32> = (0..LANES).map(|lane| if lane % 2 == 0 { KICK } else { -KICK }).collect();
        self.sides.iter_mut().try_for_each(|side| side.kick(spins.clone()))
    }
}

fn attention(trained: &TrainedPolicy) -> Result<Attention, Error> {
    match trained.network() {
        PolicyNetwork::AttentionNeuron(network) if trained.interface().inputs == 5 => {
            Ok(Attention::new(*network, trained.weights()))
        }
        _ => Err(Error::Input("expected an attention neuron with 5 observations, got another policy".into())),
    }
}

fn sides(gpu: &Gpu, trained: TrainedPolicy, settings: Settings) -> Result<[Poles; 2], Error> {
    let perceptron = TrainedPolicy::from_bytes(weights::SWING_UP.name, weights::SWING_UP.bytes()?)?;
    let Settings { easy, from, seed, .. } = settings;
    Ok([Poles::new(gpu, trained, easy, from, seed)?, Poles::new(gpu, perceptron, easy, from, seed)?])
}

impl Scene for Neuron {
    fn controls(&self) -> Vec<Control> {
        let Settings { easy, from, period, forget, .. } = self.settings;
        let noise = NOISE.iter().position(|&channels| channels == from.noise_channels).unwrap_or(0);
        vec![
            Control::button("shuffle", "Shuffle now", 's', "Wire the inputs of every policy in another order."),
            Control::slider(
                "period",
                "Shuffle every",
                "Steps from shuffle to shuffle; 0 is never.",
                period as f64,
                [0.0, 500.0],
                50.0,
            )
            .with_key('t'),
            Control::toggle("forget", "Clear memory", 'm', "Clear what the policy remembers at each shuffle.", forget),
            Control::choice(
                "noise",
                "Noise inputs",
                'n',
                "Add inputs of nothing but noise.",
                noise,
                &["none", "5", "10", "20"],
            ),
            Control::toggle("duplicates", "Every input twice", 'd', "Give every input twice.", from.copies == 2),
            Control::button("kick", "Kick", 'k', "Push every pole."),
            Control::choice(
                "starts",
                "Starts",
                'h',
                "Begin anew: poles hang at rest, or are anywhere at any speed.",
                usize::from(!easy),
                &["easy", "hard"],
            ),
        ]
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), Error> {
        let from = self.settings.from;
        match (name, value) {
            ("shuffle", _) => self.shuffle()?,
            ("period", Value::Number(period)) => self.settings.period = period as usize,
            ("forget", Value::On(on)) => self.settings.forget = on,
            ("noise", Value::Index(index)) => {
                self.rewire(Sources { noise_channels: NOISE[index.min(NOISE.len() - 1)], ..from })?;
            }
            ("duplicates", Value::On(on)) => self.rewire(Sources { copies: 1 + usize::from(on), ..from })?,
            ("kick", _) => self.kick_all()?,
            ("starts", Value::Index(index)) => {
                self.settings.easy = index == 0;
                let trained = self.sides[0].trained().clone();
                self.sides = sides(&self.gpu, trained, self.settings)?;
                self.clear();
            }
            _ => {}
        }
        Ok(())
    }

    fn point(&mut self, view: View, at: [f32; 2], pointer: Pointer) -> Result<bool, Error> {
        if pointer != Pointer::Press {
            return Ok(false);
        }
        let places = picture::places(view);
        if places.large.contains(at) {
            // Away from the mouse: positive angles lean to the left.
            let [x, _, angle, _] = self.seen[0].state(self.lane);
            let to_the_right = at[0] < picture::cart(places.large, x)[0];
            let spin = if to_the_right == (angle.cos() > 0.0) { -KICK } else { KICK };
            let spins = (0..LANES).map(|lane| if lane == self.lane { spin } else { 0.0 });
            self.sides[0].kick(spins.collect())?;
            return Ok(true);
        }
        let Some(lane) = places.lane(at) else { return Ok(false) };
        self.lane = lane;
        self.attention.clear();
        Ok(true)
    }

    fn reset(&mut self, seed: u32) -> Result<(), Error> {
        self.clear();
        self.settings.seed = seed;
        self.sides.iter_mut().try_for_each(|side| side.reset(seed))
    }

    fn poll(&mut self) -> Result<bool, Error> {
        let Some((values, moment)) = self.answer.take()? else { return Ok(!self.answer.is_waiting()) };
        let (sides, own) = values.split_at(6.min(values.len()));
        let [memory, inputs, action] = own else { return Ok(true) };
        let steps = moment.step - self.seen_step;
        for (index, values) in sides.chunks_exact(3).enumerate() {
            let Some(seen) = Poles::seen(values) else { return Ok(true) };
            self.left[index] += seen.left(&self.seen[index]);
            // Smoothed over a hundred steps.
            let share = if self.curve.moments().is_empty() { 1.0 } else { 1.0 - 0.99_f64.powi(steps as i32) };
            self.scores[index] += share * (seen.reward() - self.scores[index]);
            self.seen[index] = seen;
        }
        if steps > 0 && moment.lane == self.lane {
            self.attention.push(memory.f32());
        }
        if steps > 0 {
            self.curve.push([moment.step as f64, self.scores[0], self.scores[1]]);
        }
        self.inputs = inputs.f32().to_vec();
        self.action = action.f32().first().copied().unwrap_or(0.0);
        self.order = moment.order;
        self.seen_step = moment.step;
        Ok(true)
    }

    fn submit(&mut self, steps: usize) -> Result<(), Error> {
        for part in period::parts(self.step, steps, self.settings.period) {
            let (lane, order) = (self.lane, self.sides[0].order(self.lane).to_vec());
            if let Some(ticket) = self.steps(part.steps, part.last)? {
                self.answer.expect(ticket, Moment { step: self.step, lane, order });
            }
            if part.shuffles {
                self.shuffle()?;
            }
        }
        Ok(())
    }

    /// A step is a hundredth of a second.
    fn steps(&self) -> f64 {
        2.0
    }

    fn readings(&self) -> Vec<Reading> {
        let [neuron, perceptron] = &self.seen;
        vec![
            Reading::new("step", self.seen_step as f64, 0),
            Reading::new("score", self.scores[0], 3),
            Reading::new("perceptron's score", self.scores[1], 3),
            Reading::new("up", neuron.up(), 2),
            Reading::new("perceptron's up", perceptron.up(), 2),
            Reading::new("left the track", self.left[0] as f64, 0),
            Reading::new("perceptron's left the track", self.left[1] as f64, 0),
        ]
    }

    fn drawing(&self, view: View) -> Drawing {
        picture::draw(self, view)
    }

    fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let input = |error: &dyn std::fmt::Display| Error::Input(error.to_string());
        let trained = TrainedPolicy::from_bytes(name, bytes).map_err(|error| input(&error))?;
        let attention = attention(&trained).map_err(|error| Error::Input(format!("{name}: {error}")))?;
        self.sides = sides(&self.gpu, trained, self.settings)?;
        self.attention = attention;
        self.clear();
        Ok(())
    }

    fn save(&self) -> Option<(String, Vec<u8>)> {
        Some(("attention_neuron.safetensors".into(), self.sides[0].trained().to_checkpoint().to_bytes()))
    }
}

#[cfg(test)]
mod tests;
