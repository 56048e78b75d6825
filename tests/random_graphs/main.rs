//! Random graphs of all operations, custom ones too, and their gradients, taken once and twice: kernels on the GPU against the
//! f64 reference. `cargo xtask graphs` judges as many as one likes.

mod custom;
mod judge;
mod operations;
mod program;
mod shrink;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fourfold::Gpu;
use fourfold::graph::{Graph, Op, Plan, Tag, Tensor, TensorType, gradients};
use fourfold::shaders::Target;
use fourfold::shaders::elementwise::{Binary, Compare, Unary};
use judge::judge;
use operations::OPERATIONS;
use program::{Program, Random, Step};
use shrink::shrunk;

/// Graphs in the suite, or fewer where a driver compiles slowly.
const GRAPHS: u64 = 500;

/// The suite ends with the graph at which so much time is over.
const LONGEST: Duration = Duration::from_secs(30);

/// A device keeps the pipelines of all its graphs: after so many it is opened anew.
const GRAPHS_OF_A_DEVICE: u64 = 250;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(format!("FOURFOLD_GRAPHS_{name}")).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("FOURFOLD_GRAPHS_{name}: expected a whole number, got `{text}`")))
}

/// The program of a number under a seed.
fn numbered(seed: u64, graph: u64) -> Program {
    Program::random(Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ graph).next())
}

#[test]
fn no_random_graph_differs_from_the_f64_reference() {
    let (seed, first) = (number("SEED").unwrap_or(1), number("FIRST").unwrap_or(0));
    let count = number("COUNT");
    let begun = Instant::now();
    let mut gpu = Gpu::open().expect("an adapter");
    let (mut judged, mut finds) = (0, Vec::new());
    for graph in first..first + count.unwrap_or(GRAPHS) {
        if count.is_none() && begun.elapsed() > LONGEST {
            break;
        }
        if judged > 0 && judged % GRAPHS_OF_A_DEVICE == 0 {
            gpu = Gpu::open().expect("an adapter");
            if count.is_some() {
                println!("{graph} graphs, {} finds, {:.0} s", finds.len(), begun.elapsed().as_secs_f64());
            }
        }
        judged += 1;
        let program = numbered(seed, graph);
        if let Err(fault) = judge(&gpu, &program) {
            let (small, own) = shrunk(program, fault.clone(), |program| judge(&gpu, program));
            println!("graph {graph} of seed {seed}: {fault}\n  shrunk: {small}\n  {own}");
            finds.push(graph);
        }
    }
    println!("{judged} random graphs in {:.0} s, {} finds", begun.elapsed().as_secs_f64(), finds.len());
    assert!(finds.is_empty(), "graphs {finds:?} of seed {seed} differ");
}

/// The name of an operation that random graphs must reach; `None` for sources, and for effects, which the reference leaves
/// out. Windows of episodes have tests of their own.
fn reached(op: &Op) -> Option<String> {
    match op {
        Op::Unary(function) => Some(format!("{function:?}")),
        Op::Binary(function) => Some(format!("{function:?}")),
        Op::Compare(comparison) => Some(format!("{comparison:?}")),
        Op::Poison | Op::Input { .. } | Op::State { .. } | Op::Constant(_) | Op::Windows { .. } => None,
        Op::Assign | Op::Sgd { .. } | Op::AdamW { .. } | Op::Advance | Op::Record => None,
        other => Some(other.name().to_owned()),
    }
}

#[test]
fn random_graphs_reach_every_operation() {
    let mut found = BTreeSet::new();
    for graph in 0..2_000 {
        let program = numbered(1, graph);
        // Wide ones reach nothing else.
        if program.leaves.iter().any(|shape| shape.iter().any(|axis| *axis > 100)) {
            continue;
        }
        let graph = Graph::new();
        program.build(&graph);
        assert_eq!(graph.check(), Ok(()), "{program}");
        found.extend((0..graph.len()).filter_map(|node| reached(&graph.node(node).op)));
    }
    let mut expected: BTreeSet<String> = Unary::ALL.into_iter().map(|function| format!("{function:?}")).collect();
    expected.extend(Binary::ALL.into_iter().map(|function| format!("{function:?}")));
    expected.extend(
        [Compare::Lt, Compare::Le, Compare::Gt, Compare::Ge, Compare::Eq, Compare::Ne].map(|own| format!("{own:?}")),
    );
    let missing: Vec<&String> = expected.difference(&found).collect();
    assert!(missing.is_empty(), "no random graph has {missing:?}");
    // Fused operations by the files that implement them, so that a new one is not forgotten.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/graph/operations");
    for file in std::fs::read_dir(folder).expect("the folder of the operations") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("WGSL and Rust are text");
        for name in text.split("fn name(&self) -> &'static str {\n        \"").skip(1) {
            let name = name.split('"').next().expect("a name");
            assert!(found.contains(name), "{}: no random graph has {name}", path.display());
        }
    }
}

