//! Populations as the leading axis of a graph: episodes, steps, shared states, and members that do not interact.

use fourfold::evolution::{GraphProblem, InnerStep, MemberState, Population, SharedTensor, StepContext};
use fourfold::graph::{Tensor, gradients};
use fourfold::shaders::{Data, Element};
use fourfold::wgpu;
use fourfold::{BufferView, Gpu};

/// Gradient descent with momentum 1/2 on the mean of `(w . x - y)^2 / 2` over a minibatch, at the rate `exp(theta)`.
#[derive(Debug)]
struct Regression {
    inputs: Data,
    targets: Data,
}

const ROWS: usize = 40;
const INPUTS: usize = 3;
const BATCH: usize = 8;

impl Regression {
    fn new() -> Self {
        let mut random = fourfold::shaders::random::threefry::Random::new(5, 0);
        let inputs: Vec<f32> = (0..ROWS * INPUTS).map(|_| random.normal()).collect();
        let targets = inputs.chunks(INPUTS).map(|x| x[0] - 2.0 * x[1] + 0.5 * x[2]).collect();
        Self { inputs: Data::F32(inputs), targets: Data::F32(targets) }
    }
}

impl GraphProblem for Regression {
    fn name(&self) -> &str {
        "regression"
    }

    fn parameters(&self) -> usize {
        1
    }

    fn horizon(&self) -> Option<usize> {
        Some(12)
    }

    fn states(&self) -> Vec<MemberState> {
        vec![MemberState::f32("before", [INPUTS]), MemberState::f32("w", [INPUTS]), MemberState::f32("v", [INPUTS])]
    }

    fn shared(&self) -> Vec<SharedTensor<'_>> {
        vec![
            SharedTensor { name: "inputs", data: &self.inputs, shape: &[ROWS, INPUTS] },
            SharedTensor { name: "targets", data: &self.targets, shape: &[ROWS, 1] },
        ]
    }

    fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
        let w = inner.episode_seed.normal(0, [INPUTS]);
        vec![w, w, inner.graph.full([INPUTS], 0.0)]
    }

    fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
        let [_, w, v] = states[..] else { unreachable!("three states") };
        let rows = (inner.step_seed.uniform(0, [BATCH]) * ROWS as f32).cast(Element::U32);
        let (x, y) = (inner.shared[0].gather(rows), inner.shared[1].gather(rows));
        let loss = |w: Tensor<'g>| {
            let predicted = w.reshape([inner.population, 1, INPUTS]).matmul_transposed(x, false, true);
            let error = predicted.reshape([inner.population, BATCH]) - y.reshape([1, BATCH]);
            (error.square() * 0.5).mean(1)
        };
        let slope = gradients(loss(w).sum_all(), &[w])[0];
        let v = v * 0.5 + slope;
        let after = w - inner.parameter(0).exp().reshape([inner.population, 1]) * v;
        // The weights before: a state that becomes another one.
        InnerStep { states: vec![w, after, v], loss: loss(after) }
    }
}

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

fn population(gpu: &Gpu, theta: &[f32], ring: usize, key: u32) -> Population {
    let population = Population::new(gpu, &Regression::new(), theta.len(), ring, key).unwrap();
    gpu.queue().write_buffer(&population.theta().buffer, 0, bytemuck::cast_slice(theta));
    population
}

fn submit(gpu: &Gpu, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    record(&mut encoder.begin_compute_pass(&Default::default()));
    gpu.queue().submit([encoder.finish()]);
}

fn take(gpu: &Gpu, views: &[(BufferView, Element)]) -> Vec<Data> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let ticket = gpu.encode_readback(&mut encoder, views).unwrap();
    gpu.queue().submit([encoder.finish()]);
    ticket.wait().unwrap()
}

fn read(gpu: &Gpu, view: &BufferView, count: usize) -> Vec<f32> {
    take(gpu, &[(view.part(0, count), Element::F32)])[0].f32().to_vec()
}

fn state(population: &Population, name: &str) -> Vec<f32> {
    read(population.gpu(), population.state(name).unwrap(), population.size() * INPUTS)
}

/// Resets, then runs steps.
fn episode(population: &Population, steps: usize) {
    submit(population.gpu(), |pass| {
        population.record_reset(pass);
        (0..steps).for_each(|_| population.record_step(pass));
    });
}

