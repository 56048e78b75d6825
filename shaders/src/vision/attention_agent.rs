//! The AttentionAgent (Tang, Nguyen & Ha 2020), which the attention neuron is compared with: the patches of a picture vote for
//! each other, and a small LSTM steers by where the first few lie. Their order is all it knows, so it is lost where they are
//! shuffled.

use super::ABSENT;
use super::driving::{importance, remember, top};
use crate::rollout::policies::attention_neuron::{Part, affine, cut};
use crate::rollout::unroll::PictureSize;
use crate::{Error, Sizes, product, sum};

/// The sizes of the network. One step, for the patches `x_i` of a picture, row by row over the grid: `patch * patch` pixels,
/// each `stride` pixels from the next, their channels side by side and from 0 to 1:
///
/// ```text
/// P    = softmax over j of (W_a x_i + b_a) . (W_b x_j + b_b) / sqrt(vote)
/// i_1 .. i_top                           the largest of the column sums of P, the first patch first among equals
/// h, c = LSTM([row, column of the middle of i_1, ..] / size, h, c)
/// a    = tanh(W h + b)
/// ```
///
/// The middle of a patch is `patch / 2`, rounded down, below and to the right of its first pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionAgent {
    /// Rows and columns of a picture.
    pub size: usize,
    /// Numbers of a pixel: 1 or 3.
    pub channels: usize,
    /// The side of a patch in pixels.
    pub patch: usize,
    /// Pixels from a patch to the next; patches overlap where it is less than their side.
    pub stride: usize,
    /// The side of the squares by which a picture is shuffled before it is seen: patches that overlap cannot be.
    pub block: usize,
    /// The length of the vote's queries and keys.
    pub vote: usize,
    /// Places that are chosen.
    pub top: usize,
    /// The length of the LSTM's state.
    pub hidden: usize,
    /// Numbers in an action.
    pub actions: usize,
}

/// The memory of the network between two steps of an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentMemory {
    /// The hidden state of the LSTM.
    pub hidden: Vec<f64>,
    /// The cell state of the LSTM.
    pub cell: Vec<f64>,
}

impl AttentionAgent {
    /// The published network for CarRacing: 3,667 parameters.
    pub const fn car_racing() -> Self {
        Self { size: 96, channels: 3, patch: 7, stride: 4, block: 6, vote: 4, top: 10, hidden: 16, actions: 3 }
    }

    /// A small one, for pictures of 48 x 48 in 64 patches that do not overlap: 2,715 parameters.
    pub const fn small() -> Self {
        Self { size: 48, patch: 6, stride: 6, top: 5, ..Self::car_racing() }
    }

    /// The size of its pictures.
    pub const fn picture(&self) -> PictureSize {
        PictureSize { rows: self.size, columns: self.size, channels: self.channels }
    }

    /// Patches in a row, and rows of patches.
    pub fn side(&self) -> usize {
        self.size.checked_sub(self.patch).map_or(0, |rest| rest / self.stride.max(1) + 1)
    }

    /// Patches of a picture.
    pub fn patches(&self) -> usize {
        product(&[self.side(), self.side()])
    }

    /// Squares by which a picture is shuffled, in a row.
    pub(super) fn blocks_across(&self) -> usize {
        self.size / self.block.max(1)
    }

    /// Squares by which a picture is shuffled, row by row.
    pub fn blocks(&self) -> usize {
        product(&[self.blocks_across(), self.blocks_across()])
    }

