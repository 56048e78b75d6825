//! Max and average pooling of images.

use fourfold_shaders::convolution::Geometry;
use fourfold_shaders::elementwise::Compare;
use fourfold_shaders::pooling::{average_pool, max_pool};
use fourfold_shaders::{Element, Sequence, Target};

use crate::graph::gradients::vector_jacobian;
use crate::graph::operation::{Operation, OutputGradients};
use crate::graph::operations::convolution::taps;
use crate::graph::operations::rows::positions;
use crate::graph::{Graph, Tensor, TensorType};

/// x `(images, rows, columns, channels)` to (y, the place of each element of y in its image).
#[derive(Debug)]
struct MaxPool(Geometry);

/// (dy, places) to dx.
#[derive(Debug)]
struct MaxPoolGradient(Geometry);

/// (a tensor like x, places) to its elements there, shaped as y.
#[derive(Debug)]
struct MaxPoolPick(Geometry);

/// x to y.
#[derive(Debug)]
struct AveragePool(Geometry);

/// dy to dx.
#[derive(Debug)]
struct AveragePoolGradient(Geometry);

/// The types of x and y.
fn types(geometry: &Geometry) -> [TensorType; 2] {
    let Geometry { images, input, channels, output, .. } = *geometry;
    [[images, input[0], input[1], channels], [images, output[0], output[1], channels]].map(TensorType::f32)
}

/// The type of the places.
fn places(y: &TensorType) -> TensorType {
    TensorType::u32(y.shape.clone())
}

/// `results` where the operands have their types.
fn checked(
    inputs: &[TensorType],
    expected: &[&TensorType],
    results: Vec<TensorType>,
) -> Result<Vec<TensorType>, String> {
    let fits = inputs.iter().collect::<Vec<_>>() == expected;
    if fits { Ok(results) } else { Err(format!("takes {expected:?}")) }
}

impl Operation for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, y] = types(&self.0);
        checked(inputs, &[&x], vec![y.clone(), places(&y)])
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(max_pool::Problem { geometry: self.0, map: max_pool::Map::Output }.sequence(target)?)
    }

    /// The largest of the elements under each tap, and the tap where it is.
    fn definition<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let x = inputs[0];
        let below_all = graph.constant(f32::MIN);
        // Padding is below all: what is inside counts from its own value, what is outside from the lowest.
        let inside = taps(&self.0, graph.full(x.shape(), 1.0));
        let values: Vec<_> = taps(&self.0, x)
            .into_iter()
            .zip(inside)
            .map(|(value, inside)| inside.compare(Compare::Gt, graph.constant(0.5)).select(value, below_all))
            .collect();
        let mut best = values[0];
        for value in &values[1..] {
            best = value.compare(Compare::Gt, best).select(*value, best);
        }
        // The first tap that is as large as the largest.
        let [rows, columns] = self.0.input;
        let shape = [1, rows, columns, 1];
        let at = positions(graph, rows * columns).reshape(shape).broadcast_to(x.shape());
        let at = taps(&self.0, at);
        let mut index = at[at.len() - 1];
        for (value, at) in values.iter().zip(&at).rev() {
            index = value.compare(Compare::Ge, best).select(*at, index);
        }
        Some(vec![best, index.cast(Element::U32)])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let dx = node.graph.fused(MaxPoolGradient(self.0), &[node.gradient(0), node.outputs[1]]);
        Some(vec![(0, dx)])
    }
}

impl Operation for MaxPoolGradient {
    fn name(&self) -> &'static str {
        "max_pool_gradient"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, y] = types(&self.0);
        checked(inputs, &[&y, &places(&y)], vec![x])
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(max_pool::Problem { geometry: self.0, map: max_pool::Map::InputGradient }.sequence(target)?)
    }

    /// The rows of a table of all elements to which those of y are added.
    fn definition<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let [x, _] = types(&self.0);
        let column = inputs[0].reshape([inputs[0].elements(), 1]);
        let dx = column.scatter_add(rows_of_table(graph, &self.0, inputs[1]), x.elements());
        Some(vec![dx.reshape(x.shape)])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let ddy = node.graph.fused(MaxPoolPick(self.0), &[node.gradient(0), node.inputs[1]]);
        Some(vec![(0, ddy)])
    }
}

impl Operation for MaxPoolPick {
    fn name(&self) -> &'static str {
        "max_pool_pick"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, y] = types(&self.0);
        checked(inputs, &[&x, &places(&y)], vec![y])
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(max_pool::Problem { geometry: self.0, map: max_pool::Map::Pick }.sequence(target)?)
    }

    fn definition<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let [_, y] = types(&self.0);
        let table = inputs[0].reshape([inputs[0].elements(), 1]);
        Some(vec![table.gather(rows_of_table(graph, &self.0, inputs[1])).reshape(y.shape)])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let dx = node.graph.fused(MaxPoolGradient(self.0), &[node.gradient(0), node.inputs[1]]);
        Some(vec![(0, dx)])
    }
}

