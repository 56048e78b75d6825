//! Convolutions of images: three operations, closed under differentiation.

use fourfold_shaders::convolution::{Geometry, Map, Problem};
use fourfold_shaders::{Activation, Sequence, Target};

use crate::graph::gradients::vector_jacobian;
use crate::graph::operation::{Fused, Operation, OutputGradients};
use crate::graph::{Graph, Shape, Tensor, TensorType};

/// (x `(images, rows, columns, channels)`, w `(kernel rows, kernel columns, channels / groups, outputs)`) to
/// y `(images, rows, columns, outputs)`.
#[derive(Debug)]
struct Convolution(Geometry);

/// The same with a bias `(outputs)` as third input, and an activation: only a plan makes it, of a sum that reads the first.
#[derive(Debug)]
struct BiasedConvolution(Geometry, Activation);

/// (dy, w) to dx: linear in both, and its gradients are the other two operations.
#[derive(Debug)]
struct InputGradient(Geometry);

/// (x, dy) to dw: linear in both, and its gradients are the other two operations.
#[derive(Debug)]
struct WeightGradient(Geometry);

/// The types of x, w and y.
fn types(geometry: &Geometry) -> [TensorType; 3] {
    let Geometry { images, input, channels, output, outputs, kernel, groups, .. } = *geometry;
    [
        TensorType::f32([images, input[0], input[1], channels]),
        TensorType::f32([kernel[0], kernel[1], channels / groups.max(1), outputs]),
        TensorType::f32([images, output[0], output[1], outputs]),
    ]
}

/// `result` where the operands have their types.
fn checked(inputs: &[TensorType], expected: [&TensorType; 2], result: &TensorType) -> Result<Vec<TensorType>, String> {
    match inputs {
        [a, b] if [a, b] == expected => Ok(vec![result.clone()]),
        _ => Err(format!("takes {:?} and {:?}", expected[0], expected[1])),
    }
}

impl Operation for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, w, y] = types(&self.0);
        checked(inputs, [&x, &w], &y)
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let map = Map::Output { bias: false, activation: Activation::None };
        Ok(Problem::new(self.0, map).sequence(target)?)
    }

    fn with_bias(&self, activation: Activation) -> Option<Fused> {
        Some(BiasedConvolution(self.0, activation).into())
    }

    fn definition<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        Some(vec![sum_over_taps(graph, &self.0, inputs[0], inputs[1])])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let ([x, w], dy) = ([node.inputs[0], node.inputs[1]], node.gradient(0));
        let mut terms = Vec::new();
        if node.wants(0) {
            terms.push((0, node.graph.fused(InputGradient(self.0), &[dy, w])));
        }
        if node.wants(1) {
            terms.push((1, node.graph.fused(WeightGradient(self.0), &[x, dy])));
        }
        Some(terms)
    }
}

impl Operation for BiasedConvolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, w, y] = types(&self.0);
        let bias = TensorType::f32([self.0.outputs]);
        match inputs {
            [a, b, c] if [a, b, c] == [&x, &w, &bias] => Ok(vec![y]),
            _ => Err(format!("takes {x:?}, {w:?} and {bias:?}")),
        }
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let map = Map::Output { bias: true, activation: self.1 };
        Ok(Problem::new(self.0, map).sequence(target)?)
    }
}

impl Operation for InputGradient {
    fn name(&self) -> &'static str {
        "convolution_input_gradient"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, w, y] = types(&self.0);
        checked(inputs, [&y, &w], &x)
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(Problem::new(self.0, Map::InputGradient).sequence(target)?)
    }

    /// The adjoint of the convolution's definition.
    fn definition<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let (dy, w) = (inputs[0], inputs[1]);
        let [x, _, _] = types(&self.0);
        let x = graph.full(x.shape, 0.0);
        Some(vec![vector_jacobian(&[sum_over_taps(graph, &self.0, x, w)], &[dy], &[x])[0]?])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let ([dy, w], ddx) = ([node.inputs[0], node.inputs[1]], node.gradient(0));
        let mut terms = Vec::new();
        if node.wants(0) {
            terms.push((0, node.graph.fused(Convolution(self.0), &[ddx, w])));
        }
        if node.wants(1) {
            terms.push((1, node.graph.fused(WeightGradient(self.0), &[ddx, dy])));
        }
        Some(terms)
    }
}

