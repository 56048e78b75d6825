//! Trainings of one policy: several searches, of which the best goes on.

use std::time::Instant;

use fourfold::data::Checkpoint;
use fourfold::models::PolicyNetwork;
use fourfold::rollout::Interface;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::experiments::neuron::evaluation::OBSERVATIONS;
use crate::experiments::neuron::recipe;
use crate::experiments::neuron::training::{Point, Record, Training};
use crate::failure::Failure;
use crate::run::Run;

/// A policy by name, with its initial weights and the indices of those that CMA-ES searches.
type Contender = (&'static str, PolicyNetwork, (Vec<f32>, Vec<usize>));

pub(super) const NEURON: &str = "attention neuron";
pub(super) const PERCEPTRON: &str = "perceptron";

/// Parts of a search, as its progress counts them.
const PARTS: u64 = 1_000;

/// A finished training.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    pub name: &'static str,
    /// The record of every search, the one that went on among them.
    pub records: Vec<Record>,
    pub chosen: usize,
    pub seconds: f64,
    pub weights: Vec<f32>,
}

impl Finished {
    /// Says what the training took and reached.
    pub fn line(&self) -> String {
        let Self { name, records, chosen, seconds, weights } = self;
        let steps = |record: &Record| record.curve.last().map_or(0, |point| point.steps);
        let all = records.iter().map(steps).sum::<u64>() as f64;
        format!(
            "* {name}: {} weights; {} searches, {all:.3e} environment steps in all, {:.3e} of them by the one that went on, in \
             {seconds:.0} s ({:.2e} steps a second); its best centre {}.",
            weights.len(),
            records.len(),
            steps(&records[*chosen]) as f64,
            all / seconds,
            match records[*chosen].best {
                Some(best) => format!("reached {best:.0} on the validation episodes"),
                None => "was not validated in so few steps".to_owned(),
            }
        )
    }
}

/// A burst of generations, as the log has it.
#[derive(Debug, Serialize, Deserialize)]
struct Burst {
    policy: String,
    search: usize,
    point: Point,
    seconds: f64,
}

/// A search that has ended.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    record: Record,
    weights: Vec<f32>,
}

impl Settings {
    /// The policies that are trained, with the first weights of a search.
    pub(super) fn policies(&self, seed: u32) -> Result<Vec<Contender>, Failure> {
        let network = self.network.description()?;
        let neuron = PolicyNetwork::AttentionNeuron(network);
        let mut policies = vec![(NEURON, neuron, recipe::initial(&network, seed))];
        if !self.alone {
            let perceptron = recipe::perceptron();
            let count = perceptron.policy().weights(Interface { inputs: OBSERVATIONS, actions: 1 });
            policies.push((PERCEPTRON, perceptron, (vec![0.0; count], (0..count).collect())));
        }
        Ok(policies)
    }

    /// Trains the policy of an index: every seed for `--trial` steps, then the best to its end.
    pub(super) fn train(&self, run: &mut Run, index: usize) -> Result<Finished, Failure> {
        let seeds = run.seeds();
        let (name, network, _) = self.policies(0)?.swap_remove(index);
        run.progress(name, PARTS * (seeds.len() as u64 + 1));
        let mut found = Vec::with_capacity(seeds.len());
        for number in 0..seeds.len() {
            let stage = format!("{name}, search {}", number + 1);
            found.push(run.stage(&stage, PARTS, |run| self.search(run, index, number, false))?);
        }
        let best = |found: &Found| found.record.best.unwrap_or(f64::NEG_INFINITY);
        // The first of equal ones.
        let chosen = (0..found.len()).rev().max_by(|&a, &b| best(&found[a]).total_cmp(&best(&found[b]))).unwrap_or(0);
        found[chosen] = run.stage(name, PARTS, |run| self.search(run, index, chosen, true))?;
        let weights = found[chosen].weights.clone();
        let file = recipe::trained(&network, &weights)?;
        run.write_checkpoint(&format!("{}.safetensors", name.replace(' ', "_")), &file)?;
        let bursts: Vec<Burst> = run.rows()?;
        let seconds = bursts.iter().filter(|burst| burst.policy == name).map(|burst| burst.seconds).sum();
        let records = found.into_iter().map(|found| found.record).collect();
        Ok(Finished { name, records, chosen, seconds, weights })
    }

    /// A search from its beginning for `--trial` steps, or on to its end.
    fn search(&self, run: &mut Run, index: usize, number: usize, goes_on: bool) -> Result<Found, Failure> {
        let seed = run.seeds()[number];
        let (name, network, initial) = self.policies(seed)?.swap_remove(index);
        let mut training = Training::new(&run.gpu(), run.ranks(), network.policy(), self.recipe(), seed, initial)?;
        let file = format!("{}-{}.safetensors", name.replace(' ', "_"), number + 1);
        match run.restored() {
            Some(checkpoint) => training.restore(&checkpoint)?,
            None if goes_on => training.restore(&Checkpoint::load(&run.path().join(&file))?)?,
            None => {}
        }
        let enough = |training: &Training| match goes_on {
            true => training.progress(),
            false => training.steps() as f64 / self.trial,
        };
        let parts = |training: &Training| (PARTS as f64 * enough(training).min(1.0)) as u64;
        let mut shown = parts(&training);
        run.skip(shown);
        while !training.finished() && shown < PARTS {
            let begun = Instant::now();
            training.burst()?;
            let seconds = begun.elapsed().as_secs_f64();
            if let Some(&point) = training.record.curve.last() {
                let best = training.record.best.map_or(String::new(), |best| format!(", best centre {best:.0}"));
                run.say(format!(
                    "search {}, generation {}, {:.2e} steps{best}",
                    number + 1,
                    point.generation,
                    point.steps as f64
                ));
                run.log(&Burst { policy: name.into(), search: number + 1, point, seconds })?;
            }
            let done = parts(&training);
            run.advance(done - shown);
            shown = done;
            run.save_if_due(|checkpoint| training.save(checkpoint))?;
        }
        let mut checkpoint = Checkpoint::new();
        training.save(&mut checkpoint)?;
        run.write_checkpoint(&file, &checkpoint)?;
        Ok(Found { record: training.record.clone(), weights: training.best.clone() })
    }
}
