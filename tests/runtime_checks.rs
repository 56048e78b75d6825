//! This crate's own kernels run without runtime checks; WGSL that a user brings runs with them, but for
//! environments that are seen to need none.

#![forbid(unsafe_code)]

use std::sync::Arc;

use fourfold::gpu::Error;
use fourfold::rollout::{self, Rollout};
use fourfold::shaders::rollout::environments::{CartPole, CartPoleSwingUp};
use fourfold::shaders::rollout::policies::{AttentionNeuron, Linear};
use fourfold::shaders::rollout::step;
use fourfold::shaders::rollout::unroll::{Composition, Environment, EpisodeRandom, Outcome, Problem};
use fourfold::shaders::{
    Binding, Call, Case, Cases, Data, Generator, Kernel, Operand, RuntimeChecks, Target, Tolerance, kernels,
};
use fourfold::{Gpu, Launch, verify};

/// Stores at, and loads from, an offset in a workgroup array that a buffer says.
const OFFSETS: &str = "
@group(0) @binding(0) var<storage, read> offsets: array<u32>;  // (n)
@group(0) @binding(1) var<storage, read_write> y: array<u32>;  // (n)
var<workgroup> shelf: array<u32, 64>;

@compute @workgroup_size(64)
fn read_outside(@builtin(global_invocation_id) at: vec3<u32>) {
    shelf[offsets[at.x]] = 0u;
    y[at.x] = shelf[offsets[at.x] + 1u];
}
";

/// Far outside: unchecked, this ends the process on a software driver.
const FAR: u32 = 1 << 28;