impl Operation for WeightGradient {
    fn name(&self) -> &'static str {
        "convolution_weight_gradient"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, w, y] = types(&self.0);
        checked(inputs, [&x, &y], &w)
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(Problem::new(self.0, Map::WeightGradient).sequence(target)?)
    }

    /// The adjoint of the convolution's definition.
    fn definition<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let (x, dy) = (inputs[0], inputs[1]);
        let [_, w, _] = types(&self.0);
        let w = graph.full(w.shape, 0.0);
        Some(vec![vector_jacobian(&[sum_over_taps(graph, &self.0, x, w)], &[dy], &[w])[0]?])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let ([x, dy], ddw) = ([node.inputs[0], node.inputs[1]], node.gradient(0));
        let mut terms = Vec::new();
        if node.wants(0) {
            terms.push((0, node.graph.fused(InputGradient(self.0), &[dy, ddw])));
        }
        if node.wants(1) {
            terms.push((1, node.graph.fused(Convolution(self.0), &[x, ddw])));
        }
        Some(terms)
    }
}

/// The convolution in simpler operations: for each tap and group, the pixels under it times the tap's matrix.
fn sum_over_taps<'g>(graph: &'g Graph, geometry: &Geometry, x: Tensor<'g>, w: Tensor<'g>) -> Tensor<'g> {
    let Geometry { images, channels, output, outputs, kernel, groups, .. } = *geometry;
    let pixels = images * output[0] * output[1];
    let [group_channels, group_outputs] = [channels / groups, outputs / groups];
    let matrices = w.reshape([kernel[0] * kernel[1], group_channels, outputs]);
    let product = |(tap, under): (usize, Tensor<'g>)| {
        let under = under.reshape([pixels, channels]);
        let matrix = matrices.narrow(0, tap, 1).reshape([group_channels, outputs]);
        let products: Vec<_> = (0..groups)
            .map(|group| {
                let channels = under.narrow(1, group * group_channels, group_channels);
                channels.matmul(matrix.narrow(1, group * group_outputs, group_outputs))
            })
            .collect();
        graph.concatenate(&products, 1)
    };
    let sum = taps(geometry, x).into_iter().enumerate().map(product).reduce(|a, b| a + b);
    let sum = sum.unwrap_or_else(|| graph.full([pixels, outputs], 0.0));
    sum.reshape([images, output[0], output[1], outputs])
}

/// The pixels of x under each tap of the windows, zeros in padding, `(images, rows of y, columns of y, channels)`, in row-major
/// order of the taps.
pub(super) fn taps<'g>(geometry: &Geometry, x: Tensor<'g>) -> Vec<Tensor<'g>> {
    let Geometry { images, input, channels, output, kernel, strides, before, .. } = *geometry;
    // Room for whole strides under the last tap.
    let axis = |axis: usize| (before[axis] + input[axis]).max(kernel[axis] - 1 + output[axis] * strides[axis]);
    let padded = x.pad(&[0, before[0], before[1], 0], [images, axis(0), axis(1), channels]);
    let under = |row: usize, column: usize| {
        padded
            .narrow(1, row, output[0] * strides[0])
            .narrow(2, column, output[1] * strides[1])
            .reshape([images * output[0], strides[0], output[1], strides[1], channels])
            .narrow(1, 0, 1)
            .narrow(3, 0, 1)
            .reshape([images, output[0], output[1], channels])
    };
    (0..kernel[0]).flat_map(|row| (0..kernel[1]).map(move |column| (row, column))).map(|(r, c)| under(r, c)).collect()
}

