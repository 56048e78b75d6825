//! Plans: what they contain, and that twins and kernels run them alike.

use std::collections::BTreeMap;

use fourfold::graph::plan::Plan;
use fourfold::graph::session::{Session, SessionError, TwinSession, Values};
use fourfold::graph::{AttentionMask, Graph, Op, Reference, Tag, Tensor, TensorType, gradients};
use fourfold::nn::{Linear, Noise, Parameters, TransformerBlock, TransformerOptions};
use fourfold::optim::{AdamW, Optimiser, Sam};
use fourfold::shaders::elementwise::Unary;
use fourfold::shaders::{Data, Element, Generator, Target};
use fourfold::{BufferView, Gpu};
use proptest::prelude::*;

fn values(seed: u64, count: usize) -> Data {
    let mut generator = Generator::new(seed, 100);
    Data::F32((0..count).map(|_| generator.normal()).collect())
}

#[test]
fn a_linear_layer_with_an_activation_is_one_dispatch() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([5, 7]));
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([128]));
    let y = x.linear(weights.view(0, [3, 7]), weights.view(64, [3])).gelu_tanh();
    graph.output("y", y);
    let plan = Plan::new(&graph, &Target::default()).unwrap();
    assert_eq!(plan.dispatches.len(), 1, "{plan}");

    let gpu = Gpu::open().unwrap();
    let initial = Values::from([("x".into(), values(1, 35)), ("weights".into(), values(2, 128))]);
    let mut twins = TwinSession::new(plan.clone(), &initial).unwrap();
    twins.run(1);
    let mut session = Session::new(&gpu, plan, &initial).unwrap();
    session.submit(1).unwrap();
    let (expected, got) = (twins.read("y").unwrap(), session.read("y").unwrap());
    for (a, b) in expected.f32().iter().zip(got.f32()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

fn plan(graph: &Graph) -> Plan {
    Plan::new(graph, &Target::default()).unwrap()
}

// Fusion.

#[test]
fn a_chain_of_elementwise_operations_is_one_dispatch() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([6, 8]));
    graph.output("y", ((x * 2.0 + 1.0).tanh().square() - x).exp() / 3.0);
    assert_eq!(plan(&graph).dispatches.len(), 1, "{}", plan(&graph));
}

#[test]
fn a_chain_stretches_its_inputs_itself() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([6, 8]));
    let row = graph.input("row", TensorType::f32([8]));
    let column = graph.input("column", TensorType::f32([6, 1]));
    let number = graph.input("number", TensorType::f32([]));
    graph.output("y", (x * row + column).broadcast_to([3, 6, 8]) * number.broadcast_to([6, 8]));
    let plan = plan(&graph);
    // The sum has fewer elements than the product, so each is a kernel; nothing is stretched in memory.
    assert_eq!(plan.dispatches.len(), 2, "{plan}");
    assert!(plan.dispatches[0].operands.iter().all(|region| region.length <= 48), "{plan}");
}

#[test]
fn a_value_that_is_read_by_name_is_not_swallowed() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([6, 8]));
    let middle = (x * 2.0).tanh();
    graph.output("middle", middle.reshape([48]));
    graph.output("y", (middle + 1.0).exp());
    let plan = plan(&graph);
    assert_eq!(plan.dispatches.len(), 2, "{plan}");
    let x = values(3, 48);
    let mut twins = TwinSession::new(plan, &Values::from([("x".into(), x.clone())])).unwrap();
    twins.run(1);
    for ((middle, y), x) in twins.read("middle").unwrap().f32().iter().zip(twins.read("y").unwrap().f32()).zip(x.f32())
    {
        assert!((middle - (2.0 * x).tanh()).abs() < 1e-6 && (y - (middle + 1.0).exp()).abs() < 1e-5);
    }
}

#[test]
fn a_value_with_two_readers_outside_a_chain_is_computed_once() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([6, 8]));
    let shared = x.tanh().exp();
    graph.output("sum", shared.sum(1));
    graph.output("y", shared * 2.0);
    // The chain of the shared value, the sum, the product.
    assert_eq!(plan(&graph).dispatches.len(), 3, "{}", plan(&graph));
}