    /// Numbers of a patch.
    pub(super) fn inputs(&self) -> usize {
        product(&[self.channels, self.patch, self.patch])
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// The first size out of range.
    pub fn check(&self) -> Result<(), Error> {
        let Self { size, channels, patch, stride, block, vote, top, hidden, actions } = *self;
        Sizes("attention agent")
            .positive(&[("size", size), ("top", top), ("hidden", hidden), ("actions", actions)])?
            .expect("size", size <= 1_024, "at most 1024", size)?
            .expect("channels", [1, 3].contains(&channels), "1 or 3", channels)?
            .expect("patch", (1..=size.min(16)).contains(&patch), "1 to 16 and within the picture", patch)?
            .expect("stride", (1..=size).contains(&stride), format_args!("1 to {size}"), stride)?
            .expect("block", block > 0 && size.is_multiple_of(block), format_args!("a divisor of {size}"), block)?
            .expect("patches", self.patches() <= 1_024, "at most 1024", self.patches())?
            .expect("vote", vote == 4, "4", vote)?
            .expect("top", top <= self.patches().min(32), "at most 32 and the patches", top)?
            .expect("hidden", hidden <= 64, "at most 64", hidden)?
            .expect("actions", actions <= 16, "at most 16", actions)?;
        Ok(())
    }

    /// The length of the flat vector of weights.
    pub fn parameters(&self) -> usize {
        self.parts().iter().fold(0, |total, part| sum(&[total, product(&part.shape)]))
    }

    /// The tensors of the flat vector of weights in the order of the published checkpoints.
    pub fn parts(&self) -> Vec<Part> {
        let Self { vote, top, hidden, actions, .. } = *self;
        let (inputs, gates) = (self.inputs(), product(&[4, hidden]));
        [
            ("vote.query.weight", vec![vote, inputs]),
            ("vote.query.bias", vec![vote]),
            ("vote.key.weight", vec![vote, inputs]),
            ("vote.key.bias", vec![vote]),
            ("lstm.weight_ih", vec![gates, product(&[2, top])]),
            ("lstm.weight_hh", vec![gates, hidden]),
            ("lstm.bias_ih", vec![gates]),
            ("lstm.bias_hh", vec![gates]),
            ("head.weight", vec![actions, hidden]),
            ("head.bias", vec![actions]),
        ]
        .map(|(name, shape)| Part { name: name.into(), shape })
        .into()
    }

    /// The memory at the start of an episode.
    pub fn blank(&self) -> AgentMemory {
        AgentMemory { hidden: vec![0.0; self.hidden], cell: vec![0.0; self.hidden] }
    }

    /// The picture whose squares are those of a wiring, `(blocks)`: the square that is seen in each place, black where
    /// [`ABSENT`] is added.
    ///
    /// # Panics
    /// If a slice has another length than its shape says.
    pub fn shuffled(&self, picture: &[u8], wiring: &[u32]) -> Vec<u8> {
        let (size, block, across) = (self.size, self.block, self.blocks_across());
        assert_eq!(picture.len(), size * size * self.channels, "the bytes of a picture");
        let mut shuffled = Vec::with_capacity(picture.len());
        for (row, column) in (0..size).flat_map(|row| (0..size).map(move |column| (row, column))) {
            let wired = wiring[row / block * across + column / block];
            let source = ((wired & !ABSENT) as usize).min(across * across - 1);
            let (row, column) = (source / across * block + row % block, source % across * block + column % block);
            let pixel = &picture[(row * size + column) * self.channels..][..self.channels];
            shuffled.extend(pixel.iter().map(|&byte| if wired < ABSENT { byte } else { 0 }));
        }
        shuffled
    }

    /// The bytes of a patch, row by row, the channels of a pixel side by side.
    pub(super) fn patch_of<'a>(&self, picture: &'a [u8], index: usize) -> impl Iterator<Item = u8> + 'a {
        let Self { size, channels, patch, stride, .. } = *self;
        let (top, left) = (index / self.side() * stride, index % self.side() * stride);
        let row = move |row: usize| &picture[((top + row) * size + left) * channels..][..patch * channels];
        (0..patch).flat_map(move |pixels| row(pixels).iter().copied())
    }

    /// One step for a picture of bytes, `(size, size, channels)`: the action, each number from -1 to 1.
    ///
    /// # Panics
    /// If a slice has another length than its shape says.
    pub fn act(&self, weights: &[f64], picture: &[u8], memory: &mut AgentMemory) -> Vec<f64> {
        let importance = self.importance(weights, picture);
        self.decide(weights, &top(&importance, self.top), memory)
    }

    /// The importance of each patch, `(patches)`: the column sums of P.
    ///
    /// # Panics
    /// If a slice has another length than its shape says.
    pub fn importance(&self, weights: &[f64], picture: &[u8]) -> Vec<f64> {
        let tensors = self.split(weights);
        let project = |weight, bias| -> Vec<Vec<f64>> {
            let patch = |index| self.patch_of(picture, index).map(|byte| f64::from(byte) / 255.0).collect::<Vec<_>>();
            (0..self.patches()).map(|index| affine(weight, bias, &patch(index))).collect()
        };
        let scale = 1.0 / (self.vote as f64).sqrt();
        importance(&project(tensors[0], tensors[1]), &project(tensors[2], tensors[3]), scale)
    }

    /// The action for the chosen patches, and the memory after it.
    ///
    /// # Panics
    /// If a slice has another length than its shape says.
    pub fn decide(&self, weights: &[f64], chosen: &[usize], memory: &mut AgentMemory) -> Vec<f64> {
        let tensors = self.split(weights);
        let middle = |place: usize| (self.patch / 2 + place * self.stride) as f64 / self.size as f64;
        let places: Vec<f64> =
            chosen.iter().flat_map(|place| [place / self.side(), place % self.side()]).map(middle).collect();
        remember(std::array::from_fn(|tensor| tensors[4 + tensor]), &places, &mut memory.hidden, &mut memory.cell);
        affine(tensors[8], tensors[9], &memory.hidden).into_iter().map(f64::tanh).collect()
    }

    /// The flat vector cut into its tensors.
    fn split<'a>(&self, weights: &'a [f64]) -> Vec<&'a [f64]> {
        assert_eq!(weights.len(), self.parameters(), "the flat vector of weights");
        let mut take = cut(weights);
        self.parts().into_iter().map(|part| take(part.shape.iter().product())).collect()
    }
}

#[cfg(test)]
mod tests;
