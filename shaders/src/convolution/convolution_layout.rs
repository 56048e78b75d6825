//! A convolution, or the gradient of its input, as the kernels see it: the uniform block that all variants share, the twin
//! that computes the same numbers, the tolerance rule and the generator of cases.

use bytemuck::{Pod, Zeroable};

use crate::convolution::Geometry;
use crate::matmul::matmul_layout::{bound, largest, smooth};
use crate::{Activation, Binding, Call, Case, Data, Generator, Kernel, Operand, Tolerance, product};

/// The operands of the kernels.
pub(crate) const BINDINGS: &[Binding] = &[
    Binding::read("x", "(images, rows, columns, channels), by its strides"),
    Binding::read("w", "(kernel rows, kernel columns, terms, outputs), by its strides"),
    Binding::read("bias", "(channels of out); any where there is none"),
    Binding::write("out", "(images, rows, columns, channels), by its strides"),
];

/// The order of the axes of images in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// (images, rows, columns, channels), as the graph has them.
    ChannelsLast,
    /// (images, channels, rows, columns), as PyTorch's default has them.
    ChannelsFirst,
}

impl Order {
    /// The strides of images, rows, columns and channels.
    fn strides(self, [rows, columns]: [usize; 2], channels: usize) -> [u32; 4] {
        match self {
            Self::ChannelsLast => [rows * columns * channels, columns * channels, channels, 1],
            Self::ChannelsFirst => [rows * columns * channels, columns, 1, rows * columns],
        }
        .map(|stride| stride as u32)
    }
}

/// The uniform block: `x` is what the windows read and `out` what they give, whichever of the two is computed.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub images: u32,
    /// Of an image of `x`.
    pub rows: u32,
    pub columns: u32,
    /// Channels of `x` in a group.
    pub terms: u32,
    /// Channels of `out` in a group.
    pub outputs: u32,
    pub groups: u32,
    pub out_rows: u32,
    pub out_columns: u32,
    pub kernel_rows: u32,
    pub kernel_columns: u32,
    pub top: u32,
    pub left: u32,
    /// The strides of the convolution, 1 in an input gradient.
    pub step_y: u32,
    pub step_x: u32,
    /// 1, the strides of the convolution in an input gradient.
    pub phases_y: u32,
    pub phases_x: u32,
    /// 1, or -1 in an input gradient.
    pub direction: i32,
    pub x_image: u32,
    pub x_row: u32,
    pub x_column: u32,
    pub x_channel: u32,
    pub out_image: u32,
    pub out_row: u32,
    pub out_column: u32,
    pub out_channel: u32,
    pub w_row: u32,
    pub w_column: u32,
    pub w_term: u32,
    pub w_output: u32,
    pub w_group: u32,
    /// 1 where `bias` is added.
    pub bias: u32,
    /// The code of an [`Activation`].
    pub activation: u32,
}

/// The uniform block with the elements of `x`, `w`, `bias` and `out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub uniform: Uniform,
    pub lengths: [usize; 4],
}

impl Layout {
    /// The layout of `y`, with a bias and an activation.
    pub fn forward(geometry: &Geometry, order: Order, bias: bool, activation: Activation) -> Self {
        let &Geometry { images, input, channels, output, outputs, kernel, strides, before, groups } = geometry;
        let [x_image, x_row, x_column, x_channel] = order.strides(input, channels);
        let [out_image, out_row, out_column, out_channel] = order.strides(output, outputs);
        let weights = channels / groups * outputs;
        let uniform = Uniform {
            images: images as u32,
            rows: input[0] as u32,
            columns: input[1] as u32,
            terms: (channels / groups) as u32,
            outputs: (outputs / groups) as u32,
            groups: groups as u32,
            out_rows: output[0] as u32,
            out_columns: output[1] as u32,
            kernel_rows: kernel[0] as u32,
            kernel_columns: kernel[1] as u32,
            top: before[0] as u32,
            left: before[1] as u32,
            step_y: strides[0] as u32,
            step_x: strides[1] as u32,
            phases_y: 1,
            phases_x: 1,
            direction: 1,
            x_image,
            x_row,
            x_column,
            x_channel,
            out_image,
            out_row,
            out_column,
            out_channel,
            w_row: (kernel[1] * weights) as u32,
            w_column: weights as u32,
            w_term: outputs as u32,
            w_output: 1,
            w_group: (outputs / groups) as u32,
            bias: bias.into(),
            activation: activation.code(),
        };
        let [x, w, y] = geometry.lengths();
        Self { uniform, lengths: [x, w, if bias { outputs } else { x }, y] }
    }

