//! Training of a policy by an evolution strategy, resumable after every burst of generations.

use std::sync::Arc;

use fourfold::data::Checkpoint;
use fourfold::evolution::{
    CmaEs, Descent, EvolutionStrategy, OuterLoop, OuterSettings, OuterTensors, RolloutGradient, RolloutGradientPlan,
    cma_es,
};
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::rollout::{self, Composition, Operands, Plan, Policy, Rollout, WeightSource, Weights};
use fourfold::shaders::Data;
use fourfold::{BufferView, Gpu};
use serde::{Deserialize, Serialize};

use super::evaluation::{HORIZON, Protocol};
use crate::failure::Failure;
use crate::ranks::Ranks;
use crate::run::{entry, set_entry};

/// Seeds of the episodes that choose between centres: no others are played with them.
const VALIDATION_SEED: u32 = 0x5EED_0001;

/// Longest dispatch.
const DISPATCH: std::time::Duration = std::time::Duration::from_millis(200);

/// The evolution strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyName {
    Pgpe,
    OpenAiEs,
    CmaEs,
}

/// Settings of a training, beside its seed and its initial weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    pub strategy: StrategyName,
    /// Environment steps, about: it ends with the burst that reaches them.
    pub steps: f64,
    pub members: usize,
    pub episodes: usize,
    /// Standard deviation of the perturbations (of PGPE at first, of CMA-ES its sigma).
    pub deviation: f32,
    /// Rate of Adam on the centre at first.
    pub rate: f32,
    /// The rate falls to this share of itself along half a cosine.
    pub last_rate: f32,
    pub deviation_rate: f32,
    pub weight_decay: f32,
}

/// A point of a learning curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub generation: u32,
    /// Environment steps so far, those of validation not counted.
    pub steps: u64,
    /// The mean fitness of the population in the last generation of the burst.
    pub population: f64,
    /// The mean score of the centre on the validation episodes, where it was taken.
    pub validation: Option<f64>,
}

/// The progress of a training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub bursts: u64,
    pub curve: Vec<Point>,
    /// The score of the best centre on the validation episodes.
    pub best: Option<f64>,
}

/// A training in progress.
#[derive(Debug)]
pub struct Training {
    gpu: Gpu,
    ranks: Ranks,
    policy: Arc<dyn Policy>,
    recipe: Recipe,
    seed: u32,
    pub record: Record,
    /// The weights that the best score belongs to, or the first ones.
    pub best: Vec<f32>,
    search: Search,
}

/// A strategy and its rollouts.
#[derive(Debug)]
enum Search {
    Gpu(Box<OuterLoop<RolloutGradient>>),
    /// CMA-ES samples and adapts on the CPU.
    Cpu(Box<CpuSearch>),
}

/// CMA-ES over some of the weights.
#[derive(Debug)]
struct CpuSearch {
    search: CmaEs,
    /// The mean of the search, averaged over the last hundred generations or so (Polyak): what is validated.
    average: Vec<f64>,
    /// All weights, those that are not searched at their values.
    fixed: Vec<f32>,
    free: Vec<usize>,
    rollout: Rollout,
    weights: BufferView,
    seed: BufferView,
}

impl CpuSearch {
    /// All weights where those that are searched are `values`.
    fn weights(&self, values: &[f32]) -> Vec<f32> {
        let mut weights = self.fixed.clone();
        for (&index, &value) in self.free.iter().zip(values) {
            weights[index] = value;
        }
        weights
    }

    /// One generation, of which each rank plays some members; returns its steps and the mean fitness.
    fn generation(&mut self, gpu: &Gpu, ranks: &Ranks, key: u32, episodes: usize) -> Result<(u64, f64), Failure> {
        const MEMORY: f64 = 0.99;
        let generation = self.search.generation();
        let asked = self.search.ask().map_err(Failure::run)?.to_vec();
        let members: Vec<f32> = asked.chunks_exact(self.free.len()).flat_map(|values| self.weights(values)).collect();
        gpu.queue().write_buffer(&self.weights.buffer, self.weights.offset, bytemuck::cast_slice(&members));
        gpu.queue().write_buffer(&self.seed.buffer, self.seed.offset, bytemuck::cast_slice(&[key, generation]));
        let played = self.rollout.run()?;
        let plan = self.rollout.plan();
        let told = plan.own_members().flat_map(|member| {
            let own = member * episodes..(member + 1) * episodes;
            let fitness = played.returns[own.clone()].iter().sum::<f32>() / episodes as f32;
            [fitness.to_bits(), played.lengths[own].iter().sum()]
        });
        let counts: Vec<usize> = plan.members_of_parts().iter().map(|members| 2 * members.len()).collect();
        let all = ranks.gather(&told.collect::<Vec<_>>(), &counts)?;
        let fitness: Vec<f32> = all.chunks(2).map(|member| f32::from_bits(member[0])).collect();
        self.search.tell(&fitness).map_err(Failure::run)?;
        for (average, mean) in self.average.iter_mut().zip(self.search.mean()) {
            // A mean of all at first, of the last hundred in the long run.
            let weight = (1.0 - MEMORY).max(1.0 / f64::from(generation + 1));
            *average += weight * (f64::from(mean) - *average);
        }
        let mean = fitness.iter().map(|&fitness| f64::from(fitness)).sum::<f64>() / fitness.len() as f64;
        Ok((all.chunks(2).map(|member| u64::from(member[1])).sum(), mean))
    }
}

