//! The gradient of a convolution's weights as the kernels see it: the uniform block that all variants share, the twin that
//! computes the same numbers, the tolerance rule and the generator of cases.

use bytemuck::{Pod, Zeroable};

use crate::convolution::convolution_layout::{self, Order};
use crate::convolution::{Geometry, Layout as Forward};
use crate::matmul::matmul_layout::{bound, largest};
use crate::{Activation, Binding, Call, Case, Data, Generator, Kernel, Operand, Tolerance, product};

/// The operands of the kernels.
pub(crate) const BINDINGS: &[Binding] = &[
    Binding::read("x", "(images, rows, columns, channels), by its strides"),
    Binding::read("dy", "(images, rows, columns, outputs), by its strides"),
    Binding::write("partials", "(slices, kernel rows, kernel columns, channels, outputs)"),
];

/// The uniform block.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub images: u32,
    /// Of an image of `x`.
    pub rows: u32,
    pub columns: u32,
    /// Channels of `x` in a group.
    pub channels: u32,
    /// Channels of `dy` in a group.
    pub outputs: u32,
    pub groups: u32,
    /// Of an image of `dy`.
    pub y_rows: u32,
    pub y_columns: u32,
    pub kernel_rows: u32,
    pub kernel_columns: u32,
    pub top: u32,
    pub left: u32,
    pub step_y: u32,
    pub step_x: u32,
    pub slices: u32,
    /// Rows of `dy` in a slice, counted over all images.
    pub slice_rows: u32,
    pub x_image: u32,
    pub x_row: u32,
    pub x_column: u32,
    pub x_channel: u32,
    pub y_image: u32,
    pub y_row: u32,
    pub y_column: u32,
    pub y_channel: u32,
}

/// The uniform block with the elements of `x`, `dy` and `partials`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub uniform: Uniform,
    pub lengths: [usize; 3],
}

impl Layout {
    /// The layout of a gradient whose sum is one slice.
    pub fn new(geometry: &Geometry, order: Order) -> Self {
        let forward = Forward::forward(geometry, order, false, Activation::None).uniform;
        let uniform = Uniform {
            images: forward.images,
            rows: forward.rows,
            columns: forward.columns,
            channels: forward.terms,
            outputs: forward.outputs,
            groups: forward.groups,
            y_rows: forward.out_rows,
            y_columns: forward.out_columns,
            kernel_rows: forward.kernel_rows,
            kernel_columns: forward.kernel_columns,
            top: forward.top,
            left: forward.left,
            step_y: forward.step_y,
            step_x: forward.step_x,
            slices: 1,
            slice_rows: forward.images * forward.out_rows,
            x_image: forward.x_image,
            x_row: forward.x_row,
            x_column: forward.x_column,
            x_channel: forward.x_channel,
            y_image: forward.out_image,
            y_row: forward.out_row,
            y_column: forward.out_column,
            y_channel: forward.out_channel,
        };
        let [x, w, y] = geometry.lengths();
        Self { uniform, lengths: [x, y, w] }
    }

    /// The same sum in at most so many slices of neighbouring rows.
    pub fn split(self, slices: usize) -> Self {
        let Uniform { images, y_rows, slices: old, .. } = self.uniform;
        let rows = images * y_rows;
        let slice_rows = rows.div_ceil(slices as u32);
        let slices = rows.div_ceil(slice_rows);
        let [x, y, partials] = self.lengths;
        let uniform = Uniform { slices, slice_rows, ..self.uniform };
        Self { uniform, lengths: [x, y, product(&[partials / old as usize, slices as usize])] }
    }

    /// A call of a variant.
    pub fn call(&self, kernel: &'static Kernel, workgroups: usize) -> Call {
        Call::new(kernel, &self.uniform, workgroups, self.lengths)
    }

    /// Weights of one output: taps and channels of a group.
    pub fn weights(&self) -> usize {
        let Uniform { kernel_rows, kernel_columns, channels, .. } = self.uniform;
        (kernel_rows * kernel_columns * channels) as usize
    }

    /// Tiles of `rows` weights by `columns` outputs over all groups and slices.
    pub fn tiles(&self, rows: usize, columns: usize) -> usize {
        let Uniform { outputs, groups, slices, .. } = self.uniform;
        let tiles = [self.weights().div_ceil(rows), (outputs as usize).div_ceil(columns)];
        product(&[tiles[0], tiles[1], groups as usize, slices as usize])
    }
}