#[test]
fn a_chain_has_at_most_seven_inputs() {
    let graph = Graph::new();
    let inputs: Vec<_> = (0..20).map(|index| graph.input(&format!("x{index}"), TensorType::f32([10]))).collect();
    graph.output("sum", inputs.iter().copied().reduce(|a, b| a.tanh() + b).unwrap());
    let plan = plan(&graph);
    // Of each kernel's seven inputs one is the sum so far: 7 + 6 + 6 < 20.
    assert_eq!(plan.dispatches.len(), 4, "{plan}");
    assert!(plan.dispatches.iter().all(|dispatch| dispatch.operands.len() <= 8), "{plan}");
}

#[test]
fn equal_operations_are_computed_once() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([6, 8]));
    graph.output("a", x.softmax());
    graph.output("b", x.softmax() * 2.0);
    assert_eq!(plan(&graph).dispatches.len(), 2, "{}", plan(&graph));
}

#[test]
fn what_no_output_needs_is_not_computed() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([6, 8]));
    x.softmax().matmul(x.transpose());
    graph.output("y", x.tanh());
    assert_eq!(plan(&graph).dispatches.len(), 1, "{}", plan(&graph));
}

#[test]
fn constants_are_filled_once_and_not_dispatched() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 3]));
    graph.output("twos", graph.full([2, 3], 2.0));
    // A product, which is not an elementwise operation, reads its constant from memory.
    graph.output("row_sums", x.matmul(graph.full([3, 1], 1.0)));
    let plan = plan(&graph);
    assert_eq!(plan.dispatches.len(), 1, "{plan}");
    let mut twins = TwinSession::new(plan, &Values::from([("x".into(), Data::F32(vec![1.0; 6]))])).unwrap();
    twins.run(2);
    assert_eq!(twins.read("twos").unwrap(), Data::F32(vec![2.0; 6]));
    assert_eq!(twins.read("row_sums").unwrap(), Data::F32(vec![3.0; 2]));
}

#[test]
fn arithmetic_of_constants_alone_is_right() {
    let graph = Graph::new();
    let sum = graph.full([4], 1.5) * graph.constant(2.0) + graph.full([4], 0.25);
    graph.output("sum", sum);
    let mut twins = TwinSession::new(plan(&graph), &Values::new()).unwrap();
    twins.run(1);
    assert_eq!(twins.read("sum").unwrap(), Data::F32(vec![3.25; 4]));
}

