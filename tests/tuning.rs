//! Measured choices of kernel variants: right on this adapter, shown in plans, the same bits again, refused elsewhere.

use fourfold::gpu::{Error, Tuning};
use fourfold::graph::{Graph, Plan, Session, TensorType};
use fourfold::shaders::convolution::{self, Geometry, Map};
use fourfold::shaders::layout::scatter_add;
use fourfold::shaders::normalisation::softmax;
use fourfold::shaders::{
    Access, Activation, Choice, Choices, Data, Element, Family, Generator, Sequence, Slot, Target, matmul,
};
use fourfold::{Gpu, verify};

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

/// A small problem of a family that suits all of its variants that software drivers and GPUs may run.
fn problems(family: Family, target: &Target) -> Vec<Sequence> {
    let geometry = Geometry::square([2, 9, 9, 9], 9, 3, 1, 1);
    let convolution = |map| convolution::Problem::new(geometry, map).sequence(target).unwrap();
    match family {
        Family::MatrixProduct => vec![matmul::Problem::new(120, 125, 37).sequence(target).unwrap()],
        Family::Convolution => {
            let plain = Map::Output { bias: false, activation: Activation::None };
            vec![convolution(plain), convolution(Map::InputGradient)]
        }
        Family::WeightGradient => vec![convolution(Map::WeightGradient)],
        Family::Rows => vec![softmax::Problem { rows: 67, columns: 518, log: false }.sequence(target).unwrap()],
        Family::ScatterAdd => {
            vec![scatter_add::Problem { rows: 50, columns: 64, count: 50 }.sequence(target).unwrap()]
        }
    }
}

/// Random operands of a sequence; integers are below 50.
fn operands(sequence: &Sequence) -> Vec<Data> {
    let mut generator = Generator::new(1, 100);
    let mut arguments: Vec<Data> = Vec::new();
    for step in &sequence.steps {
        let bindings = step.call.kernel.bindings.iter().zip(&step.call.lengths);
        for (slot, (binding, &length)) in step.operands.iter().zip(bindings) {
            let Slot::Argument(index) = *slot else { continue };
            let data = match (binding.access, binding.element) {
                (Access::Write, element) => Data::poison(element, length),
                (_, Element::F32) => Data::F32((0..length).map(|_| generator.normal()).collect()),
                (_, Element::U32) => Data::U32((0..length).map(|at| (at * 7 % 50) as u32).collect()),
            };
            arguments.resize(arguments.len().max(index + 1), data.clone());
            if arguments[index].len() <= length {
                arguments[index] = data;
            }
        }
    }
    arguments
}

#[test]
fn every_variant_that_may_be_chosen_computes_what_its_twin_computes() {
    let gpu = gpu();
    for family in Family::ALL {
        let mut taken = 0;
        for (variant, name) in family.variants().iter().enumerate() {
            let target = Target { choices: Choices::NONE.with_all(family, variant), ..gpu.target() };
            for sequence in problems(family, &target) {
                let chosen = sequence.steps.iter().any(|step| step.call.choice().is_some());
                for case in sequence.cases(name, operands(&sequence)).into_iter().filter(|_| chosen) {
                    let verdict = verify::run(&gpu, &case).unwrap();
                    assert!(verdict.passed(), "{}, {name}: {verdict:?}", family.name());
                    taken += 1;
                }
            }
        }
        assert!(taken >= 2, "{}: {taken} variants are legal here", family.name());
    }
}

/// A tuning of this adapter by which every product of matrices takes the workgroup tile of 32 x 32.
fn tuning(gpu: &Gpu) -> Tuning {
    Tuning::new(gpu.info(), Choices::NONE.with_all(Family::MatrixProduct, 4))
}

/// `tanh(a b)` and what the plan prints.
fn run(gpu: &Gpu) -> (Vec<f32>, String) {
    let graph = Graph::new();
    let [a, b] = ["a", "b"].map(|name| graph.input(name, TensorType::f32([64, 64])));
    graph.output("y", a.matmul(b).tanh());
    let plan = Plan::new(&graph, &gpu.target()).unwrap();
    let printed = plan.to_string();
    let mut session = Session::builder(gpu, plan).build().unwrap();
    let mut generator = Generator::new(3, 100);
    for name in ["a", "b"] {
        session.write(name, &Data::F32((0..64 * 64).map(|_| generator.normal() / 8.0).collect())).unwrap();
    }
    session.submit(1).unwrap();
    (session.read("y").unwrap().f32().to_vec(), printed)
}

#[test]
fn a_plan_prints_the_choices_that_came_from_a_tuning_and_the_library_has_none_by_itself() {
    let plain = gpu();
    assert_eq!((plain.tuning(), plain.target().choices), (None, Choices::NONE));
    let tuned = plain.with_tuning(tuning(&plain)).unwrap();
    let ((expected, by_rule), (got, printed)) = (run(&plain), run(&tuned));
    assert!(printed.contains("matmul_tile") && printed.contains("(tuned: workgroup tile 32 x 32)"), "{printed}");
    assert!(!by_rule.contains("tuned"), "{by_rule}");
    for (one, other) in expected.iter().zip(&got) {
        assert!((one - other).abs() < 1e-5, "{one} {other}");
    }
}

#[test]
fn the_same_tuning_on_the_same_adapter_gives_the_same_bits() {
    let bytes = tuning(&gpu()).to_bytes();
    let bits = || {
        let gpu = gpu();
        let tuned = gpu.with_tuning(Tuning::from_bytes(&bytes).unwrap()).unwrap();
        run(&tuned).0.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(bits(), bits());
}

#[test]
fn a_host_gives_the_bytes_to_the_device_that_it_shares() {
    let opened = gpu();
    let host = Gpu::adopt(opened.device().clone(), opened.queue().clone());
    let tuned = host.with_tuning(Tuning::from_bytes(&tuning(&opened).to_bytes()).unwrap()).unwrap();
    assert!(run(&tuned).1.contains("(tuned: workgroup tile 32 x 32)"));
    // The handle that it came from stays as it was.
    assert_eq!(host.tuning(), None);
}

#[test]
fn a_tuning_of_another_adapter_is_refused_in_one_sentence() {
    let gpu = gpu();
    let mut other = gpu.info().clone();
    other.driver_info = "Mesa 99".into();
    let choice = Choice { family: Family::Rows, class: 0, variant: 0 };
    let refused = gpu.with_tuning(Tuning::new(&other, Choices::NONE.with(choice))).unwrap_err();
    assert!(matches!(refused, Error::Tuning { .. }));
    assert!(refused.to_string().contains("measured elsewhere") && refused.to_string().contains("Mesa 99"), "{refused}");
}