/// Generations between two looks.
pub const BURST: usize = 10;

/// Bursts between two validations of the centre.
const BETWEEN_VALIDATIONS: u64 = 10;

/// Episodes of a validation.
const VALIDATION_EPISODES: usize = 500;

impl Training {
    /// A training from `initial` weights, of which CMA-ES searches those with the indices `free`; the other strategies
    /// search all. The ranks share the members of a generation.
    ///
    /// # Errors
    /// Invalid settings, or the device fails.
    pub fn new(
        gpu: &Gpu,
        ranks: &Ranks,
        policy: Arc<dyn Policy>,
        recipe: Recipe,
        seed: u32,
        (initial, free): (Vec<f32>, Vec<usize>),
    ) -> Result<Self, Failure> {
        let search = begin(gpu, ranks, &policy, &recipe, seed, (&initial, free))?;
        let (gpu, ranks, record) = (gpu.clone(), ranks.clone(), Record::default());
        Ok(Self { gpu, ranks, policy, recipe, seed, record, best: initial, search })
    }

    /// True once it has had its steps.
    pub fn finished(&self) -> bool {
        self.steps() as f64 >= self.recipe.steps
    }

    /// The part of all steps that is done, in units of 1.
    pub fn progress(&self) -> f64 {
        (self.steps() as f64 / self.recipe.steps).min(1.0)
    }

    /// Environment steps so far.
    pub fn steps(&self) -> u64 {
        self.record.curve.last().map_or(0, |point| point.steps)
    }

    /// Runs one burst of generations, and where it is time a validation.
    ///
    /// # Errors
    /// A policy that returns numbers that are not finite, or the loss of the device.
    pub fn burst(&mut self) -> Result<(), Failure> {
        let recipe = self.recipe;
        let share = f64::from(recipe.last_rate);
        let factor = share + (1.0 - share) * 0.5 * (1.0 + (std::f64::consts::PI * self.progress()).cos());
        let rate = (f64::from(recipe.rate) * factor) as f32;
        let (generation, steps, population) = match &mut self.search {
            Search::Gpu(outer) => {
                outer.set_rate(rate)?;
                let progress = match self.ranks.are_several() {
                    true => outer.run_part(BURST, &mut |own, counts| self.ranks.gather(own, counts))?,
                    false => outer.run(BURST)?,
                };
                let (generation, summaries) = (progress.iteration, RolloutGradient::summaries(&progress));
                let last = &summaries[summaries.len() - BURST..];
                (generation, last.iter().map(|summary| summary.steps).sum::<u64>(), f64::from(last[BURST - 1].mean))
            }
            Search::Cpu(search) => {
                let (mut steps, mut mean) = (0, 0.0);
                for _ in 0..BURST {
                    let (played, fitness) = search.generation(&self.gpu, &self.ranks, self.seed, recipe.episodes)?;
                    steps += played;
                    mean = fitness;
                }
                (search.search.generation(), steps, mean)
            }
        };
        self.record.bursts += 1;
        let steps = self.steps() + steps;
        let over = steps as f64 >= recipe.steps;
        let validation =
            if self.record.bursts.is_multiple_of(BETWEEN_VALIDATIONS) || over { Some(self.validate()?) } else { None };
        self.record.curve.push(Point { generation, steps, population, validation });
        Ok(())
    }

    /// The score of the centre on the validation episodes; the best centre is kept.
    fn validate(&mut self) -> Result<f64, Failure> {
        let center = match &self.search {
            Search::Gpu(outer) => outer.parameters()?,
            Search::Cpu(search) => {
                search.weights(&search.average.iter().map(|&value| value as f32).collect::<Vec<_>>())
            }
        };
        let protocol = Protocol::plain(VALIDATION_EPISODES, VALIDATION_SEED);
        let score = protocol.scores(&self.gpu, self.policy.clone(), &center)?.mean();
        if self.record.best.is_none_or(|best| score > best) {
            self.record.best = Some(score);
            self.best = center;
        }
        Ok(score)
    }

