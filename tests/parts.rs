//! Processes that share a population hold the bits of one that has all of it: here each is a thread with a device of its own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::evolution::problems::{Control, ToyRegression};
use fourfold::evolution::{
    Descent, Error, Estimator, EvolutionStrategy, InnerProblem, OuterLoop, OuterSettings, OuterTensors, Part, Progress,
    RolloutGradient, RolloutGradientPlan, Source, UnrollSettings, UnrolledGradient,
};
use fourfold::rollout::environments::{CartPole, Pendulum};
use fourfold::rollout::policies::{Linear, Perceptron};
use fourfold::rollout::{Composition, Operands, Plan, Rollout, Settings, WeightSource, Weights};
use fourfold::shaders::Data;

/// The words of all parts, by channels from each to each.
struct Wires {
    to: Vec<Sender<Vec<u32>>>,
    from: Vec<Receiver<Vec<u32>>>,
}

impl Wires {
    fn among(count: usize) -> Vec<Self> {
        let mut ends: Vec<Self> = (0..count).map(|_| Self { to: Vec::new(), from: Vec::new() }).collect();
        for from in 0..count {
            for to in 0..count {
                let (sender, receiver) = channel();
                ends[from].to.push(sender);
                ends[to].from.push(receiver);
            }
        }
        ends
    }

    fn tell(&self, own: &[u32], counts: &[usize]) -> Result<Vec<u32>, Error> {
        self.to.iter().for_each(|to| to.send(own.to_vec()).unwrap());
        let all: Vec<Vec<u32>> = self.from.iter().map(|from| from.recv().unwrap()).collect();
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), counts);
        Ok(all.concat())
    }
}

/// The first theta of a policy or a problem.
fn start(parameters: usize) -> Vec<f32> {
    (0..parameters).map(|index| 0.1 * (index % 7) as f32 - 0.3).collect()
}

const SETTINGS: OuterSettings = OuterSettings { descent: Descent::adam(0.9), rate: 0.01, clip: None, ring: 2 };

fn outer(gpu: &Gpu, problem: &Arc<dyn InnerProblem>, settings: UnrollSettings) -> OuterLoop<UnrolledGradient> {
    let outer = OuterTensors::new(gpu, &start(problem.parameters()), 3).unwrap();
    let source = UnrolledGradient::new(gpu, problem.clone(), &settings, &outer).unwrap();
    OuterLoop::new(gpu, outer, Box::new(source), SETTINGS).unwrap()
}

/// The progress of some iterations by so many parts from a checkpoint on, and the checkpoint of the first part there.
fn unrolled_by_parts(
    problem: &Arc<dyn InnerProblem>,
    settings: UnrollSettings,
    count: usize,
    iterations: usize,
    from: Option<&Checkpoint>,
) -> (Progress, Checkpoint) {
    let new = |gpu: &Gpu, part| outer(gpu, problem, UnrollSettings { part, ..settings });
    by_parts(new, count, iterations, from)
}

