//! The measured shapes: for each class of each family, one in which every variant works at its best.

use fourfold::shaders::convolution::{self, Geometry, Map};
use fourfold::shaders::layout::scatter_add;
use fourfold::shaders::normalisation::{layer_norm, softmax};
use fourfold::shaders::{Activation, Choices, Family, Target, matmul};

use crate::commands::bench::problems::Problem;

/// A shape of a family of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A product of two matrices of `m` by `k` and of `k` by `n`.
    Product { m: usize, n: usize, k: usize },
    /// A convolution of 3 by 3 taps, and its input gradient.
    Convolution { images: usize, side: usize, channels: usize },
    /// The weight gradient of the same.
    WeightGradient { images: usize, side: usize, channels: usize },
    /// Softmax and layer norm over rows.
    Rows { rows: usize, columns: usize },
    /// As many rows added as the table has.
    ScatterAdd { rows: usize },
}

impl Shape {
    /// Returns the family whose variants compute it.
    pub fn family(self) -> Family {
        match self {
            Self::Product { .. } => Family::MatrixProduct,
            Self::Convolution { .. } => Family::Convolution,
            Self::WeightGradient { .. } => Family::WeightGradient,
            Self::Rows { .. } => Family::Rows,
            Self::ScatterAdd { .. } => Family::ScatterAdd,
        }
    }

    /// Returns it in words.
    pub fn name(self) -> String {
        match self {
            Self::Product { m, n, k } => format!("{m} x {n} x {k}"),
            Self::Convolution { images, side, channels } | Self::WeightGradient { images, side, channels } => {
                format!("{images} x {side} x {side} x {channels}")
            }
            Self::Rows { rows, columns } => format!("{rows} x {columns}"),
            Self::ScatterAdd { rows } => format!("{rows} into {rows}"),
        }
    }

    /// Returns the operations on it, in the variants that a target leads to.
    pub fn problems(self, target: &Target) -> Vec<Problem> {
        let named = |name: &str, sequence, bound| Problem::new(name, self.name(), sequence, bound);
        let plain = Map::Output { bias: false, activation: Activation::None };
        let map = |[images, side, channels]: [usize; 3], map| {
            let geometry = Geometry::square([images, side, side, channels], channels, 3, 1, 1);
            convolution::Problem::new(geometry, map).sequence(target)
        };
        match self {
            Self::Product { m, n, k } => {
                vec![named("matrix product", matmul::Problem::new(m, n, k).sequence(target), 1)]
            }
            Self::Convolution { images, side, channels } => {
                let shape = [images, side, channels];
                vec![
                    named("convolution", map(shape, plain), 1),
                    named("convolution, input gradient", map(shape, Map::InputGradient), 1),
                ]
            }
            Self::WeightGradient { images, side, channels } => {
                vec![named("weight gradient", map([images, side, channels], Map::WeightGradient), 1)]
            }
            Self::Rows { rows, columns } => vec![
                named("softmax", softmax::Problem { rows, columns, log: false }.sequence(target), 1),
                named("layer norm", layer_norm::Problem { rows, columns, epsilon: 1e-5 }.sequence(target), 1),
            ],
            Self::ScatterAdd { rows } => {
                let problem = scatter_add::Problem { rows, columns: 64, count: rows };
                vec![named("scatter-add", problem.sequence(target), rows as u32)]
            }
        }
    }

    /// Returns the target on which a variant is chosen wherever it suits.
    pub fn forced(self, target: &Target, variant: usize) -> Target {
        Target { choices: Choices::NONE.with_all(self.family(), variant), ..*target }
    }
}

/// A ragged shape of a family, small enough for the twins, on which its variants are verified.
pub fn proof(family: Family) -> Shape {
    match family {
        Family::MatrixProduct => Shape::Product { m: 120, n: 125, k: 37 },
        Family::Convolution => Shape::Convolution { images: 3, side: 9, channels: 9 },
        Family::WeightGradient => Shape::WeightGradient { images: 3, side: 9, channels: 9 },
        Family::Rows => Shape::Rows { rows: 67, columns: 518 },
        Family::ScatterAdd => Shape::ScatterAdd { rows: 150 },
    }
}

/// Lists the shapes of a family, one for each of its classes that matter on a target, the smallest first.
pub fn shapes(family: Family, target: &Target, quick: bool) -> Vec<Shape> {
    // A GPU does in a millisecond the work of a software driver's second.
    let only = |few: &'static [usize], software: &'static [usize], gpu: &'static [usize]| match target.software {
        _ if quick => few,
        true => software,
        false => gpu,
    };
    let convolutions: &[[usize; 3]] =
        &[[1, 8, 16], [1, 16, 16], [2, 16, 32], [8, 16, 32], [8, 32, 32], [16, 32, 64], [64, 32, 64], [64, 64, 64]];
    match family {
        Family::MatrixProduct => {
            let sides = only(&[64, 256], &[32, 64, 128, 256, 512, 1024], &[64, 128, 256, 512, 1024, 2048, 4096]);
            sides.iter().map(|&side| Shape::Product { m: side, n: side, k: side.clamp(64, 1024) }).collect()
        }
        Family::Convolution => {
            let chosen = only(&[1], &[0, 1, 2, 3, 4, 5], &[0, 1, 2, 3, 4, 5, 6, 7]).iter();
            let shape = |[images, side, channels]: [usize; 3]| Shape::Convolution { images, side, channels };
            chosen.map(|&index| shape(convolutions[index])).collect()
        }
        Family::WeightGradient => {
            let channels = only(&[16], &[8, 16, 32, 64, 128], &[8, 16, 32, 64, 128, 256, 512]);
            let images = if target.software { 4 } else { 64 };
            channels.iter().map(|&channels| Shape::WeightGradient { images, side: 16, channels }).collect()
        }
        Family::Rows => {
            let columns = only(&[128], &[8, 32, 128, 512, 2048, 8192], &[8, 32, 128, 512, 2048, 8192, 32_768]);
            let elements: usize = if target.software { 1 << 18 } else { 1 << 24 };
            columns.iter().map(|&columns| Shape::Rows { rows: (elements / columns).max(64), columns }).collect()
        }
        Family::ScatterAdd => {
            let rows = only(&[64], &[32, 64, 128, 256, 512, 1024, 2048], &[32, 64, 128, 256, 512, 1024, 2048, 4096]);
            rows.iter().map(|&rows| Shape::ScatterAdd { rows }).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SOFTWARE: Target = Target {
        subgroups: Some((8, 8)),
        software: true,
        workgroup_memory: 16 << 10,
        workgroup_invocations: 256,
        choices: Choices::NONE,
    };

    #[test]
    fn every_shape_is_of_a_class_of_its_own_and_has_variants_to_choose_between() {
        for target in [SOFTWARE, Target::default()] {
            for family in Family::ALL {
                let mut classes = BTreeSet::new();
                for shape in shapes(family, &target, false) {
                    let chosen =
                        |variant| shape.problems(&shape.forced(&target, variant))[0].sequence.steps[0].call.choice();
                    let choices: Vec<_> = (0..family.variants().len()).filter_map(chosen).collect();
                    assert!(choices.len() >= 2, "{shape:?}");
                    assert!(classes.insert(choices[0].class), "{shape:?} has the class of another");
                }
            }
        }
    }
}