/// A graph of random operations, none of which magnifies, over tensors that are named at random.
fn random_graph(graph: &Graph, generator: &mut Generator) {
    let shapes: [&[usize]; 6] = [&[3, 5], &[5], &[3, 1], &[], &[2, 3, 5], &[128]];
    let mut tensors: Vec<Tensor<'_>> = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        tensors.push(graph.input(&format!("x{index}"), TensorType::f32(*shape)));
    }
    for _ in 0..3 + generator.length(14) {
        // Recent tensors are picked more often: chains grow.
        let first = if generator.chance(0.5) { tensors.len().saturating_sub(3) } else { 0 };
        let a = generator.pick(&tensors[first..]);
        let b = generator.pick(&tensors);
        let (rank, choice) = (a.shape().rank(), generator.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
        let new = match choice {
            0 => a.unary(generator.pick(&[Unary::Tanh, Unary::Abs, Unary::Neg, Unary::Sigmoid, Unary::GeluErf])),
            1..=4 if a.shape().broadcast(&b.shape()).is_some() => match choice {
                1 => a + b,
                2 => a.tanh() * b,
                3 => a.max(b),
                _ => a - b,
            },
            5 if rank > 0 => a.mean(generator.pick(&[0, rank - 1])),
            6 => a.reshape([a.elements()]),
            7 if rank > 1 => a.permute(&(0..rank).rev().collect::<Vec<_>>()),
            8 if a.elements() <= 64 && b.elements() <= 64 => graph.pack(&[(0, a), (64, b)], 128),
            9 if rank == 1 && a.elements() == 128 => a.view(64, [3, 5]),
            10 if rank == 2 => a.matmul_transposed(a, false, true).tanh() + 0.5,
            _ => a.tanh() * 0.5 + 0.25,
        };
        tensors.push(new);
    }
    let last = *tensors.last().unwrap();
    graph.output("last", last);
    for index in 0..2 {
        graph.output(&format!("other{index}"), generator.pick(&tensors));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn planning_preserves_the_values_of_a_graph(seed in any::<u64>()) {
        let mut generator = Generator::new(seed, 100);
        let graph = Graph::new();
        random_graph(&graph, &mut generator);
        let plan = Plan::new(&graph, &Target::default()).unwrap();
        assert_no_buffer_is_read_and_written(&plan);
        let initial: Values = plan
            .inputs
            .iter()
            .map(|(name, binding)| (name.clone(), values(generator.length(1000) as u64, binding.region.length)))
            .collect();
        let wide = |data: &Data| data.f32().iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let reference = Reference::new(initial.iter().map(|(name, data)| (name.clone(), wide(data))));
        let mut twins = TwinSession::new(plan.clone(), &initial).unwrap();
        // Twice: the second step must not depend on what the first left in the buffers.
        twins.run(2);
        for (name, value) in graph.outputs() {
            let expected = reference.evaluate(graph.tensor(value)).unwrap();
            let largest = expected.iter().fold(1.0_f64, |largest, x| largest.max(x.abs()));
            for (got, expected) in twins.read(&name).unwrap().f32().iter().zip(&expected) {
                // Some twenty roundings of values that are no larger than the largest by more than cancellation.
                prop_assert!((f64::from(*got) - expected).abs() < 2e-5 * largest, "{name}: {got} {expected}\n{plan}");
            }
        }
    }
}

// Memory.

#[test]
fn a_longer_chain_of_products_needs_no_more_memory() {
    let bytes = |length: usize| {
        let graph = Graph::new();
        let weights = graph.state("weights", Tag::Weights, TensorType::f32([32, 32]));
        let x = graph.input("x", TensorType::f32([32, 32]));
        graph.output("y", (0..length).fold(x, |x, _| x.matmul(weights)));
        plan(&graph).peak_bytes()[&Tag::Activations]
    };
    assert_eq!(bytes(20), bytes(4));
    assert_eq!(bytes(20), 3 * 32 * 32 * 4, "two in turn and the output");
}

#[test]
fn gradients_are_computed_in_their_places_in_the_flat_tensor() {
    let mut parameters = Parameters::new();
    let layers = [Linear::new(&mut parameters, "first", 6, 9), Linear::new(&mut parameters, "second", 9, 3)];
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([4, 6]));
    let weights = parameters.state(&graph, "weights");
    let rate = graph.constant(0.1);
    let flat = parameters.of(weights);
    let loss = layers[1].forward(&flat, layers[0].forward(&flat, x).tanh()).square().mean_all();
    let (step, gradient) = (graph.state("step", Tag::Bookkeeping, TensorType::u32([])), gradients(loss, &[weights])[0]);
    Optimiser::AdamW(AdamW::default()).step(weights, gradient, rate, step);
    let plan = plan(&graph);
    assert!(plan.dispatches.iter().all(|dispatch| !dispatch.label.starts_with("pack")), "{plan}");
    // Two weights and two biases, at their offsets in one buffer.
    let packed = plan.buffers.iter().position(|buffer| buffer.tag == Tag::Gradients).unwrap();
    let mut offsets: Vec<usize> = Vec::new();
    for dispatch in &plan.dispatches {
        let written = dispatch.call.kernel.outputs().map(|output| dispatch.operands[output]);
        offsets.extend(written.filter(|region| region.buffer == packed).map(|region| region.offset));
    }
    offsets.sort();
    assert_eq!(offsets, parameters.iter().map(|parameter| parameter.offset).collect::<Vec<_>>(), "{plan}");
    assert_eq!(plan.peak_bytes()[&Tag::Gradients], 4 * parameters.length());
}

