//! One episode as a [`Film`]: played on the GPU, with the attention of the network's twin beside it.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::rollout::{
    Composition, End, Environment, Operands, Plan, Policy, Rollout, Sensors, Settings, Step, WeightSource, Weights,
    Wiring, shuffled,
};
use fourfold::shaders::Data;
use fourfold::shaders::rollout::policies::AttentionNeuron;

use super::scene::{Channel, Film, Scene};
use super::shuffles;
use crate::failure::Failure;

/// Steps in which the twin must act as the GPU did. Later on, roundings that the memory of the channels has gathered
/// may make a steep network differ.
const COMPARED: usize = 50;

/// The largest difference allowed between the actions in those steps.
const AGREEMENT: f64 = 1e-3;

/// The settings of a watched episode.
#[derive(Debug, Clone)]
pub struct Script {
    pub world: Arc<dyn Environment>,
    pub noise_channels: usize,
    /// The steps in which the inputs are shuffled, ascending; 0 is from the start. Before, their order is plain.
    pub shuffles: Vec<usize>,
    /// True if the memory of the channels is cleared then.
    pub forget: bool,
    pub seed: u32,
}

/// An episode as it was played.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// The number of the episode among those of the seed.
    pub episode: usize,
    pub steps: Vec<Step>,
}

/// An episode as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub film: Film,
    /// The largest difference between an action of the GPU and the twin's, in the first steps and in the whole episode.
    pub differences: [f64; 2],
}

/// Noise inputs that [`Script::toggle_noise`] adds.
const NOISE: usize = 5;

impl Script {
    /// Shuffles in this step and no more after it: the episode is the same up to it.
    pub fn shuffle_at(&mut self, step: usize) {
        self.shuffles.retain(|&shuffle| shuffle < step);
        self.shuffles.push(step);
    }

    /// Adds noise inputs or takes them away, and shuffles no more.
    pub fn toggle_noise(&mut self) {
        self.noise_channels = if self.noise_channels == 0 { NOISE } else { 0 };
        self.shuffles.clear();
    }

    /// Shuffles no more, and returns the seed of the next episode.
    pub fn next_seed(&mut self) -> u64 {
        self.shuffles.clear();
        u64::from(self.seed) + 1
    }

    /// Checks the settings without a GPU.
    ///
    /// # Errors
    /// Shuffles that a wiring cannot express together with forgetting.
    pub fn check(&self) -> Result<(), Failure> {
        let wiring = self.wiring();
        let inner = self.shuffles.iter().filter(|&&step| step > 0).count();
        // The kernel clears the memory whenever a phase begins, so that each of them must be a shuffle.
        if self.forget && wiring.phases != inner + 1 {
            let steps = self.shuffles.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
            return Err(Failure::Input(format!(
                "--forget: expected shuffles at even distances from step 0 (as 200,400,600), got {steps}"
            )));
        }
        Ok(())
    }

    /// A wiring whose phases begin at every shuffle, and perhaps between them.
    fn wiring(&self) -> Wiring {
        let [interval, phases] = shuffles::phases(&self.shuffles, self.world.horizon());
        Wiring { interval, phases, forget: self.forget }
    }

    fn sensors(&self) -> Sensors {
        Sensors { copies: 1, noise_channels: self.noise_channels, noise: 0.1, wiring: Some(self.wiring()) }
    }

    fn inputs(&self) -> usize {
        self.sensors().inputs(self.world.observations())
    }

    /// The orders of the inputs in an episode: the plain one, then one for each shuffle. Each episode of a seed has its
    /// own, whichever others are played with it.
    fn orders(&self, episode: usize) -> Vec<Vec<u32>> {
        let (inputs, orders) = (self.inputs(), self.shuffles.len() + 1);
        let drawn = shuffled(self.seed, episode + 1, orders, inputs, true);
        drawn.u32().chunks_exact(inputs).skip(episode * orders).map(<[u32]>::to_vec).collect()
    }