    /// Writes everything that [`restore`](Self::restore) needs.
    ///
    /// # Errors
    /// The device was lost.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<(), Failure> {
        set_entry(checkpoint, "training", &self.record)?;
        checkpoint.insert("best", &[self.best.len()], Data::F32(self.best.clone()));
        match &self.search {
            Search::Gpu(outer) => outer.save(checkpoint)?,
            Search::Cpu(search) => {
                search.search.save(checkpoint, "cma_es.");
                checkpoint.insert_f64("average", &[search.average.len()], search.average.clone());
            }
        }
        Ok(())
    }

    /// Resumes from a checkpoint of a training with the same policy, recipe and seed.
    ///
    /// # Errors
    /// A checkpoint that is damaged or of another training.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let record: Record = entry(checkpoint, "training")?;
        let best = checkpoint.f32("best", &[self.best.len()])?.to_vec();
        match &mut self.search {
            Search::Gpu(outer) => outer.restore(checkpoint)?,
            Search::Cpu(search) => {
                search.average = checkpoint.f64("average", &[search.average.len()])?.to_vec();
                search.search.restore(checkpoint, "cma_es.")?;
            }
        }
        (self.record, self.best) = (record, best);
        Ok(())
    }
}

/// The strategy of a recipe, at its beginning.
fn begin(
    gpu: &Gpu,
    ranks: &Ranks,
    policy: &Arc<dyn Policy>,
    recipe: &Recipe,
    seed: u32,
    (initial, free): (&[f32], Vec<usize>),
) -> Result<Search, Failure> {
    let environment = Arc::new(CartPoleSwingUp { easy: false });
    let weights = WeightSource::Given { trace: false };
    let composition = Composition { environment, policy: policy.clone(), sensors: Default::default(), weights };
    let rollout = rollout::Settings {
        allow_slow_compile: true,
        part: ranks.part(),
        ..rollout::Settings::new(recipe.members, recipe.episodes, HORIZON)
    };
    let strategy = match recipe.strategy {
        StrategyName::Pgpe => {
            let (deviation, rate) = (recipe.deviation, recipe.deviation_rate);
            EvolutionStrategy::Pgpe { deviation, rate, fraction: 0.2 }
        }
        StrategyName::OpenAiEs => EvolutionStrategy::OpenAiEs { sigma: recipe.deviation },
        StrategyName::CmaEs => {
            let settings = cma_es::Settings {
                members: recipe.members,
                sigma: f64::from(recipe.deviation),
                seed,
                ..cma_es::Settings::new(free.len())
            };
            let searched: Vec<f32> = free.iter().map(|&index| initial[index]).collect();
            let search = CmaEs::new(&searched, settings).map_err(Failure::input)?;
            let weights = gpu.zeros("weights", recipe.members * initial.len())?;
            let seed = gpu.upload("seed", &Data::U32(vec![seed, 0]))?;
            let operands = Operands { seed: seed.clone(), weights: Weights::Given(weights.clone()), wiring: None };
            let plan = Plan::new(&composition, &rollout, &gpu.target())?;
            let mut rollout = Rollout::new(gpu, plan, operands)?;
            rollout.pace(DISPATCH)?;
            let average = vec![0.0; free.len()];
            let fixed = initial.to_vec();
            return Ok(Search::Cpu(Box::new(CpuSearch { search, average, fixed, free, rollout, weights, seed })));
        }
    };
    let plan = RolloutGradientPlan::new(&composition, strategy, &rollout, &gpu.target())?;
    let outer = OuterTensors::new(gpu, initial, seed)?;
    let source = RolloutGradient::new(gpu, plan, &outer)?.paced(DISPATCH)?;
    let descent = Descent::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: recipe.weight_decay };
    let settings = OuterSettings { descent, rate: recipe.rate, clip: None, ring: BURST };
    Ok(Search::Gpu(Box::new(OuterLoop::new(gpu, outer, Box::new(source), settings)?)))
}

#[cfg(test)]
mod tests {
    use fourfold::rollout::Interface;

    use super::super::evaluation::OBSERVATIONS;
    use super::super::recipe;
    use super::*;
    use crate::ranks::channels::Channels;

    #[test]
    fn any_number_of_ranks_evolves_a_policy_to_the_same_bits() {
        let (gpu, policy) = (Gpu::open().unwrap(), recipe::perceptron().policy());
        let count = policy.weights(Interface { inputs: OBSERVATIONS, actions: 1 });
        for strategy in [StrategyName::CmaEs, StrategyName::Pgpe, StrategyName::OpenAiEs] {
            let recipe = Recipe { strategy, members: 8, episodes: 2, ..recipe::recipe(1e9) };
            let trained = |ranks: Ranks| {
                let first = (vec![0.0; count], (0..count).collect());
                let mut training = Training::new(&gpu, &ranks, policy.clone(), recipe, 7, first).unwrap();
                training.burst().unwrap();
                let mut checkpoint = Checkpoint::new();
                training.save(&mut checkpoint).unwrap();
                checkpoint.to_bytes()
            };
            let alone = trained(Ranks::default());
            for count in 2..=4 {
                let ends: Vec<Vec<u8>> = std::thread::scope(|scope| {
                    let trained = &trained;
                    let start = |link| scope.spawn(move || trained(Ranks::over(link).unwrap()));
                    let ranks: Vec<_> = Channels::among(count).into_iter().map(start).collect();
                    ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
                });
                assert!(ends.iter().all(|end| *end == alone), "{strategy:?}, {count} ranks");
            }
        }
    }
}