#[test]
fn a_part_of_the_gradient_that_is_the_same_number_everywhere_is_written_too() {
    let graph = Graph::new();
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([2 * Op::ALIGNMENT]));
    let (a, b) = (weights.view(0, [3]), weights.view(Op::ALIGNMENT, [2]));
    // The gradient for a is 2 everywhere: no dispatch computes it, yet it must lie in the flat tensor.
    let loss = (a * 2.0).sum_all() + b.square().sum_all();
    graph.output("gradient", gradients(loss, &[weights])[0]);
    let weights = Data::F32((0..2 * Op::ALIGNMENT).map(|index| index as f32).collect());
    let mut twins = TwinSession::new(plan(&graph), &Values::from([("weights".into(), weights)])).unwrap();
    twins.run(1);
    let gradient = twins.read("gradient").unwrap();
    assert_eq!(gradient.f32()[..4], [2.0, 2.0, 2.0, 0.0]);
    assert_eq!(gradient.f32()[Op::ALIGNMENT..][..3], [128.0, 130.0, 0.0]);
}

/// WebGPU refuses a dispatch that binds a buffer for reading and for writing, or overlapping stretches for writing.
fn assert_no_buffer_is_read_and_written(plan: &Plan) {
    for (index, dispatch) in plan.dispatches.iter().enumerate() {
        let writes = |operand: &usize| dispatch.call.kernel.bindings[*operand].access.writes();
        let (written, read): (Vec<_>, Vec<_>) = (0..dispatch.operands.len()).partition(writes);
        for (place, &write) in written.iter().enumerate() {
            let target = dispatch.operands[write];
            let clash = read.iter().any(|&read| dispatch.operands[read].buffer == target.buffer);
            assert!(!clash, "dispatch {index} reads what it writes\n{plan}");
            for other in written[place + 1..].iter().map(|&other| dispatch.operands[other]) {
                let (a, b) = (target.offset..target.offset + target.length, other.offset..other.offset + other.length);
                let apart = other.buffer != target.buffer || a.end <= b.start || b.end <= a.start;
                assert!(apart, "dispatch {index} writes a stretch twice\n{plan}");
            }
        }
    }
}

#[test]
fn no_dispatch_of_a_training_step_binds_a_buffer_for_reading_and_writing() {
    let mut parameters = Parameters::new();
    let options = TransformerOptions { hidden: 24, dropout: 0.1, ..TransformerOptions::new(16, 2) };
    let block = TransformerBlock::new(&mut parameters, "block", options, 0);
    for second_order in [false, true] {
        let graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 5, 16]));
        let seed = graph.state("seed", Tag::Bookkeeping, TensorType::u32([2]));
        let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
        let weights = parameters.state(&graph, "weights");
        let sam = Sam { second_order, steps: 2, ..Sam::default() };
        let outcome = sam.gradient(weights, graph.constant(0.05), |w, _| {
            block.forward(&parameters.of(w), x, AttentionMask::default(), Noise::of(seed)).square().mean_all()
        });
        Optimiser::AdamW(AdamW::default()).step(weights, outcome.gradient, graph.constant(0.1), step);
        graph.advance(seed);
        let plan = plan(&graph);
        assert!(plan.dispatches.len() > 50, "{plan}");
        assert_no_buffer_is_read_and_written(&plan);
    }
}

#[test]
fn an_effect_reads_a_copy_of_the_state_that_it_changes() {
    // The gradient of w . constant(w) is w itself; a table's upper half becomes its own lower one.
    let graph = Graph::new();
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([64]));
    let velocity = graph.state("velocity", Tag::OptimiserState, TensorType::f32([64]));
    let gradient = gradients(weights.dot(weights.stop_gradient()), &[weights])[0];
    graph.sgd(weights, velocity, gradient, graph.constant(0.25), (0.0, false, 0.0));
    let table = graph.state("table", Tag::Bookkeeping, TensorType::f32([64]));
    graph.assign(table, table.reshape([8, 8]).reshape([64]));
    let plan = plan(&graph);
    assert_no_buffer_is_read_and_written(&plan);

    let initial = Values::from([("weights".into(), Data::F32(vec![8.0; 64])), ("table".into(), values(7, 64))]);
    let mut session = Session::new(&Gpu::open().unwrap(), plan, &initial).unwrap();
    session.submit(2).unwrap();
    assert_eq!(session.read("weights").unwrap(), Data::F32(vec![4.5; 64]));
    assert_eq!(session.read("table").unwrap(), initial["table"]);
}

