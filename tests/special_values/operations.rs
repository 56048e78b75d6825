//! NaN and infinities in products, tables, noise and the steps of optimisers.

use fourfold::graph::{Adaptive, Graph, Plan, Session, Tag, TensorType, TwinSession, Values};
use fourfold::shaders::{Data, Target};

use super::harness::{INFINITY, Judge, NAN, gpu, noise};

#[test]
fn a_product_passes_nan_on_to_its_row_and_column_alone_through_every_activation() {
    let mut judge = Judge::default();
    // Vectors, small and ragged matrices, whole tiles, and a sum that is cut.
    for [m, k, n] in [[1, 9, 7], [5, 3, 2], [33, 17, 9], [64, 64, 64], [70, 33, 130], [4, 2_000, 5]] {
        for broken in [NAN, -NAN, INFINITY] {
            let (mut a, mut b) = (noise(m * k, 1), noise(k * n, 2));
            // The last term of a row of a, and of a column of b: next to what a ragged tile leaves out.
            a[(m - 1) * k + k - 1] = broken;
            b[(k - 1) * n + n - 1] = NAN;
            let product: Vec<f64> = (0..m * n)
                .map(|index| (0..k).map(|term| a[index / n * k + term] * b[term * n + index % n]).sum())
                .collect();
            let relu: Vec<f64> = product.iter().map(|&x| if x < 0.0 { 0.0 } else { x }).collect();
            let tanh: Vec<f64> = product.iter().map(|x| x.tanh()).collect();
            let argument = |x: f64| 2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            let gelu: Vec<f64> = product.iter().map(|&x| x / (1.0 + (-argument(x)).exp())).collect();
            let name = format!("product of {m} x {k} and {k} x {n} with {broken}");
            let inputs = [("a", TensorType::f32([m, k]), &a[..]), ("b", TensorType::f32([k, n]), &b[..])];
            judge.expect(
                &name,
                &inputs,
                |_, t| {
                    // Products of their own: each is fused with its activation.
                    let product = || t[0].matmul(t[1]);
                    [product(), product().relu(), product().tanh(), product().gelu_tanh()]
                },
                [&product, &relu, &tanh, &gelu],
                1e-4,
            );
        }
    }
    judge.finish();
}

#[test]
fn rows_of_tables_keep_their_nan_and_no_other_row_gets_one() {
    let mut judge = Judge::default();
    for columns in [3, 4] {
        let mut table = noise(5 * columns, 1);
        table[2 * columns + 1] = NAN;
        let indices = [2.0, 0.0, 4.0, 2.0, 9.0];
        let row = |index: f64| (0..columns).map(move |c| index as usize * columns + c);
        let taken: Vec<f64> =
            indices.iter().flat_map(|&i| row(i)).map(|at| table.get(at).copied().unwrap_or(0.0)).collect();
        let mut added = vec![0.0; 5 * columns];
        for (source, &index) in indices.iter().enumerate() {
            for (c, at) in row(index).enumerate() {
                if let Some(sum) = added.get_mut(at) {
                    *sum += table[source * columns + c];
                }
            }
        }
        let inputs =
            [("table", TensorType::f32([5, columns]), &table[..]), ("indices", TensorType::u32([5]), &indices)];
        judge.expect(
            "rows of a table",
            &inputs,
            |_, t| [t[0].gather(t[1]), t[0].scatter_add(t[1], 5), t[0].reshape([5 * columns])],
            [&taken, &added, &table],
            1e-6,
        );
    }
    judge.finish();
}

#[test]
fn sums_and_means_pass_nan_on_and_keep_infinities() {
    let mut judge = Judge::default();
    for columns in [3, 4, 70, 260, 5_001] {
        for (first, last, expected) in [
            (NAN, 1.0, NAN),
            (1.0, -NAN, NAN),
            (INFINITY, 1.0, INFINITY),
            (1.0, -INFINITY, -INFINITY),
            (INFINITY, -INFINITY, NAN),
        ] {
            let mut row = noise(columns, 3);
            (row[0], row[columns - 1]) = (first, last);
            let inputs = [("x", TensorType::f32([1, columns]), &row[..])];
            let name = format!("sum of {columns} from {first} to {last}");
            judge.expect(&name, &inputs, |_, t| [t[0].sum(1), t[0].mean(1)], [&[expected], &[expected]], 0.0);
        }
    }
    judge.finish();
}

#[test]
fn dropout_passes_nan_on_even_where_it_drops() {
    let mut judge = Judge::default();
    for count in [63, 64] {
        let mut x = vec![NAN; count];
        x[..20].fill(0.0);
        let inputs = [("x", TensorType::f32([count]), &x[..]), ("seed", TensorType::u32([2]), &[5.0, 6.0])];
        judge.expect("dropout", &inputs, |_, t| [t[0].dropout(t[1], 0, 0.5)], [&x], 0.0);
    }
    judge.finish();
}

#[test]
fn an_ascent_along_a_nan_is_one() {
    let mut judge = Judge::default();
    for count in [7, 8] {
        let mut gradient = noise(count, 1);
        gradient[2] = NAN;
        let mut signs: Vec<f64> = gradient.iter().map(|g| g.signum() * 0.5).collect();
        signs[2] = NAN;
        let inputs = [("g", TensorType::f32([count]), &gradient[..])];
        judge.expect(
            "ascent",
            &inputs,
            |graph, t| {
                let (zero, rho, all) = (graph.full([count], 0.0), graph.constant(0.5), Adaptive::default());
                [zero.ascent(t[0], t[0].norm(), rho, all), zero.sign_ascent(t[0], rho, all)]
            },
            [&vec![NAN; count], &signs],
            1e-6,
        );
    }
    judge.finish();
}

#[test]
fn a_gradient_that_is_nan_makes_its_weight_one_and_no_other() {
    for count in [7, 8] {
        let graph = Graph::new();
        let kind = TensorType::f32([count]);
        let state = |name: &str| graph.state(name, Tag::Weights, kind.clone());
        let gradient = graph.input("gradient", kind.clone());
        let (rate, step) = (graph.constant(0.1), graph.state("step", Tag::Bookkeeping, TensorType::u32([])));
        graph.sgd(state("sgd"), state("velocity"), gradient, rate, (0.9, false, 0.1));
        let moments = [state("first"), state("second")];
        graph.adamw(state("adamw"), moments, gradient, rate, step, [0.9, 0.999, 1e-8, 0.1]);
        let mut given: Vec<f32> = noise(count, 1).iter().map(|&g| g as f32).collect();
        given[2] = f32::NAN;
        let values = Values::from([("gradient".to_string(), Data::F32(given))]);
        for target in [gpu().target(), Target::default()] {
            let plan = Plan::new(&graph, &target).unwrap();
            let mut session = Session::new(gpu(), plan.clone(), &values).unwrap();
            let mut twins = TwinSession::new(plan, &values).unwrap();
            session.submit(2).unwrap();
            twins.run(2);
            for name in ["sgd", "velocity", "adamw", "first", "second"] {
                for read in [session.read(name).unwrap(), twins.read(name).unwrap()] {
                    let nan: Vec<bool> = read.f32().iter().map(|x| x.is_nan()).collect();
                    let expected: Vec<bool> = (0..count).map(|index| index == 2).collect();
                    assert_eq!(nan, expected, "{name}");
                }
            }
        }
    }
}
