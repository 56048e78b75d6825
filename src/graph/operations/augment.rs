//! The augmentation of images, by random numbers of its own.

use fourfold_shaders::random::augment::{self, Border};
use fourfold_shaders::{Sequence, Target};

use crate::graph::operation::{Operation, OutputGradients};
use crate::graph::{Graph, Tensor, TensorType};

pub use fourfold_shaders::random::augment::Options as AugmentOptions;

/// (x `(images, rows, columns, channels)`, seed, a black image where the border is black) to images of the same shape.
#[derive(Debug)]
struct Augment(augment::Problem);

impl Operation for Augment {
    fn name(&self) -> &'static str {
        "augment"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let augment::Problem { images, rows, columns, channels, border, .. } = self.0;
        let x = TensorType::f32([images, rows, columns, channels]);
        let black = (border == Border::Black).then(|| TensorType::f32([rows, columns, channels]));
        let expected: Vec<_> = [x.clone(), TensorType::u32([2])].into_iter().chain(black).collect();
        if inputs == expected { Ok(vec![x]) } else { Err(format!("takes {expected:?}")) }
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(self.0.sequence(target)?)
    }

    /// Images of a data set do not depend on weights: what is augmented counts as a constant.
    fn gradient<'g>(&self, _: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        Some(Vec::new())
    }
}

impl<'g> Tensor<'g> {
    /// These images `(images, rows, columns, channels)`, each moved, mirrored and with a hole at random as the options say.
    /// Beyond the border of an image is its mirror image, or what `black (rows, columns, channels)` has there.
    ///
    /// The numbers drawn depend on seed and stream alone, see [`Draw`](augment::Draw). Gradients stop here.
    #[track_caller]
    pub fn augment(self, seed: Tensor<'g>, stream: u32, options: AugmentOptions, black: Option<Tensor<'g>>) -> Self {
        if self.is_poisoned() {
            return self;
        }
        let graph: &Graph = self.graph();
        let &[images, rows, columns, channels] = &*self.shape() else {
            return graph.fail("augment", format!("takes images (images, rows, columns, channels), got {self:?}"));
        };
        let border = if black.is_some() { Border::Black } else { Border::Reflected };
        let problem = augment::Problem { images, rows, columns, channels, border, options, stream };
        if let Err(error) = problem.sequence(&Target::default()) {
            return graph.fail("augment", error.to_string());
        }
        let inputs: Vec<_> = [self, seed].into_iter().chain(black).collect();
        graph.fused(Augment(problem), &inputs)
    }
}