// Sessions.

/// `y = 2 x + total`, then `total = y`; `part` is a piece of the total, `three` a constant.
fn accumulator() -> Plan {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([128]));
    let total = graph.state("total", Tag::Bookkeeping, TensorType::f32([128]));
    let y = x * 2.0 + total;
    graph.output("y", y);
    graph.output("part", total.view(64, [3]));
    graph.output("three", graph.full([5], 3.0));
    graph.assign(total, y);
    plan(&graph)
}

#[test]
fn a_name_that_the_plan_does_not_have_is_answered_with_those_that_it_has() {
    let mut session = Session::new(&Gpu::open().unwrap(), accumulator(), &Values::new()).unwrap();
    let twins = TwinSession::new(accumulator(), &Values::new()).unwrap();
    let expected = "the plan has no tensor `z`; it has part, three, y, total, x";
    assert_eq!(session.read("z").unwrap_err().to_string(), expected);
    assert_eq!(twins.read("z").unwrap_err().to_string(), expected);
    // An output is read, not written.
    let unwritable = session.write("y", &values(1, 128)).unwrap_err().to_string();
    assert_eq!(unwritable, "the plan has no tensor `y`; it has x, total");
}

#[test]
fn values_of_another_length_or_type_are_refused_by_name() {
    let gpu = Gpu::open().unwrap();
    let short = Values::from([("x".into(), values(1, 127))]);
    let expected = "tensor `x` takes F32 [128], got 127 F32 values";
    assert_eq!(Session::new(&gpu, accumulator(), &short).unwrap_err().to_string(), expected);
    assert_eq!(TwinSession::new(accumulator(), &short).unwrap_err().to_string(), expected);
    let mut session = Session::new(&gpu, accumulator(), &Values::new()).unwrap();
    let whole = session.write("total", &Data::U32(vec![0; 128])).unwrap_err().to_string();
    assert_eq!(whole, "tensor `total` takes F32 [128], got 128 U32 values");
    assert_eq!(session.traffic().uploads, 0);
}

#[test]
fn states_and_inputs_begin_as_zeros_where_no_values_are_given() {
    let mut session = Session::new(&Gpu::open().unwrap(), accumulator(), &Values::new()).unwrap();
    session.submit(1).unwrap();
    assert_eq!(session.read("y").unwrap(), Data::zeros(Element::F32, 128));
}

#[test]
fn two_sessions_share_a_state_that_lies_in_a_given_buffer() {
    let gpu = Gpu::open().unwrap();
    let total: BufferView = gpu.upload("total", &Data::F32(vec![1.0; 128])).unwrap();
    let given = BTreeMap::from([("total".to_string(), total)]);
    let x = |value: f32| Values::from([("x".into(), Data::F32(vec![value; 128]))]);
    let mut first = Session::on_buffers(&gpu, accumulator(), &x(1.0), &given).unwrap();
    let mut second = Session::on_buffers(&gpu, accumulator(), &x(10.0), &given).unwrap();
    first.submit(1).unwrap();
    second.submit(1).unwrap();
    assert_eq!(first.read("total").unwrap(), Data::F32(vec![23.0; 128]));
    assert_eq!(second.read("y").unwrap(), Data::F32(vec![23.0; 128]));
}

#[test]
fn an_output_lies_in_the_buffer_that_is_given_for_it() {
    let gpu = Gpu::open().unwrap();
    let y = gpu.poisoned("y", 128).unwrap();
    let given = BTreeMap::from([("y".to_string(), y.clone())]);
    let initial = Values::from([("x".into(), Data::F32(vec![4.0; 128]))]);
    let mut session = Session::on_buffers(&gpu, accumulator(), &initial, &given).unwrap();
    session.submit(1).unwrap();
    assert_eq!(session.buffer("y").unwrap().buffer, y.buffer);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let ticket = gpu.encode_readback(&mut encoder, &[(y, Element::F32)]).unwrap();
    gpu.queue().submit([encoder.finish()]);
    assert_eq!(ticket.wait().unwrap(), [Data::F32(vec![8.0; 128])]);
}

