//! Hyper-parameters of networks trained side by side: schedules, rates of each tensor, widths by masks, accuracy.

use fourfold::data::{Dataset, digits};
use fourfold::evolution::{Evaluated, Evaluator, EvaluatorSettings, GraphProblem, Population, PopulationPlan};
use fourfold::graph::Tag;
use fourfold::models::hyperparameters::{ImageTask, Judgement, RateSchedule, TaskSettings, TensorHyperparameters};
use fourfold::shaders::{Element, Target};
use fourfold::{BufferView, Gpu, wgpu};

const HORIZON: usize = 40;

fn settings(judgement: Judgement) -> TaskSettings {
    TaskSettings { hidden: vec![12, 10], batch: 32, horizon: HORIZON, judgement, fixed_judge: false }
}

fn sets() -> (Dataset, Dataset) {
    let set = digits();
    (set.rows(0..1_500).unwrap(), set.rows(1_500..1_797).unwrap())
}

fn task(settings: TaskSettings) -> ImageTask {
    let (training, validation) = sets();
    ImageTask::new(training, validation, settings).unwrap()
}

fn schedule(judgement: Judgement) -> RateSchedule {
    RateSchedule { task: task(settings(judgement)), momentum: 0.9, steps: HORIZON as f32 }
}

fn evaluated(points: usize) -> EvaluatorSettings {
    EvaluatorSettings { steps: Some(HORIZON), ..EvaluatorSettings::new(points, 5) }
}

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

fn submit(gpu: &Gpu, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    record(&mut encoder.begin_compute_pass(&Default::default()));
    gpu.queue().submit([encoder.finish()]);
}

fn read(gpu: &Gpu, view: &BufferView, count: usize) -> Vec<f32> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let ticket = gpu.encode_readback(&mut encoder, &[(view.part(0, count), Element::F32)]).unwrap();
    gpu.queue().submit([encoder.finish()]);
    ticket.wait().unwrap()[0].f32().to_vec()
}

/// A population at theta after a reset and some steps.
fn trained(gpu: &Gpu, problem: &dyn GraphProblem, theta: &[f32], steps: usize) -> Population {
    let members = theta.len() / problem.parameters();
    let population = Population::new(gpu, problem, members, steps.max(1), 11).unwrap();
    gpu.queue().write_buffer(&population.theta().buffer, 0, bytemuck::cast_slice(theta));
    submit(gpu, |pass| {
        population.record_reset(pass);
        (0..steps).for_each(|_| population.record_step(pass));
    });
    population
}

#[test]
fn the_schedule_is_worth_what_its_rate_is() {
    let gpu = gpu();
    let problem = schedule(Judgement::TrainingLoss);
    // a = 0.1 without decay, with so much that it hardly learns, and a = 0.0001.
    let theta = [0.1f32.ln(), -5.0, 0.1f32.ln(), 400f32.ln(), 1e-4f32.ln(), -5.0];
    let evaluator = Evaluator::new(&gpu, &problem, &EvaluatorSettings { episodes: 2, ..evaluated(3) }).unwrap();
    let sums: Vec<f64> = evaluator.run(&theta).unwrap().into_iter().map(|at| at.sum).collect();
    let guessing = HORIZON as f64 * 10f64.ln();
    assert!(sums[0] < 0.75 * guessing, "{sums:?} where guessing has {guessing}");
    assert!(sums[1] > 1.3 * sums[0] && sums[2] > 0.9 * guessing, "{sums:?} where guessing has {guessing}");
}

#[test]
fn points_are_worth_the_same_in_whatever_company_they_are_judged() {
    let gpu = gpu();
    let problem = schedule(Judgement::ValidationLoss);
    let theta: Vec<f32> = (0..5).flat_map(|point| [-5.0 + point as f32, 0.5]).collect();
    let sums = |points| -> Vec<f64> {
        let evaluator = Evaluator::new(&gpu, &problem, &evaluated(points)).unwrap();
        evaluator.run(&theta).unwrap().into_iter().map(|Evaluated { sum, .. }| sum).collect()
    };
    let (together, by_two) = (sums(5), sums(2));
    for (a, b) in together.iter().zip(&by_two) {
        assert!((a - b).abs() < 1e-3 * a.abs(), "{together:?} and {by_two:?}");
    }
    assert!(together[0] - together[3] > 1.0, "{together:?}");
}

