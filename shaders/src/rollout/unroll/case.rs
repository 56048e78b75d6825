//! Random cases: every environment and every policy, in all the ways that they can be put together.

use std::sync::Arc;

use super::{Composition, Environment, EpisodeRandom, Policy, Problem, Sensors, WeightSource, WeightStorage, Wiring};
use crate::{Case, Data, Generator, Target};

/// The ways in which the parts are put together: few, since each is a pipeline to build, and between them all files.
fn variants() -> [(WeightSource, WeightStorage, Sensors); 4] {
    let plain = Sensors::default();
    let wired = |forget| Some(Wiring { interval: 2, phases: 3, forget });
    let noisy = Sensors { copies: 2, noise_channels: 3, noise: 0.1, wiring: None };
    [
        (WeightSource::Perturbed, WeightStorage::Private, plain),
        (WeightSource::Perturbed, WeightStorage::Streamed, noisy),
        (WeightSource::Given { trace: true }, WeightStorage::Shared, Sensors { wiring: wired(true), ..noisy }),
        (WeightSource::Given { trace: false }, WeightStorage::Private, Sensors { wiring: wired(false), ..plain }),
    ]
}

/// A random case of an environment with a policy, put together in any way.
pub(crate) fn case_of(generator: &mut Generator, environment: Arc<dyn Environment>, policy: Arc<dyn Policy>) -> Case {
    let (weights, storage, sensors) = generator.pick(&variants());
    let mut composition = Composition { environment, policy, sensors, weights };
    if !composition.fits_in_bindings() {
        composition.sensors.wiring = None;
    }
    let target = generator.gpu_or(Target { software: true, ..Target::default() });
    let team = generator.chance(0.5).then_some(match storage {
        WeightStorage::Streamed if composition.policy.tables(composition.interface()) == 0 => {
            WeightStorage::TeamStreamed
        }
        _ => WeightStorage::Team,
    });
    // A private array of many weights, and tables that are computed at each use, take software drivers minutes to compile.
    let storage = match storage {
        _ if !target.software => composition.weight_storage(false, &target),
        _ if team.is_some_and(|team| composition.teams(team, 1, 64) > 0) => team.unwrap_or(storage),
        WeightStorage::Shared => WeightStorage::Shared,
        _ if composition.fits_in_registers() => WeightStorage::Registers,
        _ if composition.is_small() => storage,
        _ => WeightStorage::Shared,
    };
    composition.case_kept(generator, storage)
}

impl Composition {
    /// A random case of this composition, for `verify`: one or two steps from states that its episodes reach, under
    /// random weights.
    pub fn case(&self, generator: &mut Generator) -> Case {
        let target = generator.gpu_or(Target { software: true, ..Target::default() });
        let storage = match self.is_small() {
            _ if !target.software => self.weight_storage(false, &target),
            _ if self.fits_in_registers() => WeightStorage::Registers,
            true => WeightStorage::Private,
            false => WeightStorage::Shared,
        };
        self.case_kept(generator, storage)
    }

    fn case_kept(&self, generator: &mut Generator, storage: WeightStorage) -> Case {
        let members = 2 * generator.length(20);
        let part = |generator: &mut Generator, count: usize| generator.indices(1, count as u32).u32()[0] as usize;
        let first_member = if generator.chance(0.7) { 0 } else { part(generator, members) };
        let absent = if generator.chance(0.7) { 0 } else { part(generator, members - first_member) };
        let problem = Problem {
            members,
            first_member,
            present: members - first_member - absent,
            groups: generator.length(9),
            episodes: generator.length(3),
            horizon: generator.pick(&[1, 2, 5, 1_000]),
            steps: generator.length(2),
            fresh: generator.chance(0.2),
            common_random_numbers: generator.chance(0.5),
            stream: generator.pick(&[0, 5, 1 << 20]),
        };
        let gpu = generator.on_gpu();
        let workgroup = match storage {
            _ if gpu || storage.has_teams() => 64,
            WeightStorage::Shared => 32,
            _ => 8,
        };
        let call = problem.call_with(self, self.kernel(storage), storage, workgroup);
        let inputs = inputs(generator, self, &problem);
        Case::new((problem, self, storage, workgroup), call, inputs)
    }
}

