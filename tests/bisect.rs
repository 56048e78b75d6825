//! A wrong kernel is planted in a plan, and found by switching from twins to kernels in the middle of a step.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::graph::session::{find_wrong_kernel, run_mixed};
use fourfold::graph::{Graph, Plan, Tag, TensorType, TwinSession, Values};
use fourfold::nn::{LayerNorm, Linear, Parameters};
use fourfold::optim::{Optimiser, Sam, Sgd};
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::{Data, Kernel, KernelRef};

const BATCH: usize = 8;

/// A sharpness-aware training step of a small network.
struct Step {
    gpu: Gpu,
    plan: Plan,
    values: Values,
}

impl Step {
    fn new() -> Self {
        let mut parameters = Parameters::new();
        let norm = LayerNorm::new(&mut parameters, "norm", 12);
        let layers = [Linear::new(&mut parameters, "first", 12, 10), Linear::new(&mut parameters, "second", 10, 5)];
        let graph = Graph::new();
        let x = graph.input("x", TensorType::f32([BATCH, 12]));
        let labels = graph.input("labels", TensorType::u32([BATCH]));
        let weights = parameters.state(&graph, "weights");
        let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
        let outcome = Sam::default().gradient(weights, graph.constant(0.1), |w, _| {
            let w = parameters.of(w);
            let hidden = layers[0].forward(&w, norm.forward(&w, x)).gelu_tanh();
            layers[1].forward(&w, hidden).cross_entropy(labels, 0.1).mean_all()
        });
        graph.output("loss", outcome.loss);
        let base = Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-3 });
        base.step(weights, outcome.gradient, graph.constant(0.5), step);
        let gpu = Gpu::open().expect("an adapter");
        let plan = Plan::new(&graph, &gpu.target()).expect("a graph without mistakes");
        let mut random = Random::new(8, 0);
        let values = Values::from([
            ("x".into(), Data::F32((0..BATCH * 12).map(|_| random.normal()).collect())),
            ("labels".into(), Data::U32((0..BATCH).map(|_| random.below(5)).collect())),
            ("weights".into(), parameters.initial(6)),
        ]);
        Self { gpu, plan, values }
    }

    /// The index of the `occurrence`th dispatch whose kernel's name begins with `name`.
    fn dispatch(&self, name: &str, occurrence: usize) -> usize {
        let found = self.plan.dispatches.iter().enumerate();
        let mut found = found.filter(|(_, dispatch)| dispatch.call.kernel.name.starts_with(name));
        found.nth(occurrence).unwrap_or_else(|| panic!("no `{name}` in\n{}", self.plan)).0
    }

    /// Replaces `right` by `wrong` in the WGSL of one dispatch; its twin stays as it is.
    fn plant(&mut self, dispatch: usize, right: &str, wrong: &str) {
        let call = &mut self.plan.dispatches[dispatch].call;
        let source = call.kernel.source.replace(right, wrong);
        assert_ne!(source, call.kernel.source, "no `{right}` in {}", call.kernel.name);
        let kernel = KernelRef::Generated(Arc::new(Kernel { source: source.into(), ..(*call.kernel).clone() }));
        *call = call.clone().changed(|call| call.kernel = kernel);
    }

    /// The suspect that halving finds.
    fn found(&self) -> Option<usize> {
        let suspect = find_wrong_kernel(&self.gpu, self.plan.clone(), &self.values, agree).expect("a run");
        suspect.map(|suspect| {
            let dispatch = &self.plan.dispatches[suspect.dispatch];
            assert_eq!((suspect.kernel.as_str(), &suspect.label), (&*dispatch.call.kernel.name, &dispatch.label));
            assert!(!suspect.comparison.passed(), "{suspect:?}");
            suspect.dispatch
        })
    }
}

/// Within what rounding in a handful of operations leaves, relative to the largest value.
fn agree(_: &str, expected: &Data, got: &Data) -> bool {
    let (Data::F32(expected), Data::F32(got)) = (expected, got) else { return expected == got };
    let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    // Not `difference > bound`, which NaN would pass.
    expected.iter().zip(got).all(|(expected, got)| (expected - got).abs() <= 1e-5 * largest)
}

#[test]
fn an_unharmed_plan_has_no_suspect() {
    assert_eq!(Step::new().found(), None);
}

#[test]
fn a_wrong_sign_in_the_update_is_found_at_the_end_of_the_step() {
    let mut step = Step::new();
    let wrong = step.dispatch("sgd", 0);
    step.plant(wrong, "w - rate[0]", "w + rate[0]");
    assert_eq!(step.found(), Some(wrong));
}

#[test]
fn a_wrong_ascent_is_found_in_the_middle() {
    let mut step = Step::new();
    let wrong = step.dispatch("sam_ascent", 0);
    step.plant(wrong, "t * g / norm[0]", "t * g");
    assert_eq!(step.found(), Some(wrong));
}

#[test]
fn of_two_dispatches_of_one_kernel_the_wrong_one_is_found() {
    for occurrence in [0, 1] {
        let mut step = Step::new();
        let wrong = step.dispatch("cross_entropy", occurrence);
        step.plant(wrong, "1.0 - params.smoothing", "1.1 - params.smoothing");
        assert_eq!(step.found(), Some(wrong));
    }
}

#[test]
fn a_mistake_that_reaches_no_named_tensor_is_found_by_judging_each_dispatch() {
    let mut step = Step::new();
    let wrong = step.dispatch("sam_ascent", 0);
    step.plant(wrong, "t * g / norm[0]", "t * g");
    let blind = find_wrong_kernel(&step.gpu, step.plan.clone(), &step.values, |_, _, _| true).expect("a run");
    assert_eq!(blind.map(|suspect| suspect.dispatch), Some(wrong));
}

#[test]
fn every_switch_from_twins_to_kernels_gives_what_the_twins_give() {
    let step = Step::new();
    let mut twins = TwinSession::new(step.plan.clone(), &step.values).expect("a session");
    twins.run(1);
    let plan = Arc::new(step.plan);
    for switch in 0..=plan.dispatches.len() {
        let mixed = run_mixed(&step.gpu, plan.clone(), &step.values, switch).expect("a run");
        assert!(["loss", "weights", "velocity", "step"].iter().all(|name| mixed.contains_key(*name)));
        for (name, got) in &mixed {
            let expected = twins.read(name).expect("a name of the plan");
            assert!(agree(name, &expected, got), "`{name}` differs with the switch at {switch}");
        }
        if switch == plan.dispatches.len() {
            assert!(mixed.iter().all(|(name, got)| twins.read(name).as_ref() == Ok(got)), "nothing ran on kernels");
        }
    }
}
