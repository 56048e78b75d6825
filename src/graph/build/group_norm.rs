//! Group norm of images.

use crate::graph::{Tensor, TensorType};

impl<'g> Tensor<'g> {
    /// Group norm (Wu & He 2018) of images `(images, .., channels)`: each image is normalised over all of its pixels and each of
    /// `groups` groups of neighbouring channels, then scaled and shifted by channel. As PyTorch's `group_norm`, but for the order
    /// of axes; the same in training and in evaluation.
    ///
    /// It is layer norm of rows that a permutation brings together.
    #[track_caller]
    pub fn group_norm(self, groups: usize, scale: Tensor<'g>, shift: Tensor<'g>, epsilon: f32) -> Self {
        let graph = self.graph();
        if let Some(&poison) = [self, scale, shift].iter().find(|tensor| tensor.is_poisoned()) {
            return poison;
        }
        let shape = self.shape();
        let fits = |channels: usize| {
            let of_channels = TensorType::f32([channels]);
            groups > 0
                && channels.is_multiple_of(groups)
                && [scale, shift].iter().all(|side| side.kind() == of_channels)
                && self.kind().is_float()
        };
        let (Some(&images), Some(&channels), true) = (shape.first(), shape.last(), shape.rank() >= 3) else {
            return graph.fail("group_norm", format!("takes images (images, .., channels), got {self:?}"));
        };
        if !fits(channels) {
            let message = format!(
                "takes F32 images (images, .., channels), groups that divide the channels, scale (channels) and shift (channels), got {self:?}, {groups}, {scale:?} and {shift:?}"
            );
            return graph.fail("group_norm", message);
        }
        let pixels = shape[1..shape.rank() - 1].iter().product();
        let split = [images, pixels, groups, channels / groups];
        let rows = self.reshape(split).permute(&[0, 2, 1, 3]).reshape([images * groups, pixels * (channels / groups)]);
        let columns = [pixels * (channels / groups)];
        let normal = rows.layer_norm(graph.full(columns, 1.0), graph.full(columns, 0.0), epsilon);
        let together = normal.reshape([images, groups, pixels, channels / groups]).permute(&[0, 2, 1, 3]);
        together.reshape(&shape) * scale + shift
    }
}