impl Operation for AveragePool {
    fn name(&self) -> &'static str {
        "average_pool"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, y] = types(&self.0);
        checked(inputs, &[&x], vec![y])
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(average_pool::Problem { geometry: self.0, map: average_pool::Map::Output }.sequence(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        Some(vec![mean_of_taps(&self.0, inputs[0])?])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        Some(vec![(0, node.graph.fused(AveragePoolGradient(self.0), &[node.gradient(0)]))])
    }
}

impl Operation for AveragePoolGradient {
    fn name(&self) -> &'static str {
        "average_pool_gradient"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, y] = types(&self.0);
        checked(inputs, &[&y], vec![x])
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(average_pool::Problem { geometry: self.0, map: average_pool::Map::InputGradient }.sequence(target)?)
    }

    /// The adjoint of the pooling's definition.
    fn definition<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let [x, _] = types(&self.0);
        let x = graph.full(x.shape, 0.0);
        Some(vec![vector_jacobian(&[mean_of_taps(&self.0, x)?], &[inputs[0]], &[x])[0]?])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        Some(vec![(0, node.graph.fused(AveragePool(self.0), &[node.gradient(0)]))])
    }
}

fn mean_of_taps<'g>(geometry: &Geometry, x: Tensor<'g>) -> Option<Tensor<'g>> {
    let sum = taps(geometry, x).into_iter().reduce(|a, b| a + b)?;
    Some(sum / (geometry.kernel[0] * geometry.kernel[1]) as f32)
}

/// The place of each element of y among all elements of x, from that among the pixels of its image.
fn rows_of_table<'g>(graph: &'g Graph, geometry: &Geometry, index: Tensor<'g>) -> Tensor<'g> {
    let Geometry { images, input, channels, .. } = *geometry;
    let pixel =
        index.cast(Element::F32) + positions(graph, images).reshape([images, 1, 1, 1]) * (input[0] * input[1]) as f32;
    let element = pixel * channels as f32 + positions(graph, channels);
    element.cast(Element::U32).reshape([index.elements()])
}

/// The windows of a [`Tensor::max_pool`] or [`Tensor::average_pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Rows and columns from one window to the next.
    pub strides: [usize; 2],
    /// Rows of padding above and below, columns to the left and right: at most half a window.
    pub padding: [usize; 2],
}

impl PoolOptions {
    /// Square windows side by side, without padding.
    pub fn new(kernel: usize) -> Self {
        Self { kernel: [kernel; 2], strides: [kernel; 2], padding: [0; 2] }
    }
}

impl<'g> Tensor<'g> {
    /// The largest element of each window of images `(images, rows, columns, channels)`, each channel by itself. Padding is
    /// never the largest, a window's gradient goes to the first of equal elements, and the last NaN wins, all as in PyTorch's
    /// `max_pool2d`.
    #[track_caller]
    pub fn max_pool(self, options: PoolOptions) -> Self {
        self.pooled("max_pool", options, MaxPool)
    }

    /// The mean of each window of images `(images, rows, columns, channels)`, each channel by itself; padding counts as zeros,
    /// as in PyTorch's `avg_pool2d`.
    #[track_caller]
    pub fn average_pool(self, options: PoolOptions) -> Self {
        self.pooled("average_pool", options, AveragePool)
    }

    #[track_caller]
    fn pooled<T: Operation>(self, name: &'static str, options: PoolOptions, make: fn(Geometry) -> T) -> Self {
        if self.is_poisoned() {
            return self;
        }
        match windows(self, &options) {
            Some(geometry) => self.graph().fused(make(geometry), &[self]),
            None => {
                let message = format!(
                    "takes F32 images (images, rows, columns, channels) in which a window fits, padded by at most half of it, got {self:?} and {options:?}"
                );
                self.graph().fail(name, message)
            }
        }
    }
}

/// The windows in these images, if they fit.
fn windows(x: Tensor<'_>, options: &PoolOptions) -> Option<Geometry> {
    let PoolOptions { kernel, strides, padding } = *options;
    let shape = x.shape();
    let &[images, rows, columns, channels] = &*shape else { return None };
    let axis = |length: usize, axis: usize| {
        let fits = kernel[axis] > 0 && padding[axis] <= kernel[axis] / 2 && x.kind().is_float();
        let room = length.checked_add(padding[axis].checked_mul(2)?)?.checked_sub(kernel[axis])?;
        fits.then_some(room.checked_div(strides[axis])? + 1)
    };
    let output = [axis(rows, 0)?, axis(columns, 1)?];
    let input = [rows, columns];
    let [outputs, groups] = [channels; 2];
    Some(Geometry { images, input, channels, output, outputs, kernel, strides, before: padding, groups })
}