    /// The number of shuffles up to a step.
    fn order(&self, step: usize) -> usize {
        shuffles::order(&self.shuffles, step)
    }

    /// Plays the episode of a number on the GPU.
    ///
    /// # Errors
    /// A policy that returns numbers that are not finite, or the device fails.
    pub fn play(&self, gpu: &Gpu, policy: Arc<dyn Policy>, weights: &[f32], episode: usize) -> Result<Played, Failure> {
        // One episode a generation: the generation is its number.
        let mut played = self.rollout(gpu, policy, weights, episode..episode + 1, [self.seed, episode as u32])?;
        Ok(played.swap_remove(0))
    }

    /// Plays the first `episodes` episodes, and picks one to look at: the first that lasts the longest.
    ///
    /// # Errors
    /// As [`play`](Self::play).
    pub fn pick(
        &self,
        gpu: &Gpu,
        policy: Arc<dyn Policy>,
        weights: &[f32],
        episodes: usize,
    ) -> Result<Played, Failure> {
        let played = self.rollout(gpu, policy, weights, 0..episodes, [self.seed, 0])?;
        let longest = played.iter().map(|played| played.steps.len()).max();
        let first = played.into_iter().find(|played| Some(played.steps.len()) == longest);
        first.ok_or_else(|| Failure::Input("expected at least one episode to pick from".into()))
    }

    fn rollout(
        &self,
        gpu: &Gpu,
        policy: Arc<dyn Policy>,
        weights: &[f32],
        episodes: std::ops::Range<usize>,
        seed: [u32; 2],
    ) -> Result<Vec<Played>, Failure> {
        self.check()?;
        let sensors = self.sensors();
        let composition = Composition {
            environment: self.world.clone(),
            policy,
            sensors,
            weights: WeightSource::Given { trace: true },
        };
        let expected = composition.parameters();
        if weights.len() != expected {
            return Err(Failure::Input(format!("expected {expected} weights, got {}", weights.len())));
        }
        let plan = Plan::new(&composition, &Settings::new(1, episodes.len(), self.world.horizon()), &gpu.target())?;
        let Wiring { interval, phases, .. } = self.wiring();
        let wiring = episodes.clone().flat_map(|episode| {
            let orders = self.orders(episode);
            (0..phases).flat_map(move |phase| orders[self.order(phase * interval)].clone())
        });
        let operands = Operands {
            seed: gpu.upload("seed", &Data::U32(seed.to_vec()))?,
            weights: Weights::Given(gpu.upload("weights", &Data::F32(weights.to_vec()))?),
            wiring: Some(gpu.upload("wiring", &Data::U32(wiring.collect()))?),
        };
        let (_, trace) = Rollout::new(gpu, plan, operands)?.trace()?;
        Ok(episodes.zip(trace.episodes).map(|(episode, steps)| Played { episode, steps }).collect())
    }