/// The progress of some iterations of any source.
fn by_parts<S: Source>(
    new: impl Fn(&Gpu, Part) -> OuterLoop<S> + Sync,
    count: usize,
    iterations: usize,
    from: Option<&Checkpoint>,
) -> (Progress, Checkpoint) {
    let (gpu, results) = (Gpu::open().unwrap(), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for (index, wires) in Wires::among(count).into_iter().enumerate() {
            let (gpu, results, new) = (&gpu, &results, &new);
            scope.spawn(move || {
                let mut outer = new(gpu, Part { index, count });
                if let Some(from) = from {
                    outer.restore(from).unwrap();
                }
                let tell = &mut |own: &[u32], counts: &[usize]| wires.tell(own, counts);
                let progress = outer.run_part(iterations, tell).unwrap();
                outer.complete(tell).unwrap();
                let mut checkpoint = Checkpoint::new();
                outer.save(&mut checkpoint).unwrap();
                assert_eq!(progress.centers.last().unwrap(), &outer.parameters().unwrap());
                results.lock().unwrap().push((index, progress, checkpoint));
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(index, ..)| *index);
    let (_, first, checkpoint) = results.remove(0);
    for (index, progress, other) in results {
        assert_eq!(progress, first, "part {index}");
        assert_eq!(other.to_bytes(), checkpoint.to_bytes(), "part {index}");
    }
    (first, checkpoint)
}

#[test]
fn any_number_of_parts_moves_theta_to_the_same_bits() {
    let toy: Arc<dyn InnerProblem> = Arc::new(ToyRegression::default());
    let chunks = UnrollSettings { chunks: 2, staggered: true, ..UnrollSettings::new(Estimator::PES, 20, 10, 0.1) };
    let few = |estimator| UnrollSettings::new(estimator, 14, 10, 0.1);
    for settings in [chunks, few(Estimator::NRES), few(Estimator::TRUNCATED_ES), few(Estimator::gpes(2))] {
        let mut whole = outer(&Gpu::open().unwrap(), &toy, settings);
        let expected = whole.run(12).unwrap();
        for count in 1..=4 {
            let (progress, _) = unrolled_by_parts(&toy, settings, count, 12, None);
            assert_eq!(progress, expected, "{:?}, {count} parts", settings.estimator);
        }
    }
}

#[test]
fn a_checkpoint_of_some_parts_goes_on_with_another_number_of_them() {
    // More weights than an invocation keeps to itself: perturbations lie in a buffer.
    let control: Arc<dyn InnerProblem> = Arc::new(Control::new(Pendulum, Perceptron::new(&[16])));
    for estimator in [Estimator::PES, Estimator::NRES] {
        let settings = UnrollSettings { common_random_numbers: false, ..UnrollSettings::new(estimator, 10, 5, 0.1) };
        let mut whole = outer(&Gpu::open().unwrap(), &control, settings);
        let expected = whole.run(9).unwrap();
        let (_, checkpoint) = unrolled_by_parts(&control, settings, 3, 4, None);
        let (progress, _) = unrolled_by_parts(&control, settings, 2, 5, Some(&checkpoint));
        assert_eq!(progress, expected, "{estimator:?}");
        let mut alone = outer(&Gpu::open().unwrap(), &control, settings);
        alone.restore(&checkpoint).unwrap();
        assert_eq!(alone.run(5).unwrap().centers, expected.centers, "{estimator:?}");
    }
}

#[test]
fn more_parts_than_pairs_are_refused() {
    let (gpu, toy) = (Gpu::open().unwrap(), Arc::new(ToyRegression::default()));
    let outer = OuterTensors::new(&gpu, &[0.0, 0.0], 3).unwrap();
    let settings = UnrollSettings::new(Estimator::PES, 4, 10, 0.1);
    let settings = UnrollSettings { part: Part { index: 0, count: 3 }, ..settings };
    let sentence = UnrolledGradient::new(&gpu, toy, &settings, &outer).unwrap_err().to_string();
    assert!(sentence.contains("2 antithetic pairs") && sentence.contains("part 0 of 3"), "{sentence}");
}

/// OpenAI-ES or PGPE of a policy, with one part of its members.
fn strategy(gpu: &Gpu, strategy: EvolutionStrategy, settings: Settings, part: Part) -> OuterLoop<RolloutGradient> {
    let composition = Composition::new(Pendulum, Perceptron::new(&[4]));
    let settings = Settings { part, ..settings };
    let plan = RolloutGradientPlan::new(&composition, strategy, &settings, &gpu.target()).unwrap();
    let outer = OuterTensors::new(gpu, &start(composition.parameters()), 3).unwrap();
    let source = RolloutGradient::new(gpu, plan, &outer).unwrap();
    OuterLoop::new(gpu, outer, Box::new(source), SETTINGS).unwrap()
}

#[test]
fn any_number_of_parts_evolves_a_policy_to_the_same_bits() {
    let gpu = Gpu::open().unwrap();
    let pgpe = EvolutionStrategy::Pgpe { deviation: 0.2, rate: 0.1, fraction: 0.2 };
    let alike = Settings::new(14, 3, 40);
    for (name, settings) in [
        (EvolutionStrategy::OpenAiEs { sigma: 0.1 }, alike),
        (pgpe, Settings { common_random_numbers: false, ..alike }),
    ] {
        let mut whole = strategy(&gpu, name, settings, Part::WHOLE);
        let expected = whole.run(6).unwrap();
        let mut kept = Checkpoint::new();
        whole.save(&mut kept).unwrap();
        for count in 1..=4 {
            let (progress, checkpoint) = by_parts(|gpu, part| strategy(gpu, name, settings, part), count, 6, None);
            assert_eq!(progress, expected, "{name:?}, {count} parts");
            assert_eq!(checkpoint.to_bytes(), kept.to_bytes(), "{name:?}, {count} parts");
        }
    }
}

#[test]
fn a_part_plays_its_own_members_as_the_whole_population_does() {
    let gpu = Gpu::open().unwrap();
    let composition =
        Composition { weights: WeightSource::Given { trace: false }, ..Composition::new(CartPole, Linear) };
    let (members, episodes) = (7, 3);
    let weights = start(members * composition.parameters());
    let play = |part| {
        let settings = Settings { part, common_random_numbers: false, ..Settings::new(members, episodes, 60) };
        let plan = Plan::new(&composition, &settings, &gpu.target()).unwrap();
        let operands = Operands {
            seed: gpu.upload("seed", &Data::U32(vec![42, 5])).unwrap(),
            weights: Weights::Given(gpu.upload("weights", &Data::F32(weights.clone())).unwrap()),
            wiring: None,
        };
        let own = plan.own_members();
        let played = Rollout::new(&gpu, plan, operands).unwrap().run().unwrap();
        let own = own.start * episodes..own.end * episodes;
        (played.returns[own.clone()].to_vec(), played.lengths[own].to_vec())
    };
    let whole = play(Part::WHOLE);
    let parts: Vec<_> = (0..3).map(|index| play(Part { index, count: 3 })).collect();
    let (returns, lengths): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    assert_eq!((returns.concat(), lengths.concat()), whole);
}

#[test]
fn more_parts_than_mirrored_pairs_and_traces_of_a_part_are_refused() {
    let target = Gpu::open().unwrap().target();
    let refused = |composition: &Composition, part| {
        let settings = Settings { part, ..Settings::new(4, 1, 10) };
        Plan::new(composition, &settings, &target).unwrap_err().to_string()
    };
    let composition = Composition::new(CartPole, Linear);
    let mirrored = Composition { weights: WeightSource::Perturbed, ..composition.clone() };
    let sentence = refused(&mirrored, Part { index: 1, count: 3 });
    assert!(sentence.contains("a population of 2 mirrored pairs has 1 to 2 parts"), "{sentence}");
    let traced = Composition { weights: WeightSource::Given { trace: true }, ..composition };
    let sentence = refused(&traced, Part { index: 1, count: 3 });
    assert!(sentence.contains("a trace needs the whole population"), "{sentence}");
}