#[test]
fn a_member_is_trained_as_it_is_alone() {
    let gpu = gpu();
    let theta = [-3.0, -1.0, -2.0, -0.5, -4.0];
    let all = population(&gpu, &theta, 12, 7);
    episode(&all, 12);
    let (weights, losses) = (state(&all, "w"), read(&gpu, all.losses(), 12 * 5));
    for (member, &theta) in theta.iter().enumerate() {
        let alone = population(&gpu, &[theta], 12, 7);
        episode(&alone, 12);
        for (a, b) in state(&alone, "w").iter().zip(&weights[member * INPUTS..]) {
            assert!((a - b).abs() <= 1e-5 * (1.0 + a.abs()), "member {member}: {a} alone, {b} among others");
        }
        for (step, loss) in read(&gpu, alone.losses(), 12).iter().enumerate() {
            let among = losses[step * 5 + member];
            assert!((loss - among).abs() <= 1e-5 * (1.0 + loss), "member {member}, step {step}: {loss}, {among}");
        }
    }
}

#[test]
fn training_lowers_the_loss_of_members_and_sooner_at_the_higher_rate() {
    let gpu = gpu();
    let members = population(&gpu, &[-6.0, -1.5], 60, 1);
    episode(&members, 60);
    let losses = read(&gpu, members.losses(), 120);
    assert!(losses[119] < 0.01 * losses[1], "{} to {}", losses[1], losses[119]);
    assert!(losses[118] > 10.0 * losses[119], "{} against {}", losses[118], losses[119]);
}

#[test]
fn episodes_begin_differently_and_the_same_key_repeats_them() {
    let gpu = gpu();
    let run = |key| {
        let members = population(&gpu, &[-2.0, -2.0], 4, key);
        let starts = [(); 2].map(|()| {
            episode(&members, 0);
            state(&members, "w")
        });
        (starts, members)
    };
    let ((starts, _), (again, _), (other, _)) = (run(3), run(3), run(4));
    assert_eq!(starts, again);
    assert_ne!(starts[0], starts[1]);
    assert_ne!(starts[0], other[0]);
    assert_eq!(starts[0][..INPUTS], starts[0][INPUTS..], "all members begin alike");
}

#[test]
fn a_state_that_becomes_another_one_takes_what_that_was_before_the_step() {
    let gpu = gpu();
    let members = population(&gpu, &[-2.0], 4, 1);
    episode(&members, 3);
    let three = state(&members, "w");
    submit(&gpu, |pass| members.record_step(pass));
    assert_eq!(state(&members, "before"), three);
    assert_ne!(state(&members, "w"), three);
}

#[test]
fn sharing_gives_every_member_the_states_of_the_last() {
    let gpu = gpu();
    let members = population(&gpu, &[-1.0, -3.0, -2.0], 4, 1);
    episode(&members, 5);
    let last = state(&members, "w")[2 * INPUTS..].to_vec();
    submit(&gpu, |pass| members.record_share(pass));
    assert_eq!(state(&members, "w"), last.repeat(3));
    let velocity = state(&members, "v");
    assert_eq!(velocity, velocity[2 * INPUTS..].repeat(3));
}

#[test]
fn a_restored_population_goes_on_to_the_same_bits() {
    let gpu = gpu();
    let members = population(&gpu, &[-1.0, -3.0], 4, 9);
    episode(&members, 5);
    let kept = members.kept("inner.");
    let views: Vec<_> = kept.iter().map(|kept| (kept.view.part(0, kept.length), kept.element)).collect();
    let saved = take(&gpu, &views);
    let finish = |members: &Population| {
        submit(&gpu, |pass| (0..4).for_each(|_| members.record_step(pass)));
        (state(members, "w"), read(&gpu, members.losses(), 8))
    };
    let expected = finish(&members);
    let resumed = population(&gpu, &[-1.0, -3.0], 4, 123);
    for (kept, values) in resumed.kept("inner.").iter().zip(saved) {
        gpu.queue().write_buffer(&kept.view.buffer, kept.view.offset, values.bytes());
    }
    assert_eq!(finish(&resumed), expected);
}

#[test]
fn a_problem_whose_losses_have_another_shape_is_refused_with_its_name() {
    #[derive(Debug)]
    struct Mean(Regression);
    impl GraphProblem for Mean {
        fn name(&self) -> &str {
            "the mean"
        }
        fn parameters(&self) -> usize {
            1
        }
        fn horizon(&self) -> Option<usize> {
            None
        }
        fn states(&self) -> Vec<MemberState> {
            self.0.states()
        }
        fn shared(&self) -> Vec<SharedTensor<'_>> {
            self.0.shared()
        }
        fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
            self.0.reset(inner)
        }
        fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
            let step = self.0.step(inner, states);
            InnerStep { loss: step.loss.mean_all(), ..step }
        }
    }
    let error = Population::new(&gpu(), &Mean(Regression::new()), 3, 4, 1).unwrap_err().to_string();
    assert!(error.starts_with("the inner problem the mean: step: gives the losses"), "{error}");
}