    /// The layout of the gradient of `x`, from that of `y`.
    pub fn input_gradient(geometry: &Geometry, order: Order) -> Self {
        let Self { uniform: old, lengths: [x, w, _, y] } = Self::forward(geometry, order, false, Activation::None);
        let uniform = Uniform {
            rows: old.out_rows,
            columns: old.out_columns,
            terms: old.outputs,
            outputs: old.terms,
            out_rows: old.rows,
            out_columns: old.columns,
            step_y: 1,
            step_x: 1,
            phases_y: old.step_y,
            phases_x: old.step_x,
            direction: -1,
            x_image: old.out_image,
            x_row: old.out_row,
            x_column: old.out_column,
            x_channel: old.out_channel,
            out_image: old.x_image,
            out_row: old.x_row,
            out_column: old.x_column,
            out_channel: old.x_channel,
            w_term: old.w_output,
            w_output: old.w_term,
            ..old
        };
        Self { uniform, lengths: [y, w, y, x] }
    }

    /// A call of a variant, with gelu and tanh compiled in only where they are asked for.
    pub fn call(&self, kernel: &'static Kernel, workgroups: usize) -> Call {
        let call = Call::new(kernel, &self.uniform, workgroups, self.lengths);
        smooth(call, Activation::from_code(self.uniform.activation))
    }

    /// Pixels and columns of a row of the largest phase.
    pub fn most_pixels(&self) -> (usize, usize) {
        let Uniform { images, out_rows, out_columns, phases_y, phases_x, .. } = self.uniform;
        let [rows, columns] =
            [(out_rows, phases_y), (out_columns, phases_x)].map(|(all, of)| all.div_ceil(of) as usize);
        (images as usize * rows * columns, columns)
    }

    /// Phases of all groups.
    pub fn phases(&self) -> usize {
        let Uniform { phases_y, phases_x, groups, .. } = self.uniform;
        product(&[phases_y, phases_x, groups].map(|size| size as usize))
    }
}

/// Taps along y and x that the sums of one output have at most.
pub(crate) fn most_taps(uniform: &Uniform) -> [u32; 2] {
    [uniform.kernel_rows.div_ceil(uniform.phases_y), uniform.kernel_columns.div_ceil(uniform.phases_x)]
}

/// A multiply-add for each term of each output.
pub(crate) fn flops(call: &Call) -> f64 {
    let uniform: Uniform = call.uniform();
    // Each pixel of an input gradient has its share of the taps.
    let taps = f64::from(uniform.kernel_rows * uniform.kernel_columns) / f64::from(uniform.phases_y * uniform.phases_x);
    2.0 * call.lengths[3] as f64 * taps * f64::from(uniform.terms)
}

/// The twin of every variant: each output as the sum that defines it.
pub(crate) fn convolution(uniform: &Uniform, x: &[f32], w: &[f32], bias: &[f32], out: &mut [f32]) {
    let &Uniform { images, terms, outputs, groups, .. } = uniform;
    let activation = Activation::from_code(uniform.activation);
    // The row of x under a tap, if there is one: (out * step + tap - before), or in an input gradient
    // (out + before - tap) / stride where it is whole.
    let under = |out: u32, tap: u32, before: u32, step: u32, phases: u32, length: u32| {
        let [out, tap, before] = [out, tap, before].map(i64::from);
        let at = match uniform.direction {
            1 => out * i64::from(step) + tap - before,
            _ if (out + before - tap) % i64::from(phases) != 0 => return None,
            _ => (out + before - tap) / i64::from(phases),
        };
        u32::try_from(at).ok().filter(|at| *at < length)
    };
    for image in 0..images {
        for (row, column) in (0..uniform.out_rows).flat_map(|row| (0..uniform.out_columns).map(move |c| (row, c))) {
            for (group, output) in (0..groups).flat_map(|group| (0..outputs).map(move |output| (group, output))) {
                let mut sum = 0.0;
                for (tap_y, tap_x) in
                    (0..uniform.kernel_rows).flat_map(|y| (0..uniform.kernel_columns).map(move |x| (y, x)))
                {
                    let y = under(row, tap_y, uniform.top, uniform.step_y, uniform.phases_y, uniform.rows);
                    let x_column =
                        under(column, tap_x, uniform.left, uniform.step_x, uniform.phases_x, uniform.columns);
                    let (Some(y), Some(x_column)) = (y, x_column) else { continue };
                    for term in 0..terms {
                        let x_at = image * uniform.x_image
                            + y * uniform.x_row
                            + x_column * uniform.x_column
                            + (group * terms + term) * uniform.x_channel;
                        let w_at = tap_y * uniform.w_row
                            + tap_x * uniform.w_column
                            + group * uniform.w_group
                            + term * uniform.w_term
                            + output * uniform.w_output;
                        sum += f64::from(x[x_at as usize]) * f64::from(w[w_at as usize]);
                    }
                }
                let channel = group * outputs + output;
                let bias = if uniform.bias == 0 { 0.0 } else { f64::from(bias[channel as usize]) };
                let at = image * uniform.out_image
                    + row * uniform.out_row
                    + column * uniform.out_column
                    + channel * uniform.out_channel;
                out[at as usize] = activation.apply(sum + bias) as f32;
            }
        }
    }
}

