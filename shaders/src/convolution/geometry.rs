//! The shape of a convolution, the same for its value and both of its gradients.

use crate::{Error, Sizes, product};

/// A 2-D convolution `x (images, height, width, channels) * w (kernel, kernel, channels / groups, outputs)`, as PyTorch's
/// `conv2d` with a dilation of 1:
///
/// `y[n, oy, ox, o] = sum x[n, oy sy + ky - top, ox sx + kx - left, g C/G + c] w[ky, kx, c, o]` over `ky`, `kx` and the
/// channels `c` of the group `g = o / (O/G)`, where x is 0 outside its image.
///
/// Padding is what stands before the image, and the size of the output says how much stands behind it: so padding may be
/// uneven, as TensorFlow's `SAME` is. Windows may lie in padding alone, and rows that no window reads have a gradient of 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Images of a batch.
    pub images: usize,
    /// Rows and columns of an image of x.
    pub input: [usize; 2],
    /// Channels of x.
    pub channels: usize,
    /// Rows and columns of an image of y.
    pub output: [usize; 2],
    /// Channels of y.
    pub outputs: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Rows and columns from one window to the next.
    pub strides: [usize; 2],
    /// Rows of zeros above the image and columns to its left.
    pub before: [usize; 2],
    /// Groups of channels, each with outputs of its own: a divisor of both channels and outputs.
    pub groups: usize,
}

impl Geometry {
    /// A convolution of images with a square kernel, one stride and the same padding on all sides. The output has
    /// `(length + 2 padding - kernel) / stride + 1` rows and columns: none where the kernel is larger than the padded image,
    /// which every method that makes dispatches refuses.
    pub fn square(
        [images, height, width, channels]: [usize; 4],
        outputs: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Self {
        let positions = |length: usize| {
            let padded = length.saturating_add(padding.saturating_mul(2));
            padded.checked_sub(kernel).map_or(0, |room| room / stride.max(1) + 1)
        };
        Self {
            images,
            input: [height, width],
            channels,
            output: [positions(height), positions(width)],
            outputs,
            kernel: [kernel; 2],
            strides: [stride; 2],
            before: [padding; 2],
            groups: 1,
        }
    }

    /// The same convolution with its channels in groups.
    pub fn grouped(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Elements of x, w and y, `usize::MAX` where there are more.
    pub fn lengths(&self) -> [usize; 3] {
        let Self { images, input, channels, output, outputs, kernel, groups, .. } = *self;
        [
            product(&[images, input[0], input[1], channels]),
            product(&[kernel[0], kernel[1], channels / groups.max(1), outputs]),
            product(&[images, output[0], output[1], outputs]),
        ]
    }

    /// True if the convolution is a product of `(images * rows * columns, channels)` and `(channels, outputs)`.
    pub(crate) fn is_product(&self) -> bool {
        self.kernel == [1; 2]
            && self.strides == [1; 2]
            && self.before == [0; 2]
            && self.input == self.output
            && self.groups == 1
    }

    /// Fails unless kernels can compute it.
    pub(crate) fn check(&self, sizes: Sizes) -> Result<Sizes, Error> {
        let Self { input, output, kernel, strides, before, groups, .. } = *self;
        let sizes = sizes
            .positive(&[("images", self.images), ("input[0]", input[0]), ("input[1]", input[1])])?
            .positive(&[("channels", self.channels), ("output[0]", output[0]), ("output[1]", output[1])])?
            .positive(&[("outputs", self.outputs), ("kernel[0]", kernel[0]), ("kernel[1]", kernel[1])])?
            .positive(&[("strides[0]", strides[0]), ("strides[1]", strides[1]), ("groups", groups)])?
            .expect("groups", self.channels.is_multiple_of(groups), "a divisor of the channels", groups)?
            .expect("groups", self.outputs.is_multiple_of(groups), "a divisor of the outputs", groups)?;
        for axis in 0..2 {
            // Signed positions: the last window's end, and the first one's beginning.
            let reach = output[axis].saturating_mul(strides[axis]).saturating_add(kernel[axis]);
            for (name, reach) in [("output * strides + kernel", reach), ("before", before[axis])] {
                let most = crate::MAX_ELEMENTS / 2;
                sizes.expect(name, reach <= most, format_args!("at most {most}"), reach)?;
            }
        }
        let [x, w, y] = self.lengths();
        sizes.positive(&[("the length of x", x), ("the length of w", w), ("the length of y", y)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_a_square_convolution_is_that_of_pytorch() {
        // The first layers of the decision transformer's encoder and of a network for 28 x 28 images.
        assert_eq!(Geometry::square([1, 84, 84, 4], 32, 8, 4, 0).output, [20, 20]);
        assert_eq!(Geometry::square([1, 28, 28, 1], 16, 3, 1, 1).output, [28, 28]);
        assert_eq!(Geometry::square([1, 7, 8, 1], 16, 3, 2, 1).output, [4, 4]);
        assert_eq!(Geometry::square([1, 2, 8, 1], 16, 3, 2, 0).output, [0, 3]);
    }

    #[test]
    fn sizes_that_no_kernel_computes_are_refused_by_name() {
        let refused = |geometry: Geometry| geometry.check(Sizes("convolution")).unwrap_err().to_string();
        let fits = Geometry::square([2, 8, 8, 4], 6, 3, 1, 1);
        assert!(fits.check(Sizes("convolution")).is_ok());
        assert!(refused(fits.grouped(3)).contains("groups must be a divisor of the channels, got 3"));
        assert!(refused(fits.grouped(0)).contains("groups must be 1 to"));
        assert!(refused(Geometry::square([2, 2, 8, 4], 6, 3, 1, 0)).contains("output[0] must be 1 to"));
        assert!(refused(Geometry { strides: [usize::MAX; 2], ..fits }).contains("strides[0]"));
        assert!(refused(Geometry { before: [1 << 40; 2], ..fits }).contains("before"));
    }
}