    /// Goes through the episode again with the network's twin, for what it attends to.
    ///
    /// # Errors
    /// The twin acts otherwise than the GPU did.
    pub fn show(&self, network: AttentionNeuron, weights: &[f32], played: &Played) -> Result<Shown, Failure> {
        let weights: Vec<f64> = weights.iter().map(|&weight| weight.into()).collect();
        let (table, orders, sensors) = (network.score_table(&weights), self.orders(played.episode), self.sensors());
        let (inputs, rows) = (self.inputs(), network.rows);
        let mut hidden = vec![0.0; inputs * network.hidden];
        let mut cell = hidden.clone();
        let (mut previous, mut action) = ([0.0], [0.0]);
        let mut attention = vec![0.0; rows * inputs];
        let (mut score, mut differences) = (0.0, [0.0_f64; 2]);
        let mut scenes = Vec::with_capacity(played.steps.len());
        for (step, recorded) in played.steps.iter().enumerate() {
            let last_shuffle = self.shuffles.iter().rfind(|&&shuffle| shuffle <= step);
            let since_shuffle = last_shuffle.map(|last| step - last);
            if self.forget && since_shuffle == Some(0) {
                hidden.fill(0.0);
                cell.fill(0.0);
            }
            let observation: Vec<f64> = recorded.observation.iter().map(|&number| number.into()).collect();
            let sources = sensors.sources(self.seed, 0, played.episode as u32, step as u32, &observation);
            let order = &orders[self.order(step)];
            let sensed: Vec<f64> = order.iter().map(|&source| sources[source as usize]).collect();
            let message =
                network.message(&weights, &table, &mut hidden, &mut cell, &previous, &sensed, Some(&mut attention));
            network.head(&weights, &message, &mut action);

            let acted = f64::from(recorded.action[0]);
            let difference = (action[0] - acted).abs();
            if step < COMPARED && difference > AGREEMENT {
                return Err(Failure::Run(format!(
                    "step {step}: expected the GPU's action {acted:.6} from the twin of the network, got {:.6}",
                    action[0]
                )));
            }
            differences[0] = if step < COMPARED { differences[0].max(difference) } else { differences[0] };
            differences[1] = differences[1].max(difference);
            previous = [acted];
            score += f64::from(recorded.reward);
            let mean = |channel: usize| {
                attention.iter().skip(channel).step_by(inputs).map(|weight| weight.abs()).sum::<f64>() / rows as f64
            };
            let channels = order.iter().zip(&sensed).enumerate().map(|(channel, (&source, &value))| Channel {
                source: source as usize,
                value,
                attention: mean(channel),
            });
            scenes.push(Scene {
                step,
                position: recorded.state[0].into(),
                angle: recorded.state[2].into(),
                action: acted,
                score,
                channels: channels.collect(),
                since_shuffle,
            });
        }
        let fell = played.steps.last().is_some_and(|step| step.end == End::Terminated);
        let film = Film {
            sources: Film::sources(self.noise_channels),
            scenes,
            track: 2.4,
            pole: 0.6,
            time_step: 0.01,
            horizon: self.world.horizon(),
            forgets: self.forget,
            fell,
        };
        Ok(Shown { film, differences })
    }
}

#[cfg(test)]
mod tests {
    use fourfold::rollout::environments::CartPoleSwingUp;

    use super::*;

    fn script(shuffles: &[usize], forget: bool) -> Script {
        let world = Arc::new(CartPoleSwingUp { easy: false });
        Script { world, noise_channels: 2, shuffles: shuffles.to_vec(), forget, seed: 5 }
    }

    #[test]
    fn phases_of_the_wiring_begin_at_every_shuffle() {
        for shuffles in [&[][..], &[0], &[500], &[200, 500], &[0, 30, 70], &[999]] {
            let Wiring { interval, phases, .. } = script(shuffles, false).wiring();
            let begins: Vec<usize> = (0..phases).map(|phase| phase * interval).collect();
            assert!(shuffles.iter().all(|step| begins.contains(step)), "{shuffles:?}: {begins:?}");
        }
    }

    #[test]
    fn forgetting_goes_with_shuffles_at_even_distances() {
        for shuffles in [&[][..], &[0], &[500], &[200, 400, 600], &[0, 100, 200]] {
            script(shuffles, true).check().unwrap();
        }
        assert_eq!(script(&[200, 500], true).check().unwrap_err().code(), 2);
        assert_eq!(script(&[200, 600], true).check().unwrap_err().code(), 2);
        script(&[200, 500], false).check().unwrap();
    }

    #[test]
    fn an_episode_keeps_its_orders_whichever_others_are_played() {
        let script = script(&[100, 200], false);
        let orders = script.orders(3);
        assert_eq!(orders.len(), 3);
        assert_eq!(orders[0], [0, 1, 2, 3, 4, 5, 6]);
        let all = shuffled(5, 9, 3, 7, true);
        assert_eq!(orders.concat(), all.u32()[3 * 21..4 * 21]);
        assert_eq!([script.order(99), script.order(100), script.order(999)], [0, 1, 2]);
    }
}