fn twin(_: &Call, operands: &mut [Operand<'_>]) {
    operands[1].u32().fill(0);
}

fn case(_: &mut Generator) -> Case {
    let call = Call::checked(&OUTSIDE, &(), 1, [64, 64]);
    Case::new("far outside", call, [Data::U32(vec![FAR; 64])])
}

static OUTSIDE: Kernel = Kernel {
    name: std::borrow::Cow::Borrowed("outside.read_outside"),
    source: std::borrow::Cow::Borrowed(OFFSETS),
    entry_point: "read_outside",
    bindings: std::borrow::Cow::Borrowed(&[Binding::read("offsets", "(n)").u32(), Binding::write("y", "(n)").u32()]),
    uniform_bytes: 0,
    subgroup_sizes: None,
    passes: |_| 0,
    twin,
    tolerance: |_, _, _| Tolerance::Exact,
    case: Cases::Drawn(case),
    flops: |_| 0.0,
};

/// The listed kernel with other text.
fn with_source(source: &str, uniform_bytes: usize) -> Arc<Kernel> {
    Arc::new(Kernel { source: source.to_string().into(), uniform_bytes, ..OUTSIDE.clone() })
}

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_user_s_kernel_that_indexes_far_outside_a_workgroup_array_gives_zeros_and_no_crash() {
    let verdict = verify::run(&gpu(), &case(&mut Generator::new(0, 1))).unwrap_or_else(|error| panic!("{error}"));
    assert!(verdict.passed(), "{verdict}");
}

#[test]
fn every_kernel_of_the_list_runs_without_checks_and_no_changed_call_does() {
    for kernel in kernels() {
        let call = kernel.case.draw(&mut Generator::new(1, 10)).call;
        assert!(!call.has_runtime_checks(), "{} is compiled with checks", kernel.name);
        assert!(call.clone().changed(|call| call.uniform[0] ^= 1).has_runtime_checks(), "{}", kernel.name);
        assert!(Call::checked(call.kernel.clone(), &(), 1, []).has_runtime_checks(), "{}", kernel.name);
    }
}

/// An environment that passes for the cart-pole in all it says.
#[derive(Debug)]
struct Disguised;

impl Environment for Disguised {
    fn file(&self) -> &str {
        CartPole.file()
    }

    fn source(&self) -> &str {
        CartPole.source()
    }

    fn states(&self) -> usize {
        1
    }

    fn observations(&self) -> usize {
        CartPole.observations()
    }

    fn actions(&self) -> usize {
        CartPole.actions()
    }

    fn horizon(&self) -> usize {
        CartPole.horizon()
    }

    fn runtime_checks(&self) -> RuntimeChecks {
        CartPole.runtime_checks()
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        CartPole.reset(random, state);
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        CartPole.observe(state, observation);
    }

    fn step(&self, state: &mut [f64], action: &[f64], random: &mut EpisodeRandom) -> Outcome {
        CartPole.step(state, action, random)
    }
}

fn unrolled(composition: &Composition) -> Call {
    let problem = Problem {
        members: 2,
        first_member: 0,
        present: 2,
        groups: 1,
        episodes: 1,
        horizon: 3,
        steps: 3,
        fresh: true,
        common_random_numbers: false,
        stream: 0,
    };
    problem.sequence(composition, &Target::default()).expect("valid sizes").steps.swap_remove(0).call
}

#[test]
fn a_rollout_runs_without_checks_if_all_its_parts_are_this_crate_s_own() {
    assert!(!unrolled(&Composition::new(CartPole, Linear)).has_runtime_checks());
    assert!(unrolled(&Composition::new(Disguised, Linear)).has_runtime_checks());
    let stepped = |environment: Arc<dyn Environment>| {
        let composition = step::Composition { environment, trace: false };
        let problem = step::Problem { lanes: 2, members: 1, horizon: 3, fresh: true, automatic: false, stream: 0 };
        problem
            .sequence(&composition, &Target::default())
            .expect("valid sizes")
            .steps
            .swap_remove(0)
            .call
            .has_runtime_checks()
    };
    assert!(!stepped(Arc::new(CartPole)));
    assert!(stepped(Arc::new(Disguised)));
}

/// The swing-up as a user's own world, of some text.
#[derive(Debug)]
struct SwingUp(String);

impl Environment for SwingUp {
    fn file(&self) -> &str {
        "swing_up.wgsl"
    }

    fn source(&self) -> &str {
        &self.0
    }

    fn states(&self) -> usize {
        4
    }

    fn observations(&self) -> usize {
        5
    }

    fn actions(&self) -> usize {
        1
    }

    fn horizon(&self) -> usize {
        1_000
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        CartPoleSwingUp::default().reset(random, state);
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        CartPoleSwingUp::default().observe(state, observation);
    }

    fn step(&self, state: &mut [f64], action: &[f64], random: &mut EpisodeRandom) -> Outcome {
        CartPoleSwingUp::default().step(state, action, random)
    }
}

#[test]
fn a_user_s_world_of_straight_line_code_is_rolled_out_as_our_own() {
    let gpu = gpu();
    let (own, neuron) = (CartPoleSwingUp::default(), AttentionNeuron::cart_pole());
    let theirs = Composition::new(SwingUp(own.source().into()), neuron);
    let [own, theirs] = [Composition::new(own, neuron), theirs].map(|composition| {
        let settings = rollout::Settings::new(2, 3, 50);
        let plan = rollout::Plan::new(&composition, &settings, &gpu.target()).expect("valid settings");
        let (storage, weights) = (plan.storage, vec![0.1; 2 * composition.parameters()]);
        let operands = rollout::Operands {
            seed: gpu.upload("seed", &Data::U32(vec![7, 0])).expect("8 bytes"),
            weights: rollout::Weights::Given(gpu.upload("weights", &Data::F32(weights)).expect("memory")),
            wiring: None,
        };
        let rollout = Rollout::new(&gpu, plan, operands).unwrap_or_else(|error| panic!("{error}"));
        (storage, rollout.run().unwrap_or_else(|error| panic!("{error}")).returns)
    });
    assert_eq!(own, theirs);
}

#[test]
fn a_constant_index_out_of_bounds_is_an_error_without_checks_too() {
    let text = CartPoleSwingUp::default().source().replace("(*state)[3] =", "(*state)[4] =");
    let composition = Composition::new(SwingUp(text), Linear).without_needless_checks();
    let call = unrolled(&composition);
    assert!(!call.has_runtime_checks());
    let gpu = gpu();
    let views: Vec<_> = call.lengths.iter().map(|&length| gpu.zeros("operand", length).expect("memory")).collect();
    let error = gpu.prepare(&[Launch::new(&call, &views)]).expect_err("a constant index is out of bounds");
    assert!(matches!(error, Error::Pipeline { .. }), "{error}");
}

#[test]
fn a_kernel_that_is_not_the_composition_s_own_runs_with_checks() {
    let composition = Composition::new(CartPole, Linear);
    let target = Target::default();
    let keeping = composition.weight_storage(false, &target);
    let own = unrolled(&composition);
    let problem = Problem {
        members: 2,
        first_member: 0,
        present: 2,
        groups: 1,
        episodes: 1,
        horizon: 3,
        steps: 3,
        fresh: true,
        common_random_numbers: false,
        stream: 0,
    };
    let call = |kernel| {
        let sequence = problem.sequence_with(&composition, kernel, keeping, 64);
        sequence.expect("valid sizes").steps.swap_remove(0).call
    };
    assert_eq!(call(composition.kernel(keeping)).kernel.source, own.kernel.source);
    assert!(!call(composition.kernel(keeping)).has_runtime_checks());
    assert!(call(with_source(OFFSETS, 0)).has_runtime_checks());
}

/// The error of preparing a kernel of this text.
fn refusal(source: &str, uniform_bytes: usize) -> String {
    let gpu = gpu();
    let call = Call::checked(with_source(source, uniform_bytes), &(), 1, [64, 64])
        .changed(|call| call.uniform = vec![0; uniform_bytes]);
    let views = [gpu.zeros("offsets", 64).expect("256 bytes"), gpu.zeros("y", 64).expect("256 bytes")];
    let error = gpu.prepare(&[Launch::new(&call, &views)]).expect_err("the kernel is wrong");
    assert!(matches!(error, Error::Wgsl { .. }), "{error}");
    error.to_string()
}

#[test]
fn wrong_wgsl_is_named_by_file_line_and_function() {
    let wrong = |from: &str, to: &str| OFFSETS.replace(from, to);
    let text = refusal(&wrong("+ 1u", "+ 1.0"), 0);
    assert!(text.starts_with("outside.wgsl:9, function `read_outside`: "), "{text}");
    let text = refusal(&wrong("shelf[offsets[at.x]] =", "shelf(offsets[at.x]] ="), 0);
    assert!(text.starts_with("outside.wgsl:8, function `read_outside`: "), "{text}");
    let text = refusal(&wrong("fn read_outside", "fn other"), 0);
    assert!(text.contains("expected an entry point of that name, found `other`"), "{text}");
    let text = refusal(&wrong("@binding(1)", "@binding(2)"), 0);
    assert!(text.contains("expected `@group(0) @binding(1)` for the operand `y`"), "{text}");
    let text = refusal(&wrong("read> offsets", "read_write> offsets"), 0);
    assert!(text.starts_with("outside.wgsl:2,") && text.contains("needs `var<storage, read>`"), "{text}");
    let text = refusal(
        &wrong("y: array<u32>", "y: array<f32>")
            .replace("y[at.x] =", "y[at.x] = f32")
            .replace("f32 shelf[offsets[at.x] + 1u]", "f32(shelf[0])"),
        0,
    );
    assert!(text.contains("has U32 elements by its description, found Float"), "{text}");
    let text = refusal(OFFSETS, 16);
    assert!(text.contains("expected a uniform block of 16 bytes"), "{text}");
    let block = "@group(1) @binding(0) var<uniform> size: vec4<u32>;\n";
    let text = refusal(&wrong("var<workgroup>", &format!("{block}var<workgroup>")), 8);
    assert!(text.contains("`size` has 16 bytes in the WGSL, but 8 by"), "{text}");
}

#[test]
fn a_uniform_block_of_another_size_is_an_error() {
    let gpu = gpu();
    let call = Call::checked(&OUTSIDE, &[1u32, 2], 1, [64, 64]);
    let views = [gpu.zeros("offsets", 64).expect("256 bytes"), gpu.zeros("y", 64).expect("256 bytes")];
    let error = gpu.prepare(&[Launch::new(&call, &views)]).expect_err("the kernel has no uniform block");
    assert!(matches!(error, Error::Uniform { expected: 0, got: 8, .. }), "{error}");
}