#[test]
fn shapes_without_elements_are_refused_and_what_follows_does_not_panic() {
    type Make = for<'g> fn(&'g Graph, Tensor<'g>) -> Tensor<'g>;
    let makers: [(&str, Make); 9] = [
        ("input", |graph, _| graph.input("none", TensorType::f32([0, 3]))),
        ("state", |graph, _| graph.state("none", Tag::Weights, TensorType::f32([0]))),
        ("full", |graph, _| graph.full([2, 0], 1.0)),
        ("reshape", |_, x| x.reshape([0])),
        ("broadcast", |_, x| x.broadcast_to([0, 2, 3])),
        ("slice", |_, x| x.slice(&[0, 0], [0, 3])),
        ("narrow", |_, x| x.narrow(1, 2, 0)),
        ("pad", |_, x| x.pad(&[0, 0], [0, 0])),
        ("view", |_, x| x.reshape([6]).view(0, [0])),
    ];
    for (name, make) in makers {
        let graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3]));
        let none = make(&graph, x);
        // Whatever takes it: the first mistake is the one that is told.
        let all = [none + x, none.tanh(), none.matmul(x), x.matmul(none), none.softmax(), none.sum(0), none.norm()];
        let more = [none.permute(&[1, 0]), none.transpose(), graph.concatenate(&[none, x], 0), none.reshape([6])];
        let loss = all.into_iter().chain(more).fold(graph.constant(0.0), |loss, each| loss + each.mean_all());
        graph.output("slope", gradients(loss, &[x])[0]);
        let error = graph.check().expect_err(name).to_string();
        assert!(error.contains("elements") || error.contains("shape"), "{name}: {error}");
        assert_eq!(Plan::new(&graph, &Target::default()).expect_err(name).to_string(), error);
    }
}

#[test]
fn a_failing_graph_is_shrunk_to_what_fails() {
    let matmul = OPERATIONS.iter().position(|(name, _)| *name == "matmul").expect("products");
    let judge = |program: &Program| match program.steps.iter().any(|step| step.operation == matmul) {
        true => Err("a product".to_owned()),
        false => Ok(()),
    };
    let program =
        (0..).map(|graph| numbered(3, graph)).find(|program| judge(program).is_err()).expect("endless numbers");
    let (small, fault) = shrunk(program, String::new(), judge);
    assert_eq!((small.steps.len(), small.leaves, small.order, &*fault), (1, vec![vec![]], 0, "a product"));
}

#[test]
fn a_kernel_that_is_off_by_a_thousandth_is_found_in_the_middle_of_a_graph_and_shrunk_to_itself() {
    let mut program = (0..).map(|graph| numbered(5, graph)).find(|program| program.steps.len() == 4).expect("numbers");
    program.leaves[0] = vec![3, 4];
    program.steps[1] = Step { operation: Step::WRONG, seed: 1 };
    program.steps[3] = Step { operation: 0, seed: 4 };
    let gpu = Gpu::open().expect("an adapter");
    let fault = judge(&gpu, &program).expect_err("a wrong kernel");
    let (small, _) = shrunk(program, fault, |program| judge(&gpu, program));
    let operations: Vec<usize> = small.steps.iter().map(|step| step.operation).collect();
    assert_eq!((operations, small.order), (vec![Step::WRONG], 0));
}

#[test]
fn the_same_number_is_the_same_graph() {
    let printed = |seed, number| {
        let graph = Graph::new();
        let built = numbered(seed, number).build(&graph);
        built.outputs.iter().enumerate().for_each(|(index, (output, _))| graph.output(&index.to_string(), *output));
        (Plan::new(&graph, &Target::default()).unwrap().to_string(), built.values)
    };
    assert_eq!(printed(1, 2), printed(1, 2));
    assert_ne!(printed(1, 2).0, printed(2, 2).0);
}