/// A state that episode `number` of an environment can reach, within twenty steps of random actions.
pub(crate) fn reached(generator: &mut Generator, environment: &dyn Environment, number: u32) -> Vec<f64> {
    let mut state = vec![0.0; environment.states()];
    let mut action = vec![0.0; environment.actions()];
    environment.reset(&mut EpisodeRandom::new(1, 0, number, 0), &mut state);
    // At times steered for long, by the signs of changes of what is seen: swung to walls, whole turns and goals.
    let steered = generator.chance(0.1);
    let mut seen = vec![0.0; environment.observations()];
    let weights: Vec<f32> = (0..action.len() * seen.len()).map(|_| generator.normal()).collect();
    for step in 0..generator.length(if steered { 200 } else { 20 }) {
        let before = seen.clone();
        environment.observe(&state, &mut seen);
        for (action, weights) in action.iter_mut().zip(weights.chunks(seen.len())) {
            let change = |(i, weight): (usize, &f32)| f64::from(*weight) * (seen[i] - before[i]);
            *action = match steered {
                true => 2.0 * weights.iter().enumerate().map(change).sum::<f64>().signum(),
                false => f64::from(generator.normal()),
            };
        }
        let mut random = EpisodeRandom::new(1, 1, number, step as u32);
        if environment.step(&mut state, &action, &mut random).done {
            environment.reset(&mut EpisodeRandom::new(2, 0, number, 0), &mut state);
        }
    }
    state
}

/// Operands: slots in the middle of an episode, at its start, at its last step and finished.
fn inputs(generator: &mut Generator, composition: &Composition, problem: &Problem) -> Vec<Data> {
    let slots = problem.slots();
    let (mut saved, mut counters) = (vec![0.0; composition.saved() * slots], vec![0; 3 * slots]);
    for slot in 0..slots {
        let state = reached(generator, &*composition.environment, slot as u32);
        let memory = (0..composition.memory()).map(|_| 0.3 * f64::from(generator.normal()));
        let numbers: Vec<f64> = state.iter().copied().chain(memory).collect();
        // A return past all numbers is a fault.
        let sum = if generator.chance(0.03) { f64::INFINITY } else { 5.0 };
        let numbers = numbers.into_iter().chain([sum]);
        for (row, number) in numbers.enumerate() {
            saved[row * slots + slot] = number as f32;
        }
        counters[slot] = generator.pick(&[0, 0, problem.episodes as u32 - 1, problem.episodes as u32]);
        let middle = generator.length(20) as u32;
        counters[slots + slot] =
            generator.pick(&[0, 1, middle, problem.horizon as u32 - 1]).min(problem.horizon as u32 - 1);
        counters[2 * slots + slot] = u32::from(generator.chance(0.05));
    }
    let parameters = composition.parameters();
    let results = problem.members * problem.groups * problem.episodes;
    let mut inputs = vec![
        generator.indices(2, u32::MAX),
        Data::F32(saved),
        Data::U32(counters),
        Data::F32(vec![-7.0; results]),
        Data::U32(vec![77; results]),
    ];
    let mut weights = |count: usize, scale: f32| Data::F32((0..count).map(|_| scale * generator.normal()).collect());
    match composition.weights {
        WeightSource::Given { .. } => inputs.push(weights(problem.members * parameters, 0.5)),
        WeightSource::Perturbed => inputs.extend([weights(parameters, 0.5), weights(parameters, 0.1)]),
    }
    if let Some(wiring) = composition.sensors.wiring {
        let sources = composition.interface().inputs;
        let count = problem.groups * problem.episodes * wiring.phases * sources;
        inputs.push(generator.indices(count, sources as u32));
    }
    if composition.weights == (WeightSource::Given { trace: true }) {
        inputs.push(Data::F32(vec![-1.0; problem.steps * composition.traced() * slots]));
    }
    inputs.extend(composition.environment.table().map(|table| Data::F32(table.to_vec())));
    inputs
}

#[cfg(test)]
mod tests {
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    use super::*;
    use crate::rollout::kernels;

    #[test]
    fn every_composition_is_valid_wgsl() {
        for kernel in kernels() {
            for seed in 0..30 {
                let source = kernel.case.draw(&mut Generator::new(seed, 10)).call.kernel.source.clone();
                let module = naga::front::wgsl::parse_str(&source);
                let module = module.unwrap_or_else(|error| panic!("{}\n{source}", error.emit_to_string(&source)));
                let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
                validated.unwrap_or_else(|error| panic!("{}\n{source}", error.emit_to_string(&source)));
            }
        }
    }
}
