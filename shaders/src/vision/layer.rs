//! The attention neuron that sees (Tang & Ha 2021): every patch of a picture is an input of one sensory neuron, and the message
//! is the same for every order of the patches.

use crate::rollout::policies::attention_neuron::{Part, affine, cut, position_table};
use crate::{Error, MAX_ELEMENTS, Sizes, product, sum};

/// The sizes and switches of the layer. For a stack of grey pictures `x_1 .. x_k` from 0 to 1, the oldest first, cut into patches
/// `i` of `patch * patch` pixels, and the previous action `a`:
///
/// ```text
/// K_i  = W_k [x_2i - x_1i, .., x_ki - x_(k-1)i, a] + b_k          what has changed
/// V_i  = W_v [norm(x_1i), .., norm(x_ki)] + b_v                   each frame of a patch normalised by itself
/// A_mi = softmax over the patches of (W_q p_m + b_q) . K_i / sqrt(dimension)
/// m    = norm(relu(A V))                                          (messages, dimension)
/// ```
///
/// `p_m` is row `m` of a fixed sinusoidal table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisionNeuron {
    /// Rows of a picture, a multiple of the patch.
    pub rows: usize,
    /// Columns of a picture, a multiple of the patch.
    pub columns: usize,
    /// The side of a patch in pixels.
    pub patch: usize,
    /// Frames of a stack.
    pub stack: usize,
    /// Numbers of the previous action in a key, 0 for none.
    pub actions: usize,
    /// M: rows of a message.
    pub messages: usize,
    /// Columns of the table of positions.
    pub positions: usize,
    /// The length of queries, keys and values.
    pub dimension: usize,
    /// True if keys have a bias.
    pub key_bias: bool,
    /// True if the differences of a patch are flattened with time fastest: row, column, time instead of time, row, column.
    pub time_last: bool,
    /// True if both normalisations have learned factors and offsets.
    pub learned_norms: bool,
}

/// The number that layer normalisation adds to a variance.
pub(crate) const NORM_EPSILON: f64 = 1e-5;

impl VisionNeuron {
    /// The layer of the published network for CarRacing: 4,256 parameters.
    pub const fn car_racing() -> Self {
        Self {
            rows: 96,
            columns: 96,
            patch: 6,
            stack: 4,
            actions: 3,
            messages: 1_024,
            positions: 8,
            dimension: 16,
            key_bias: true,
            time_last: true,
            learned_norms: false,
        }
    }

    /// The layer of the paper's network for Pong: 8,744 parameters.
    pub const fn pong() -> Self {
        Self {
            rows: 84,
            columns: 84,
            actions: 6,
            messages: 400,
            dimension: 32,
            time_last: false,
            learned_norms: true,
            ..Self::car_racing()
        }
    }

    /// Patches of a picture.
    pub fn patches(&self) -> usize {
        (self.rows / self.patch.max(1)).saturating_mul(self.columns / self.patch.max(1))
    }

    /// Pixels of a patch.
    pub fn pixels(&self) -> usize {
        product(&[self.patch, self.patch])
    }

    /// Numbers that a key is made of.
    pub(crate) fn key_inputs(&self) -> usize {
        sum(&[product(&[self.stack.saturating_sub(1), self.pixels()]), self.actions])
    }

