//! Pooling of images, with its gradients.

pub mod average_pool;
pub mod max_pool;

use bytemuck::{Pod, Zeroable};

use crate::convolution::Geometry;
use crate::{Call, Error, Generator, Kernel, Sizes, product};

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [max_pool::KERNELS, average_pool::KERNELS].concat()
}

/// The uniform block of `windows.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub images: u32,
    /// Of an image of x.
    pub rows: u32,
    pub columns: u32,
    pub channels: u32,
    /// Of an image of y.
    pub out_rows: u32,
    pub out_columns: u32,
    pub kernel_rows: u32,
    pub kernel_columns: u32,
    pub step_y: u32,
    pub step_x: u32,
    pub top: u32,
    pub left: u32,
}

impl Uniform {
    pub fn new(geometry: &Geometry) -> Self {
        let &Geometry { images, input, channels, output, kernel, strides, before, .. } = geometry;
        Self {
            images: images as u32,
            rows: input[0] as u32,
            columns: input[1] as u32,
            channels: channels as u32,
            out_rows: output[0] as u32,
            out_columns: output[1] as u32,
            kernel_rows: kernel[0] as u32,
            kernel_columns: kernel[1] as u32,
            step_y: strides[0] as u32,
            step_x: strides[1] as u32,
            top: before[0] as u32,
            left: before[1] as u32,
        }
    }

    /// Each element of y as (its index, its image, its channel, the rows and the columns of x under it).
    pub fn windows(self) -> impl Iterator<Item = Window> {
        let pixels = self.images * self.out_rows * self.out_columns;
        (0..pixels * self.channels).map(move |index| {
            let pixel = index / self.channels;
            let span = |window: u32, step: u32, kernel: u32, before: u32, length: u32| {
                let start = i64::from(window) * i64::from(step) - i64::from(before);
                let end = (start + i64::from(kernel)).clamp(0, i64::from(length));
                (start.clamp(0, end) as u32)..(end as u32)
            };
            let (row, column) = (pixel / self.out_columns % self.out_rows, pixel % self.out_columns);
            Window {
                index: index as usize,
                image: pixel / self.out_columns / self.out_rows,
                channel: index % self.channels,
                rows: span(row, self.step_y, self.kernel_rows, self.top, self.rows),
                columns: span(column, self.step_x, self.kernel_columns, self.left, self.columns),
            }
        })
    }

    /// The place in x of pixel `row * columns + column` of an image.
    pub fn place(&self, window: &Window, pixel: u32) -> usize {
        ((window.image * self.rows * self.columns + pixel) * self.channels + window.channel) as usize
    }

    /// Windows over one pixel at most, along both axes.
    pub fn most_windows(&self) -> [u32; 2] {
        [self.kernel_rows.div_ceil(self.step_y), self.kernel_columns.div_ceil(self.step_x)]
    }
}

/// An element of y with what lies under it.
pub(crate) struct Window {
    pub index: usize,
    pub image: u32,
    pub channel: u32,
    pub rows: std::ops::Range<u32>,
    pub columns: std::ops::Range<u32>,
}

impl Window {
    /// The pixels under it, `row * columns + column`, in row-major order.
    pub fn pixels(&self, columns: u32) -> impl Iterator<Item = u32> + Clone + '_ {
        self.rows.clone().flat_map(move |row| self.columns.clone().map(move |column| row * columns + column))
    }
}

const WORKGROUP: usize = 64;

/// Columns of which one invocation computes the gradient.
const COLUMNS: usize = 8;

/// The passes of a gradient: the windows over each column of a strip.
fn passes_of_gradient(uniform: &Uniform) -> u64 {
    let [rows, columns] = uniform.most_windows().map(u64::from);
    1 + COLUMNS as u64 * (2 + rows * (2 + columns))
}

/// The passes through the elements of a window.
fn passes_of_window(uniform: &Uniform) -> u64 {
    1 + u64::from(uniform.kernel_rows) * (2 + u64::from(uniform.kernel_columns))
}

/// Invocations of a gradient.
fn strips(geometry: &Geometry) -> usize {
    let Geometry { images, input: [rows, columns], channels, .. } = *geometry;
    product(&[images, rows, columns.div_ceil(COLUMNS), channels])
}

/// A call with one invocation for each of `elements`.
fn call(kernel: &'static Kernel, uniform: &Uniform, elements: usize, lengths: impl Into<Vec<usize>>) -> Call {
    Call::new(kernel, uniform, elements.div_ceil(WORKGROUP), lengths)
}

/// The elements of x and of y, where the geometry is that of a pooling.
fn check(sizes: Sizes, geometry: &Geometry) -> Result<(Sizes, usize, usize), Error> {
    let sizes = geometry.check(sizes)?.expect(
        "outputs",
        geometry.outputs == geometry.channels && geometry.groups == geometry.channels,
        "as many as channels and groups: each channel is pooled by itself",
        geometry.outputs,
    )?;
    let [x, _, y] = geometry.lengths();
    Ok((sizes, x, y))
}

/// A random pooling whose windows all hold a pixel: ragged sizes, uneven kernels, strides and padding, rows without windows.
fn draw(generator: &mut Generator) -> Geometry {
    let huge = generator.huge();
    let axes: [_; 2] = std::array::from_fn(|axis| {
        let kernel = generator.length(4);
        let stride = if huge { 1 } else { generator.length(4) };
        let before = generator.length(kernel / 2 + 1) - 1;
        let length = if huge { [1_048_600, 1][axis] } else { generator.length(19) };
        // The last window begins in the image.
        let most = (length + before).div_ceil(stride);
        let output = if huge { most } else { most - (generator.length(2).min(most) - 1) };
        (length, output, kernel, stride, before)
    });
    let channels = if huge { 4 } else { generator.length(40) };
    Geometry {
        images: if huge { 1 } else { generator.length(3) },
        input: axes.map(|axis| axis.0),
        channels,
        output: axes.map(|axis| axis.1),
        outputs: channels,
        kernel: axes.map(|axis| axis.2),
        strides: axes.map(|axis| axis.3),
        before: axes.map(|axis| axis.4),
        groups: channels,
    }
}