#[test]
fn buffers_that_cannot_serve_a_tensor_are_refused_by_name() {
    let gpu = Gpu::open().unwrap();
    let refused = |name: &str, words: usize| -> SessionError {
        let given = BTreeMap::from([(name.to_string(), gpu.zeros("given", words).unwrap())]);
        Session::on_buffers(&gpu, accumulator(), &Values::new(), &given).unwrap_err()
    };
    assert_eq!(refused("x", 100).to_string(), "tensor `x` takes a buffer of 512 bytes, got one of 400");
    assert_eq!(refused("part", 64), SessionError::SharedBuffer { name: "part".into() });
    assert_eq!(refused("three", 64), SessionError::ConstantTensor { name: "three".into() });
    assert!(matches!(refused("z", 64), SessionError::UnknownName { .. }));
}

#[test]
fn sessions_of_several_threads_on_one_device_get_their_own_values() {
    let gpu = Gpu::open().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let gpu = &gpu;
            scope.spawn(move || {
                let mut session = Session::new(gpu, accumulator(), &Values::new()).unwrap();
                for round in 0..50 {
                    let x = (100 * thread + round) as f32;
                    session.write("x", &Data::F32(vec![x; 128])).unwrap();
                    session.write("total", &Data::F32(vec![1.0; 128])).unwrap();
                    session.submit(1).unwrap();
                    assert_eq!(session.read("y").unwrap(), Data::F32(vec![2.0 * x + 1.0; 128]));
                }
            });
        }
    });
}

#[test]
fn a_view_of_weights_is_read_where_it_lies() {
    let graph = Graph::new();
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([3 * Op::ALIGNMENT]));
    graph.output("y", weights.view(Op::ALIGNMENT, [2, 5]).softmax());
    let plan = plan(&graph);
    let read = plan.dispatches[0].operands[0];
    assert_eq!((plan.dispatches.len(), read.offset, read.length), (1, Op::ALIGNMENT, 10), "{plan}");
    assert_eq!(read.buffer, plan.states["weights"].region.buffer);
}

// Effects.

#[test]
fn effects_read_states_as_they_were_when_the_step_began() {
    let graph = Graph::new();
    let [a, b] = ["a", "b"].map(|name| graph.state(name, Tag::Weights, TensorType::f32([1])));
    let count = graph.state("count", Tag::Bookkeeping, TensorType::u32([]));
    let before = graph.state("before", Tag::Bookkeeping, TensorType::u32([1]));
    graph.assign(a, b);
    graph.assign(b, a);
    graph.advance(count);
    graph.assign(before, count.reshape([1]));
    let initial = Values::from([("a".into(), Data::F32(vec![1.0])), ("b".into(), Data::F32(vec![10.0]))]);
    let mut twins = TwinSession::new(plan(&graph), &initial).unwrap();
    let mut session = Session::new(&Gpu::open().unwrap(), plan(&graph), &initial).unwrap();
    twins.run(1);
    session.submit(1).unwrap();
    for (name, expected) in [("a", 10.0), ("b", 1.0)] {
        assert_eq!(twins.read(name).unwrap().f32(), [expected], "{name}");
        assert_eq!(session.read(name).unwrap().f32(), [expected], "{name}");
    }
    assert_eq!(session.read("count").unwrap().u32(), [1]);
    assert_eq!(session.read("before").unwrap().u32(), [0]);
}

#[test]
fn an_effect_after_another_on_the_same_state_changes_what_the_first_one_left() {
    let graph = Graph::new();
    let a = graph.state("a", Tag::Weights, TensorType::f32([1]));
    let count = graph.state("count", Tag::Bookkeeping, TensorType::u32([]));
    graph.assign(a, graph.full([1], 3.0));
    graph.advance(count);
    graph.advance(count);
    let mut twins = TwinSession::new(plan(&graph), &Values::new()).unwrap();
    twins.run(1);
    assert_eq!((twins.read("a").unwrap().f32()[0], twins.read("count").unwrap().u32()[0]), (3.0, 2));
}