    /// The length of the flat vector of weights, `usize::MAX` where it is larger.
    pub fn parameters(&self) -> usize {
        let Self { dimension, positions, stack, .. } = *self;
        let value_inputs = product(&[stack, self.pixels()]);
        let norms = if self.learned_norms { sum(&[product(&[2, self.pixels()]), product(&[2, dimension])]) } else { 0 };
        sum(&[
            product(&[dimension, sum(&[positions, 1])]),
            product(&[dimension, sum(&[self.key_inputs(), self.key_bias.into()])]),
            product(&[dimension, sum(&[value_inputs, 1])]),
            norms,
        ])
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// The first size out of range.
    pub fn check(&self) -> Result<(), Error> {
        self.sizes_fit().map(drop)
    }

    pub(crate) fn sizes_fit(&self) -> Result<Sizes, Error> {
        let Self { rows, columns, patch, stack, messages, positions, dimension, .. } = *self;
        let sizes = [
            ("rows", rows),
            ("columns", columns),
            ("messages", messages),
            ("positions", positions),
            ("dimension", dimension),
        ];
        let mut checked = Sizes("vision neuron").positive(&sizes)?;
        // n^2 times the variance of n bytes, the difference of two sums that wrap around, fits 32 bits up to 22 * 22 of them, and
        // four bytes share a word.
        checked = checked.expect("patch", (1..=22).contains(&patch), "1 to 22", patch)?;
        checked = checked.expect("stack", (2..=4).contains(&stack), "2 to 4", stack)?;
        for (name, size) in [("rows", rows), ("columns", columns)] {
            checked = checked.expect(name, size.is_multiple_of(patch), format_args!("a multiple of {patch}"), size)?;
        }
        for (name, size) in
            [("messages", messages), ("dimension", dimension), ("rows * columns", product(&[rows, columns]))]
        {
            checked = checked.expect(name, size.is_multiple_of(4), "a multiple of 4", size)?;
        }
        checked = checked.expect("dimension", dimension <= 64, "at most 64", dimension)?;
        checked = checked.expect("positions", positions <= 64, "at most 64", positions)?;
        checked = checked.expect("messages", messages <= 4_096, "at most 4096", messages)?;
        checked = checked.expect("patches", self.patches() <= 4_096, "at most 4096", self.patches())?;
        let parameters = self.parameters();
        checked.expect("parameters", parameters <= MAX_ELEMENTS, format_args!("at most {MAX_ELEMENTS}"), parameters)
    }

    /// The tensors of the flat vector of weights in the order of the published checkpoints.
    ///
    /// # Panics
    /// If [`check`](Self::check) refuses the sizes.
    pub fn parts(&self) -> Vec<Part> {
        self.expect_sizes();
        let Self { dimension, positions, stack, .. } = *self;
        let (pixels, mut parts) = (self.pixels(), Vec::new());
        let mut part = |name: &str, shape: &[usize]| parts.push(Part { name: name.into(), shape: shape.to_vec() });
        part("query.weight", &[dimension, positions]);
        part("query.bias", &[dimension]);
        part("key.weight", &[dimension, self.key_inputs()]);
        if self.key_bias {
            part("key.bias", &[dimension]);
        }
        part("value.weight", &[dimension, stack * pixels]);
        part("value.bias", &[dimension]);
        if self.learned_norms {
            part("input_norm.weight", &[pixels]);
            part("input_norm.bias", &[pixels]);
            part("output_norm.weight", &[dimension]);
            part("output_norm.bias", &[dimension]);
        }
        parts
    }

    #[track_caller]
    pub(crate) fn expect_sizes(&self) {
        if let Err(error) = self.check() {
            panic!("{error}");
        }
    }

    /// The fixed table of positions, `(messages, positions)`.
    pub fn position_table(&self) -> Vec<f64> {
        position_table(self.messages, self.positions)
    }

    /// Patch `index` (row-major over the grid) of a picture of bytes `(rows, columns)`, its pixels row-major.
    pub fn patch_of<'a>(&self, picture: &'a [u8], index: usize) -> impl Iterator<Item = u8> + 'a {
        let Self { columns, patch, .. } = *self;
        let across = columns / patch;
        let first = (index / across * columns + index % across) * patch;
        (0..patch * patch).map(move |pixel| picture[first + pixel / patch * columns + pixel % patch])
    }

    /// The message `(messages, dimension)` for a stack of pictures of bytes, the oldest first, each `(rows, columns)`, in the
    /// plain form of the equations. `keep` says which patches there are at all: the others are absent, not black.
    /// `attention` receives A, `(messages, patches)`.
    ///
    /// # Panics
    /// If a slice has another length than its shape says, or [`check`](Self::check) refuses the sizes.
    pub fn message(
        &self,
        weights: &[f64],
        frames: &[&[u8]],
        previous_action: &[f64],
        keep: Option<&[bool]>,
        mut attention: Option<&mut [f64]>,
    ) -> Vec<f64> {
        let tensors = self.split(weights);
        let Self { stack, dimension, positions, .. } = *self;
        assert_eq!(frames.len(), stack, "the frames of a stack");
        assert_eq!(previous_action.len(), self.actions, "the previous action");
        let patches = self.patches();
        let kept: Vec<usize> = (0..patches).filter(|&patch| keep.is_none_or(|keep| keep[patch])).collect();
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for &patch in &kept {
            let seen: Vec<Vec<f64>> = frames
                .iter()
                .map(|frame| self.patch_of(frame, patch).map(|byte| f64::from(byte) / 255.0).collect())
                .collect();
            let changes = self.changes(&seen);
            keys.push(affine(tensors.key, tensors.key_bias, &[&changes[..], previous_action].concat()));
            let normalised: Vec<f64> =
                seen.iter().flat_map(|frame| normalised(frame, tensors.input_norm[0], tensors.input_norm[1])).collect();
            values.push(affine(tensors.value, tensors.value_bias, &normalised));
        }
        let mut messages = Vec::with_capacity(self.messages * dimension);
        for (row, position) in self.position_table().chunks_exact(positions).enumerate() {
            let query = affine(tensors.query, tensors.query_bias, position);
            let score =
                |key: &Vec<f64>| query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>() / (dimension as f64).sqrt();
            let scores: Vec<f64> = keys.iter().map(score).collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
            let mut summed = vec![0.0; dimension];
            for ((score, value), &patch) in scores.iter().zip(&values).zip(&kept) {
                let share = (score - largest).exp() / total;
                summed.iter_mut().zip(value).for_each(|(sum, value)| *sum += share * value);
                if let Some(attention) = &mut attention {
                    attention[row * patches + patch] = share;
                }
            }
            let positive: Vec<f64> = summed.iter().map(|sum| sum.max(0.0)).collect();
            messages.extend(normalised(&positive, tensors.output_norm[0], tensors.output_norm[1]));
        }
        messages
    }

    /// The differences of the frames of a patch in the order in which the key takes them.
    fn changes(&self, frames: &[Vec<f64>]) -> Vec<f64> {
        let (times, pixels) = (self.stack - 1, self.pixels());
        let change = |time: usize, pixel: usize| frames[time + 1][pixel] - frames[time][pixel];
        let place = |index: usize| {
            if self.time_last { change(index % times, index / times) } else { change(index / pixels, index % pixels) }
        };
        (0..times * pixels).map(place).collect()
    }

    pub(crate) fn split<'a>(&self, weights: &'a [f64]) -> Tensors<'a> {
        self.expect_sizes();
        let Self { dimension, positions, stack, .. } = *self;
        assert_eq!(weights.len(), self.parameters(), "the flat vector of weights");
        let mut take = cut(weights);
        let norm = |length: usize| if self.learned_norms { length } else { 0 };
        Tensors {
            query: take(dimension * positions),
            query_bias: take(dimension),
            key: take(dimension * self.key_inputs()),
            key_bias: take(if self.key_bias { dimension } else { 0 }),
            value: take(dimension * stack * self.pixels()),
            value_bias: take(dimension),
            input_norm: std::array::from_fn(|_| take(norm(self.pixels()))),
            output_norm: std::array::from_fn(|_| take(norm(dimension))),
        }
    }
}

/// The flat vector cut into its tensors; absent ones are empty.
pub(crate) struct Tensors<'a> {
    pub query: &'a [f64],
    pub query_bias: &'a [f64],
    pub key: &'a [f64],
    pub key_bias: &'a [f64],
    pub value: &'a [f64],
    pub value_bias: &'a [f64],
    pub input_norm: [&'a [f64]; 2],
    pub output_norm: [&'a [f64]; 2],
}

/// Layer normalisation; empty factors and offsets are none.
fn normalised(x: &[f64], factors: &[f64], offsets: &[f64]) -> Vec<f64> {
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    let scale = 1.0 / (variance + NORM_EPSILON).sqrt();
    let one = |(index, x): (usize, &f64)| {
        (x - mean) * scale * factors.get(index).unwrap_or(&1.0) + offsets.get(index).unwrap_or(&0.0)
    };
    x.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests;
