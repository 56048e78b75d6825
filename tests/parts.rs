//! Processes that share a population hold the bits of one that has all of it: here each is a thread with a device of its own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::evolution::problems::{Control, ToyRegression};
use fourfold::evolution::{
    Descent, Error, Estimator, InnerProblem, OuterLoop, OuterSettings, OuterTensors, Part, UnrollSettings,
    UnrolledGradient,
};
use fourfold::rollout::environments::Pendulum;
use fourfold::rollout::policies::Perceptron;

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

fn outer(gpu: &Gpu, problem: &Arc<dyn InnerProblem>, settings: UnrollSettings) -> OuterLoop<UnrolledGradient> {
    let theta: Vec<f32> = (0..problem.parameters()).map(|index| 0.1 * (index % 7) as f32 - 0.3).collect();
    let outer = OuterTensors::new(gpu, &theta, 3).unwrap();
    let source = UnrolledGradient::new(gpu, problem.clone(), &settings, &outer).unwrap();
    let settings = OuterSettings { descent: Descent::adam(0.9), rate: 0.01, clip: None, ring: 2 };
    OuterLoop::new(gpu, outer, Box::new(source), settings).unwrap()
}

/// Theta after some iterations by so many parts from a checkpoint on, and the checkpoint of the first part there.
fn by_parts(
    problem: &Arc<dyn InnerProblem>,
    settings: UnrollSettings,
    count: usize,
    iterations: usize,
    from: Option<&Checkpoint>,
) -> (Vec<f32>, Checkpoint) {
    let (gpu, results) = (Gpu::open().unwrap(), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for (index, wires) in Wires::among(count).into_iter().enumerate() {
            let (gpu, results) = (&gpu, &results);
            scope.spawn(move || {
                let mut outer = outer(gpu, problem, UnrollSettings { part: Part { index, count }, ..settings });
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
    (first.centers.last().unwrap().clone(), checkpoint)
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
            let (theta, _) = by_parts(&toy, settings, count, 12, None);
            assert_eq!(&theta, expected.centers.last().unwrap(), "{:?}, {count} parts", settings.estimator);
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
        let (_, checkpoint) = by_parts(&control, settings, 3, 4, None);
        let (theta, _) = by_parts(&control, settings, 2, 5, Some(&checkpoint));
        assert_eq!(&theta, expected.centers.last().unwrap(), "{estimator:?}");
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