/// The twin as kernels name it.
pub(crate) fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, w, bias, out] = operands else { unreachable!("a convolution has four operands") };
    convolution(&call.uniform(), x.f32(), w.f32(), bias.f32(), out.f32());
}

/// That of a matrix product with as many terms as an output has at most.
pub(crate) fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let [taps_y, taps_x] = most_taps(&uniform);
    let bias = if uniform.bias == 0 { 0.0 } else { largest(&operands[2]) };
    let activation = Activation::from_code(uniform.activation);
    bound(taps_y * taps_x * uniform.terms, largest(&operands[0]), largest(&operands[1]), bias, activation)
}

/// A random convolution or input gradient for the variant that `call` calls. `suits` says which of them it computes.
pub(crate) fn case(
    generator: &mut Generator,
    suits: impl Fn(&Layout) -> bool,
    call: impl Fn(&Layout, &mut Generator) -> Call,
) -> Case {
    // Products of two such numbers stay far below the largest f32.
    const LARGEST: f32 = 1e17;
    loop {
        let geometry = draw(generator);
        let order = if generator.chance(0.8) { Order::ChannelsLast } else { Order::ChannelsFirst };
        let activation = generator.pick(&Activation::ALL);
        let layout = match generator.chance(0.5) {
            true => Layout::forward(&geometry, order, generator.chance(0.5), activation),
            false => Layout::input_gradient(&geometry, order),
        };
        if !suits(&layout) {
            continue;
        }
        let [x, w, bias, _] = layout.lengths;
        // Where smooth activations bend.
        let near = activation.is_smooth() && generator.chance(0.7);
        let largest = if near { 8.0 } else { LARGEST };
        let inputs = [x, w, bias].map(|length| generator.values(length, largest));
        let call = call(&layout, generator);
        return Case::new((geometry, order, layout.uniform.direction), call, inputs);
    }
}

/// A random convolution: ragged sizes, uneven kernels, strides and padding, windows in padding alone, rows that no window
/// reads, groups of many and of single channels.
pub(crate) fn draw(generator: &mut Generator) -> Geometry {
    // Past 65,535 workgroups: each group has tiles of its own.
    let huge = generator.huge();
    let groups = match generator.pick(&[0, 0, 0, 1, 2]) {
        _ if huge => [66_521, 1, 1],
        0 => [1, generator.pick(&[1, 3, 4, 5, 8, 33]), generator.pick(&[1, 7, 16, 17, 40])],
        1 => [2, generator.pick(&[1, 3, 8]), generator.pick(&[1, 8, 17])],
        _ => [generator.length(40), 1, generator.pick(&[1, 1, 2])],
    };
    let [groups, channels, outputs] = groups;
    let pick = |generator: &mut Generator| {
        let unit = generator.chance(0.5);
        let kernel = generator.pick(&[1, 2, 3, 3, 3, 5, 8]);
        (kernel, if unit { 1 } else { generator.length(4) }, generator.length(kernel) - 1)
    };
    let square = pick(generator);
    let axes: [_; 2] = std::array::from_fn(|axis| {
        let (kernel, stride, before) = match generator.chance(0.4) {
            _ if huge => (axis + 1, 1, axis),
            true => pick(generator),
            false => square,
        };
        let length = if huge { [3, 12][axis] } else { generator.length(19) };
        // What stands behind the image: as much as before it, or more or less by a row or two.
        let behind = (before + generator.length(4)).saturating_sub(generator.length(4));
        let output = (length + before + behind).saturating_sub(kernel) / stride + 1;
        (length, output, kernel, stride, before)
    });
    Geometry {
        images: if huge { 1 } else { generator.length(3) },
        input: axes.map(|axis| axis.0),
        channels: groups * channels,
        output: axes.map(|axis| axis.1),
        outputs: groups * outputs,
        kernel: axes.map(|axis| axis.2),
        strides: axes.map(|axis| axis.3),
        before: axes.map(|axis| axis.4),
        groups,
    }
}
