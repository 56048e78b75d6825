//! Convolutions, batch norm and pooling in the middle of a graph, and the adjoints of those that are linear.

use fourfold::graph::{AugmentOptions, ConvolutionOptions, PoolOptions, TensorType, vector_jacobian};
use proptest::prelude::*;

use super::finite_differences::{Case, spread};
use super::properties::{assert_adjoint, ramp};
use super::rules::bent;

/// The cases of operations on images.
pub fn images() -> Vec<Case> {
    vec![
        Case::new("convolution", &[&[2, 3, 4, 2], &[3, 2, 2, 3]], |_, x| {
            bent(x[0]).convolution(bent(x[1]), ConvolutionOptions::new(1, 1))
        }),
        Case::new("strided convolution with uneven padding", &[&[1, 5, 4, 2], &[3, 3, 2, 2]], |_, x| {
            bent(x[0]).convolution(bent(x[1]), ConvolutionOptions::same(2, [5, 4], [3, 3]))
        }),
        Case::new("convolution in groups", &[&[1, 3, 3, 4], &[2, 2, 2, 6]], |_, x| {
            let options = ConvolutionOptions { groups: 2, ..ConvolutionOptions::new(1, 0) };
            bent(x[0]).convolution(bent(x[1]), options)
        }),
        Case::new("depthwise convolution", &[&[1, 4, 3, 3], &[2, 3, 1, 3]], |_, x| {
            let options = ConvolutionOptions { groups: 3, ..ConvolutionOptions::new(2, 1) };
            bent(x[0]).convolution(bent(x[1]), options)
        }),
        Case::new("convolution of one tap", &[&[2, 2, 3, 2], &[1, 1, 2, 3]], |_, x| {
            bent(x[0]).convolution(bent(x[1]), ConvolutionOptions::new(1, 0))
        }),
        Case::new("batch norm", &[&[2, 2, 2, 3], &[3], &[3]], |_, x| {
            bent(x[0]).batch_norm(bent(x[1]), bent(x[2]), 1e-2).y
        }),
        Case::new("batch norm with statistics", &[&[5, 2], &[2], &[2]], |_, x| {
            let norm = bent(x[0]).batch_norm(bent(x[1]), bent(x[2]), 1e-2);
            norm.y * norm.mean + norm.variance
        }),
        Case::new("group norm", &[&[2, 2, 2, 4], &[4], &[4]], |_, x| {
            bent(x[0]).group_norm(2, bent(x[1]), bent(x[2]), 1e-2)
        }),
        Case::new("max pool", &[&[2, 4, 5, 2]], |_, x| {
            bent(x[0]).max_pool(PoolOptions { kernel: [3, 2], strides: [2, 1], padding: [1, 1] })
        }),
        // The gradient of a max pooling's gradient for what it is linear in.
        Case::new("elements that a max pool chose", &[&[1, 3, 4, 2]], |graph, x| {
            let largest = x[1].max_pool(PoolOptions::new(2));
            let dy = graph.full(largest.shape(), 1.0);
            let gradient = vector_jacobian(&[largest], &[dy], &[x[1]])[0].expect("a gradient");
            vector_jacobian(&[gradient], &[bent(x[0])], &[dy])[0].expect("elements")
        })
        .with(TensorType::f32([1, 3, 4, 2]), spread(24, 3)),
        // Augmented images count as constants.
        Case::new("augmented images", &[&[2, 3, 4, 2]], |_, x| {
            let options = AugmentOptions { crop: 2, mirror: true, hole: 2, hole_of_batch: false };
            let reflected = x[1].augment(x[3], 5, options, None);
            bent(x[0]) * (reflected + x[1].augment(x[3], 6, options, Some(x[2])))
        })
        .with(TensorType::f32([2, 3, 4, 2]), spread(48, 3))
        .with(TensorType::f32([3, 4, 2]), spread(24, 5))
        .with(TensorType::u32([2]), vec![8.0, 3.0]),
        // So do recorded frames, whose bytes are no numbers to differentiate by.
        Case::new("recorded frames", &[&[2, 4, 2]], |_, x| bent(x[0]) * x[1].frames(x[2], x[3], 2, 0))
            .with(TensorType::u32([3, 1]), vec![2_151_686_160.0, 16_909_060.0, 4_278_190_335.0])
            .with(TensorType::u32([2]), vec![1.0, 2.0])
            .with(TensorType::u32([2]), vec![1.0, 0.0]),
        Case::new("average pool", &[&[2, 4, 5, 2]], |_, x| {
            bent(x[0]).average_pool(PoolOptions { kernel: [3, 2], strides: [2, 1], padding: [1, 1] })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_have_their_adjoints_as_gradients(
        [rows, columns] in [1..6usize, 1..6],
        [kernel_rows, kernel_columns] in [1..4usize, 1..4],
        strides in [1..4usize, 1..4],
        [above, below, left, right] in [0..3usize, 0..3, 0..3, 0..3],
        [groups, channels, outputs] in [1..3usize, 1..3, 1..3],
    ) {
        prop_assume!(rows + above + below >= kernel_rows && columns + left + right >= kernel_columns);
        let options = ConvolutionOptions { strides, rows: [above, below], columns: [left, right], groups };
        let x = [2, rows, columns, groups * channels];
        let w = [kernel_rows, kernel_columns, channels, groups * outputs];
        assert_adjoint(&x, |graph, x| x.convolution(ramp(graph, &w), options));
        assert_adjoint(&w, |graph, w| ramp(graph, &x).convolution(w, options));
    }
}