/// A multiply-add for each pixel of each weight.
pub(crate) fn flops(call: &Call) -> f64 {
    let Uniform { images, y_rows, y_columns, slices, .. } = call.uniform();
    2.0 * (call.lengths[2] / slices as usize) as f64
        * [images, y_rows, y_columns].map(f64::from).iter().product::<f64>()
}

/// The twin of every variant: each weight of each slice as the sum that defines it.
pub(crate) fn weight_gradient(uniform: &Uniform, x: &[f32], dy: &[f32], partials: &mut [f32]) {
    let &Uniform { images, rows, columns, channels, outputs, groups, y_rows, y_columns, .. } = uniform;
    let weights = uniform.kernel_rows * uniform.kernel_columns * channels;
    let mut sums = vec![0.0f64; partials.len()];
    for row in 0..images * y_rows {
        let (slice, image, y_row) = (row / uniform.slice_rows, row / y_rows, row % y_rows);
        for (column, weight) in (0..y_columns).flat_map(|column| (0..weights).map(move |weight| (column, weight))) {
            let (tap, channel) = (weight / channels, weight % channels);
            let y = y_row * uniform.step_y + tap / uniform.kernel_columns;
            let x_column = column * uniform.step_x + tap % uniform.kernel_columns;
            let y = y.checked_sub(uniform.top).filter(|y| *y < rows);
            let x_column = x_column.checked_sub(uniform.left).filter(|x| *x < columns);
            let (Some(y), Some(x_column)) = (y, x_column) else { continue };
            for (group, output) in (0..groups).flat_map(|group| (0..outputs).map(move |output| (group, output))) {
                let x_at = image * uniform.x_image
                    + y * uniform.x_row
                    + x_column * uniform.x_column
                    + (group * channels + channel) * uniform.x_channel;
                let y_at = image * uniform.y_image
                    + y_row * uniform.y_row
                    + column * uniform.y_column
                    + (group * outputs + output) * uniform.y_channel;
                let at = ((slice * weights + weight) * groups + group) * outputs + output;
                sums[at as usize] += f64::from(x[x_at as usize]) * f64::from(dy[y_at as usize]);
            }
        }
    }
    for (partial, sum) in partials.iter_mut().zip(sums) {
        *partial = sum as f32;
    }
}

/// The twin as kernels name it.
pub(crate) fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, dy, partials] = operands else { unreachable!("a weight gradient has three operands") };
    weight_gradient(&call.uniform(), x.f32(), dy.f32(), partials.f32());
}

/// That of a matrix product with as many terms as a slice has pixels.
pub(crate) fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let Uniform { slice_rows, y_columns, .. } = call.uniform();
    bound(slice_rows * y_columns, largest(&operands[0]), largest(&operands[1]), 0.0, Activation::None)
}

/// A random gradient for the variant that `call` calls. `suits` says which convolutions it computes.
pub(crate) fn case(
    generator: &mut Generator,
    suits: impl Fn(&Uniform) -> bool,
    call: impl Fn(&Layout, &mut Generator) -> Call,
) -> Case {
    // Products of two such numbers stay far below the largest f32.
    const LARGEST: f32 = 1e17;
    loop {
        let geometry = convolution_layout::draw(generator);
        let order = if generator.chance(0.8) { Order::ChannelsLast } else { Order::ChannelsFirst };
        let mut layout = Layout::new(&geometry, order);
        if generator.chance(0.5) {
            layout = layout.split(generator.length(8));
        }
        if !suits(&layout.uniform) {
            continue;
        }
        let [x, dy, _] = layout.lengths;
        let inputs = [x, dy].map(|length| generator.values(length, LARGEST));
        let call = call(&layout, generator);
        return Case::new((geometry, order, layout.uniform.slices), call, inputs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_add_up_to_the_whole_gradient() {
        let geometry = Geometry::square([2, 4, 3, 2], 3, 3, 1, 1);
        let whole = Layout::new(&geometry, Order::ChannelsLast);
        let values = |length: usize| (0..length).map(|i| (i % 7) as f32 - 3.0).collect::<Vec<_>>();
        let [x, dy] = [values(whole.lengths[0]), values(whole.lengths[1])];
        let mut gradient = vec![f32::NAN; whole.lengths[2]];
        weight_gradient(&whole.uniform, &x, &dy, &mut gradient);
        let split = whole.split(3);
        let mut partials = vec![f32::NAN; split.lengths[2]];
        weight_gradient(&split.uniform, &x, &dy, &mut partials);
        let sums: Vec<f32> =
            (0..gradient.len()).map(|i| partials.chunks(gradient.len()).map(|slice| slice[i]).sum()).collect();
        assert_eq!(gradient, sums);
    }
}