/// The strides, padding and groups of a [`Tensor::convolution`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionOptions {
    /// Rows and columns from one window to the next.
    pub strides: [usize; 2],
    /// Rows of zeros above and below an image.
    pub rows: [usize; 2],
    /// Columns of zeros to its left and right.
    pub columns: [usize; 2],
    /// Groups of channels, each with outputs of its own.
    pub groups: usize,
}

impl ConvolutionOptions {
    /// One stride along both axes and the same padding on all sides, as PyTorch has it.
    pub fn new(stride: usize, padding: usize) -> Self {
        Self { strides: [stride; 2], rows: [padding; 2], columns: [padding; 2], groups: 1 }
    }

    /// One stride along both axes and TensorFlow's and JAX's padding `SAME`: `ceil(length / stride)` outputs, and where the
    /// padding is odd, one zero more behind the image than before it.
    pub fn same(stride: usize, [rows, columns]: [usize; 2], kernel: [usize; 2]) -> Self {
        let sides = |length: usize, kernel: usize| {
            let reach = length.div_ceil(stride.max(1)).saturating_sub(1) * stride + kernel;
            let padding = reach.saturating_sub(length);
            [padding / 2, padding - padding / 2]
        };
        Self { strides: [stride; 2], rows: sides(rows, kernel[0]), columns: sides(columns, kernel[1]), groups: 1 }
    }
}

impl<'g> Tensor<'g> {
    /// The convolution of images `(images, rows, columns, channels)` with weights
    /// `(kernel rows, kernel columns, channels / groups, outputs)`: `(images, rows, columns, outputs)`, where an axis of the
    /// output has `(length + padding - kernel) / stride + 1` positions. As PyTorch's `conv2d`, but for the order of axes.
    #[track_caller]
    pub fn convolution(self, weights: Tensor<'g>, options: ConvolutionOptions) -> Self {
        if let Some(poison) = [self, weights].into_iter().find(|tensor| tensor.is_poisoned()) {
            return poison;
        }
        let (x, w) = (self.shape(), weights.shape());
        match geometry(&x, &w, &options) {
            Some(geometry) if self.kind().is_float() && weights.kind().is_float() => {
                self.graph().fused(Convolution(geometry), &[self, weights])
            }
            _ => {
                let message = format!(
                    "takes F32 x (images, rows, columns, channels) and weights (kernel rows, kernel columns, channels / groups, outputs) whose kernel fits the padded image, got {self:?}, {weights:?} and {options:?}"
                );
                self.graph().fail("convolution", message)
            }
        }
    }
}

/// The convolution of these shapes, if there is one.
fn geometry(x: &Shape, w: &Shape, options: &ConvolutionOptions) -> Option<Geometry> {
    let (&[images, rows, columns, channels], &[kernel_rows, kernel_columns, of_group, outputs]) = (&**x, &**w) else {
        return None;
    };
    let positions = |length: usize, [before, behind]: [usize; 2], kernel: usize, stride: usize| {
        let room = length.checked_add(before)?.checked_add(behind)?.checked_sub(kernel)?;
        Some(room.checked_div(stride)? + 1)
    };
    let ConvolutionOptions { strides, rows: row_padding, columns: column_padding, groups } = *options;
    let output = [
        positions(rows, row_padding, kernel_rows, strides[0])?,
        positions(columns, column_padding, kernel_columns, strides[1])?,
    ];
    let fits = groups > 0 && of_group.checked_mul(groups) == Some(channels) && outputs.is_multiple_of(groups);
    fits.then_some(Geometry {
        images,
        input: [rows, columns],
        channels,
        output,
        outputs,
        kernel: [kernel_rows, kernel_columns],
        strides,
        before: [row_padding[0], column_padding[0]],
        groups,
    })
}
