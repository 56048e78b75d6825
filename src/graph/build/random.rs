//! Random tensors. A stream tells sites of one graph apart; the seed `u32 (2)` holds the key and the step.

use fourfold_shaders::Element;

use crate::graph::{Op, Shape, Tensor, TensorType};

impl<'g> Tensor<'g> {
    #[track_caller]
    pub(super) fn check_seed(self, operation: &'static str) -> Result<(), Tensor<'g>> {
        if self.is_poisoned() {
            return Err(self);
        }
        if self.element() != Element::U32 || self.shape() != Shape::from([2]) {
            return Err(self.graph().fail(operation, format!("the seed must be u32 [2], got {self:?}")));
        }
        Ok(())
    }

    /// Uniform numbers in [0, 1) from this seed.
    #[track_caller]
    pub fn uniform(self, stream: u32, shape: impl Into<Shape>) -> Self {
        match self.check_seed("uniform") {
            Ok(()) => self.graph().add(Op::Uniform { stream }, &[self], [TensorType::f32(shape)]),
            Err(failure) => failure,
        }
    }

    /// Normal deviates from this seed.
    #[track_caller]
    pub fn normal(self, stream: u32, shape: impl Into<Shape>) -> Self {
        match self.check_seed("normal") {
            Ok(()) => self.graph().add(Op::Normal { stream }, &[self], [TensorType::f32(shape)]),
            Err(failure) => failure,
        }
    }

    /// This tensor with a share `rate` of its elements zeroed and the others scaled by `1 / (1 - rate)`. The mask
    /// depends on seed and stream alone, so a second pass with the same pair meets the same mask.
    #[track_caller]
    pub fn dropout(self, seed: Tensor<'g>, stream: u32, rate: f32) -> Self {
        if let Err(failure) = seed.check_seed("dropout") {
            return failure;
        }
        if self.element() != Element::F32 || !(0.0..1.0).contains(&rate) {
            return self.graph().fail("dropout", format!("takes f32 and a rate in [0, 1), got {self:?} and {rate}"));
        }
        if rate == 0.0 {
            return self;
        }
        self.graph().add(Op::Dropout { stream, rate }, &[self, seed], [self.kind()])
    }
}