#[test]
fn accuracy_is_a_count_of_right_answers() {
    let gpu = gpu();
    let problem = schedule(Judgement::ValidationAccuracy);
    let population = trained(&gpu, &problem, &[-2.5, -2.0], 30);
    let losses = read(&gpu, population.losses(), 30);
    for loss in &losses {
        let right = -loss * 32.0;
        assert!((right - right.round()).abs() < 1e-4 && (0.0..=32.0).contains(&right.round()), "{loss}");
    }
    // The same network on the CPU, over all validation images: the minibatches of the last steps agree with it.
    let (mut training, mut validation) = sets();
    let standardisation = fourfold::data::Standardisation::per_channel(&training);
    standardisation.apply(&mut training);
    standardisation.apply(&mut validation);
    let state = |name: &str, count| read(&gpu, population.state(name).unwrap(), count);
    let layers = [(64, 12), (12, 10), (10, 10)].into_iter().enumerate().map(|(layer, (inputs, outputs))| {
        let weight = state(&format!("fc{}.weight", layer + 1), inputs * outputs);
        (weight, state(&format!("fc{}.bias", layer + 1), outputs))
    });
    let layers: Vec<_> = layers.collect();
    let right = (0..validation.len()).filter(|&row| {
        let mut x = validation.image(row).to_vec();
        for (index, (weight, bias)) in layers.iter().enumerate() {
            let rows = weight.chunks(x.len()).zip(bias);
            let y = rows.map(|(row, bias)| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f32>() + bias);
            x = y.map(|y| if index < 2 { y.max(0.0) } else { y }).collect();
        }
        let best = (0..10).max_by(|&a, &b| x[a].total_cmp(&x[b])).unwrap();
        best as u32 == validation.labels()[row]
    });
    let accuracy = right.count() as f64 / validation.len() as f64;
    let judged = -losses[25..].iter().map(|&loss| f64::from(loss)).sum::<f64>() / 5.0;
    // Four standard errors of 160 answers, and what five steps change.
    assert!((accuracy - judged).abs() < 0.16 && accuracy > 0.5, "{accuracy} on all, {judged} on minibatches");
}

#[test]
fn masks_cut_the_width_of_layers_to_whole_units() {
    let gpu = gpu();
    let problem = TensorHyperparameters::new(task(settings(Judgement::TrainingLoss)));
    assert_eq!(problem.parameters(), 2 * 6 + 2);
    let theta = problem.theta(&[0.05; 6], &[0.9; 6], &[0.26, 0.55]);
    assert_eq!(problem.units(&theta), [3, 5]);
    let population = trained(&gpu, &problem, &theta, 10);
    // Units that are masked are read by none and get no gradient: only weights of the others move.
    let initial = trained(&gpu, &problem, &theta, 0);
    let moved = |name: &str, count| -> Vec<bool> {
        let read = |population: &Population| read(&gpu, population.state(name).unwrap(), count);
        read(&population).iter().zip(read(&initial)).map(|(after, before)| *after != before).collect()
    };
    let biases = [moved("fc1.bias", 12), moved("fc2.bias", 10)];
    for (layer, kept) in [3, 5].into_iter().enumerate() {
        assert!(biases[layer].iter().enumerate().all(|(unit, &moved)| !moved || unit < kept), "{:?}", biases[layer]);
        assert!(biases[layer][..kept].iter().any(|&moved| moved), "{:?}", biases[layer]);
    }
    // The second layer reads the first 3 units alone.
    let weight = moved("fc2.weight", 120);
    assert!(weight.iter().enumerate().all(|(index, &moved)| !moved || index % 12 < 3 && index / 12 < 5));
    assert!(moved("fc3.bias", 10).iter().all(|&moved| moved));
}

#[test]
fn five_hidden_layers_have_29_hyperparameters() {
    let settings = TaskSettings { hidden: vec![8; 5], ..settings(Judgement::ValidationLoss) };
    assert_eq!(TensorHyperparameters::new(task(settings)).parameters(), 29);
}

#[test]
fn the_plan_states_the_memory_of_the_papers_population() {
    let hidden = vec![100, 100];
    let settings = TaskSettings { hidden, batch: 100, horizon: 5_000, ..settings(Judgement::TrainingLoss) };
    let problem = RateSchedule { task: task(settings), momentum: 0.9, steps: 5_000.0 };
    let weights = problem.task.weights();
    assert_eq!(weights, 64 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10);
    let plan = PopulationPlan::new(&problem, 1_000, 10, &Target::default()).unwrap();
    // Weights and velocities of each member, and its theta, each tensor to the next multiple of 64 numbers.
    let kept = plan.step.peak_bytes()[&Tag::Weights];
    let exact = 4 * 1_000 * (2 * weights + 2);
    assert!(kept >= exact && kept < exact + 4 * 64 * 13, "{kept} bytes where {exact} are needed");
    // A step stores a few times the activations of the batch, whatever the horizon.
    let activations = plan.step.peak_bytes()[&Tag::Activations];
    assert!(activations < 4 * 1_000 * (2 * weights + 12 * 100 * 100), "{activations} bytes");
    assert!(plan.bytes() >= plan.step.total_bytes());
}

#[test]
fn a_training_that_diverges_has_the_ceiling_for_its_loss_and_hurts_no_other() {
    let gpu = gpu();
    let problem = schedule(Judgement::TrainingLoss);
    let evaluator = Evaluator::new(&gpu, &problem, &evaluated(2)).unwrap();
    let curves = evaluator.curves(&[14.0, -5.0, -3.0, -5.0], |_| ()).unwrap();
    assert!(curves.iter().flatten().all(|loss| loss.is_finite() && (0.0..=20.0).contains(loss)), "{curves:?}");
    assert!(curves[0][HORIZON - 1] > 2.0 && curves[1][HORIZON - 1] < 1.5, "{curves:?}");
}
