//! Linear operations over random shapes: `<A x, y> = <x, A^T y>`, where `A^T y` is the product with the Jacobian.

use fourfold::graph::{Graph, Reference, Tensor, TensorType, vector_jacobian};
use proptest::collection::vec;
use proptest::prelude::*;

use super::finite_differences::{assert_close, spread};

/// Checks `apply`, linear in its argument of `shape`, with its adjoint.
pub fn assert_adjoint(shape: &[usize], apply: impl for<'g> Fn(&'g Graph, Tensor<'g>) -> Tensor<'g>) {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32(shape));
    let image = apply(&graph, x);
    let y = graph.input("y", image.kind());
    let adjoint = vector_jacobian(&[image], &[y], &[x])[0].expect("the image depends on x");
    assert_eq!(graph.check(), Ok(()));
    assert_eq!(adjoint.kind(), x.kind());
    let reference = Reference::new([("x", spread(x.elements(), 1)), ("y", spread(y.elements(), 2))]);
    let products = reference.evaluate_all(&[image.dot(y), x.dot(adjoint)]).expect("values of x and y");
    assert_close("the products of an operation and its adjoint", &products[0], &products[1]);
}

fn shape() -> impl Strategy<Value = Vec<usize>> {
    vec(1..5usize, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn broadcasting_has_its_adjoint_as_gradient(target in shape(), kept in vec(any::<bool>(), 5), dropped in 0..3usize) {
        let dropped = dropped.min(target.len());
        let own: Vec<usize> =
            target.iter().zip(kept).skip(dropped).map(|(&length, kept)| if kept { length } else { 1 }).collect();
        assert_adjoint(&own, |_, x| x.broadcast_to(target.clone()));
    }

    #[test]
    fn permuting_has_its_adjoint_as_gradient(shape in shape(), turn in 0..5usize) {
        let mut axes: Vec<usize> = (0..shape.len()).collect();
        axes.rotate_left(turn % shape.len());
        axes.swap(0, turn % shape.len());
        assert_adjoint(&shape, |_, x| x.permute(&axes));
    }

    #[test]
    fn slicing_and_padding_has_its_adjoint_as_gradient(boxes in vec((0..3usize, 1..4usize, 0..3usize), 1..4)) {
        let starts: Vec<usize> = boxes.iter().map(|(start, _, _)| *start).collect();
        let inner: Vec<usize> = boxes.iter().map(|(_, length, _)| *length).collect();
        let outer: Vec<usize> = boxes.iter().map(|(start, length, rest)| start + length + rest).collect();
        assert_adjoint(&outer, |_, x| x.slice(&starts, inner.clone()));
        assert_adjoint(&inner, |_, x| x.pad(&starts, outer.clone()));
        // Many slices of one tensor, whether or not they overlap or divide it.
        assert_adjoint(&outer, |graph, x| {
            let parts: Vec<_> = (0..outer[0]).map(|row| x.narrow(0, row, 1 + (row * 7) % (outer[0] - row))).collect();
            graph.concatenate(&parts, 0)
        });
    }

    #[test]
    fn concatenating_has_its_adjoint_as_gradient(shape in shape(), lengths in vec(1..4usize, 1..4), axis in 0..4usize) {
        let axis = axis % shape.len();
        let whole: usize = lengths.iter().sum();
        let mut shape = shape;
        shape[axis] = whole;
        assert_adjoint(&shape, |graph, x| {
            let mut start = 0;
            let mut parts = Vec::new();
            for &length in &lengths {
                parts.push(x.narrow(axis, start, length));
                start += length;
            }
            parts.reverse();
            graph.concatenate(&parts, axis)
        });
    }

    #[test]
    fn views_that_overlap_at_random_have_their_adjoint_as_gradient(views in vec((0..4usize, 1..100usize), 1..6)) {
        assert_adjoint(&[300], |_, x| {
            let terms = views.iter().map(|&(block, length)| x.view(64 * block, [length]));
            terms.map(|view| view.pad(&[0], [100])).reduce(|a, b| a + b * 3.0).expect("at least one view")
        });
    }

    #[test]
    fn summing_has_its_adjoint_as_gradient(shape in shape(), axis in 0..4usize) {
        assert_adjoint(&shape, |_, x| x.sum(axis % shape.len()));
        assert_adjoint(&shape, |_, x| x.mean(axis % shape.len()));
    }

    #[test]
    fn products_with_a_matrix_on_either_side_have_their_adjoint_as_gradient(
        [m, k, n] in [1..5usize, 1..5, 1..5],
        batch in 1..4usize,
        shared in 0..3usize,
        [transpose_a, transpose_b] in [any::<bool>(), any::<bool>()],
    ) {
        let matrix = |rows, columns, transposed| if transposed { [columns, rows] } else { [rows, columns] };
        let with = |batched: bool, [rows, columns]: [usize; 2]| [if batched { batch } else { 1 }, rows, columns];
        let a = with(shared != 1, matrix(m, k, transpose_a));
        let b = with(shared != 2, matrix(k, n, transpose_b));
        assert_adjoint(&a, |graph, x| {
            x.matmul_transposed(ramp(graph, &b), transpose_a, transpose_b)
        });
        assert_adjoint(&b, |graph, x| {
            ramp(graph, &a).matmul_transposed(x, transpose_a, transpose_b)
        });
    }
}

/// A tensor whose elements are their own numbers, 0, 1, and so on.
pub fn ramp<'g>(graph: &'g Graph, shape: &[usize]) -> Tensor<'g> {
    let parts: Vec<_> = (0..shape.iter().product()).map(|index: usize| graph.full([1], index as f32)).collect();
    graph.concatenate(&parts, 0).reshape(shape)
}
