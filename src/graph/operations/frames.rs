//! Stacks of recorded frames.

use fourfold_shaders::trajectories::frames::Problem;
use fourfold_shaders::{Element, Sequence, Target};

use crate::graph::operation::Operation;
use crate::graph::{Tensor, TensorType};

/// (`u32` table (frames, words), `u32` rows (count), `u32` times (count)) to (count, 4 words, stack).
#[derive(Debug)]
struct Frames {
    stack: usize,
    lead: usize,
}

impl Operation for Frames {
    fn name(&self) -> &'static str {
        "frames"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [table, rows, times]
                if table.element == Element::U32
                    && table.shape.rank() == 2
                    && rows.element == Element::U32
                    && rows.shape.rank() == 1
                    && times == rows
                    && self.stack > 0 =>
            {
                Ok(vec![TensorType::f32([rows.shape[0], table.shape[1].saturating_mul(4), self.stack])])
            }
            _ => Err(
                "takes a U32 table (frames, words), U32 rows (count) and times (count), and stacks of a frame or more"
                    .into(),
            ),
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let (table, count) = (&inputs[0].shape, inputs[1].shape[0]);
        let problem = Problem { rows: table[0], words: table[1], count, stack: self.stack, lead: self.lead };
        Ok(problem.sequence(target)?)
    }
}

impl<'g> Tensor<'g> {
    /// Stacks of `stack` frames of this table, `u32 (frames, words)` of four pixels a word, the newest of each named by
    /// `rows: u32 (count)`: numbers from 0 to 1, `(count, pixels, stack)`, the newest frame last. Frames from before the
    /// episode, whose steps `times: u32 (count)` counts, are zeros, and so are stacks whose row is below `lead` or past the
    /// table.
    #[track_caller]
    pub fn frames(self, rows: Tensor<'g>, times: Tensor<'g>, stack: usize, lead: usize) -> Self {
        self.graph().fused(Frames { stack, lead }, &[self, rows, times])
    }
}
