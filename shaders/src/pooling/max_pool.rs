//! Max pooling of images with the rules of PyTorch, its gradient, and the gradient of that: the elements of a tensor like x at
//! the places that were chosen.

use crate::convolution::Geometry;
use crate::pooling::{self, Uniform};
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance, product,
};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/place.wgsl", "../library/not_a_number.wgsl", "windows.wgsl", "max_pool.wgsl"),
    passes,
);

/// The elements of a window, or the windows over an element.
fn passes(call: &Call) -> u64 {
    match call.kernel.entry_point {
        "max_pool" => pooling::passes_of_window(&call.uniform()),
        "max_pool_gradient" if call.constant("SEPARATE") == Some(1.0) => {
            let Uniform { step_y, step_x, .. } = call.uniform();
            1 + u64::from(step_y) * (2 + u64::from(step_x))
        }
        "max_pool_gradient" => pooling::passes_of_gradient(&call.uniform()),
        _ => 0,
    }
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&MAX_POOL, &MAX_POOL_GRADIENT, &MAX_POOL_PICK];

/// The largest element of each window, and its place.
pub static MAX_POOL: Kernel = MODULE.kernel(
    "max_pool.max_pool",
    &[
        Binding::read("x", "(images, rows, columns, channels)"),
        Binding::write("y", "(images, out rows, out columns, channels)"),
        Binding::write("index", "(images, out rows, out columns, channels)").u32(),
    ],
    max_pool_twin,
    tolerance,
    max_pool_case,
);

/// The gradient of the input: each chosen element has that of its windows.
pub static MAX_POOL_GRADIENT: Kernel = MODULE.kernel(
    "max_pool.max_pool_gradient",
    &[
        Binding::read("dy", "(images, out rows, out columns, channels)"),
        Binding::read("chosen", "(images, out rows, out columns, channels)").u32(),
        Binding::write("dx", "(images, rows, columns, channels)"),
    ],
    gradient_twin,
    gradient_tolerance,
    gradient_case,
);

/// The elements at the chosen places.
pub static MAX_POOL_PICK: Kernel = MODULE.kernel(
    "max_pool.max_pool_pick",
    &[
        Binding::read("x", "(images, rows, columns, channels)"),
        Binding::read("chosen", "(images, out rows, out columns, channels)").u32(),
        Binding::write("picked", "(images, out rows, out columns, channels)"),
    ],
    pick_twin,
    tolerance,
    pick_case,
);

/// One of the three maps of a max pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The windows: a convolution of as many groups and outputs as channels.
    pub geometry: Geometry,
    /// The map that is computed.
    pub map: Map,
}

/// The map that is computed, with its arguments in order; `index` counts `row * columns + column` within an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Map {
    /// `x` to `y` and `index`.
    Output,
    /// `dy`, `index` to `dx`.
    InputGradient,
    /// A tensor like `x`, `index` to its elements there.
    Pick,
}

impl Problem {
    /// The dispatch, with the arguments that [`Map`] names.
    ///
    /// # Errors
    /// A size out of range, or windows that lie in padding alone.
    pub fn sequence(&self, _: &Target) -> Result<Sequence, Error> {
        let geometry = &self.geometry;
        let (mut sizes, ..) = pooling::check(Sizes("max_pool"), geometry)?;
        for (axis, name) in ["rows", "columns"].into_iter().enumerate() {
            let (before, kernel, stride) = (geometry.before[axis], geometry.kernel[axis], geometry.strides[axis]);
            let last = (geometry.output[axis] - 1) * stride;
            let holds_a_pixel = before < kernel && last < geometry.input[axis] + before;
            let padding = format_args!("{before} before {} {name}", geometry.input[axis]);
            sizes = sizes.expect("padding", holds_a_pixel, "such that every window holds a pixel", padding)?;
        }
        sizes.sequence(self.call())
    }

    fn call(&self) -> Call {
        let uniform = Uniform::new(&self.geometry);
        let [x, _, y] = self.geometry.lengths();
        match self.map {
            Map::Output => pooling::call(&MAX_POOL, &uniform, y, [x, y, y]),
            Map::InputGradient => {
                let is_separate = uniform.most_windows() == [1, 1];
                let Geometry { images, input, channels, strides, before, .. } = self.geometry;
                let blocks = |axis: usize| (input[axis] + before[axis]).div_ceil(strides[axis]);
                let invocations = match is_separate {
                    true => product(&[images, blocks(0), blocks(1), channels]),
                    false => pooling::strips(&self.geometry),
                };
                pooling::call(&MAX_POOL_GRADIENT, &uniform, invocations, [y, y, x])
                    .with_constant("SEPARATE", u32::from(is_separate))
            }
            Map::Pick => pooling::call(&MAX_POOL_PICK, &uniform, y, [x, y, y]),
        }
    }
}

/// The twin of the pooling.
pub(crate) fn max_pool(uniform: &Uniform, x: &[f32], y: &mut [f32], index: &mut [u32]) {
    for window in uniform.windows() {
        let mut best = (f32::NEG_INFINITY, window.rows.start * uniform.columns + window.columns.start);
        for pixel in window.pixels(uniform.columns) {
            let value = x[uniform.place(&window, pixel)];
            if value > best.0 || value.is_nan() {
                best = (value, pixel);
            }
        }
        (y[window.index], index[window.index]) = best;
    }
}

/// The twin of the gradient.
pub(crate) fn max_pool_gradient(uniform: &Uniform, dy: &[f32], chosen: &[u32], dx: &mut [f32]) {
    let mut sums = vec![0.0f64; dx.len()];
    for window in uniform.windows() {
        // An index that no max pooling gives has no gradient.
        if window.pixels(uniform.columns).any(|pixel| pixel == chosen[window.index]) {
            sums[uniform.place(&window, chosen[window.index])] += f64::from(dy[window.index]);
        }
    }
    for (dx, sum) in dx.iter_mut().zip(sums) {
        *dx = sum as f32;
    }
}

/// The twin of the gradient's gradient.
pub(crate) fn max_pool_pick(uniform: &Uniform, x: &[f32], chosen: &[u32], picked: &mut [f32]) {
    for window in uniform.windows() {
        let pixel = chosen[window.index].min(uniform.rows * uniform.columns - 1);
        picked[window.index] = x[uniform.place(&window, pixel)];
    }
}

fn max_pool_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, y, index] = operands else { unreachable!("max pooling has three operands") };
    max_pool(&call.uniform(), x.f32(), y.f32(), index.u32());
}

fn gradient_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [dy, chosen, dx] = operands else { unreachable!("the gradient has three operands") };
    max_pool_gradient(&call.uniform(), dy.f32(), chosen.u32(), dx.f32());
}

fn pick_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, chosen, picked] = operands else { unreachable!("the pick has three operands") };
    max_pool_pick(&call.uniform(), x.f32(), chosen.u32(), picked.f32());
}

/// Nothing is computed: an element is one of x. A NaN may have other bits.
fn tolerance(_: &Call, _: &[Data], _: usize) -> Tolerance {
    Tolerance::Within { relative: 0.0, absolute: 0.0 }
}

/// The gradients of a few windows are added: each addition errs by a unit of the sum of magnitudes.
fn gradient_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let magnitudes: Vec<f32> = operands[0].f32().iter().map(|dy| dy.abs()).collect();
    let mut sums = vec![0.0; call.lengths[2]];
    max_pool_gradient(&uniform, &magnitudes, operands[1].u32(), &mut sums);
    let windows = f64::from(uniform.most_windows().iter().product::<u32>());
    let units = 2.0 * windows * Tolerance::EPSILON;
    let flushed = windows * f64::from(f32::MIN_POSITIVE);
    Tolerance::PerElement(sums.iter().map(|sum| units * f64::from(*sum) + flushed).collect())
}

fn max_pool_case(generator: &mut Generator) -> Case {
    let problem = Problem { geometry: pooling::draw(generator), map: Map::Output };
    let x = tied(generator, problem.geometry.lengths()[0]);
    Case::new(problem, problem.call(), [x])
}

/// Values among which many are equal.
fn tied(generator: &mut Generator, length: usize) -> Data {
    let values = generator.values_with_specials(length, 1e30);
    if !generator.chance(0.5) {
        return values;
    }
    Data::F32(values.f32().iter().map(|value| if value.is_nan() { *value } else { value.signum() }).collect())
}

/// A pooling with the places that it chooses in random images.
fn chosen(generator: &mut Generator, map: Map) -> (Problem, Data) {
    let problem = Problem { geometry: pooling::draw(generator), map };
    let [x, _, y] = problem.geometry.lengths();
    let x = tied(generator, x);
    let (mut largest, mut index) = (vec![0.0; y], vec![0; y]);
    max_pool(&Uniform::new(&problem.geometry), x.f32(), &mut largest, &mut index);
    (problem, Data::U32(index))
}

fn gradient_case(generator: &mut Generator) -> Case {
    let (problem, index) = chosen(generator, Map::InputGradient);
    let dy = generator.values(index.len(), 1e30);
    Case::new(problem, problem.call(), [dy, index])
}

fn pick_case(generator: &mut Generator) -> Case {
    let (problem, index) = chosen(generator, Map::Pick);
    let x = generator.values_with_specials(problem.geometry.lengths()[0], 1e30);
    Case::new(problem, problem.call(), [x, index])
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f32; 16] = [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 0.0, 0.0, -1.0, 3.0, 0.0, 0.0, 3.0, 3.0];

    fn pool(x: &[f32], kernel: usize, stride: usize, padding: usize) -> (Uniform, Vec<f32>, Vec<u32>) {
        let geometry = Geometry::square([1, 4, 4, 1], 1, kernel, stride, padding);
        let uniform = Uniform::new(&geometry);
        let windows = geometry.lengths()[2];
        let (mut y, mut index) = (vec![f32::NAN; windows], vec![99; windows]);
        max_pool(&uniform, x, &mut y, &mut index);
        (uniform, y, index)
    }

    // Both by torch.nn.functional.max_pool2d(return_indices=True) of PyTorch 2.15.0.
    #[test]
    fn of_equal_elements_the_first_is_chosen() {
        let (uniform, _, index) = pool(&X, 2, 2, 0);
        assert_eq!(index, [0, 2, 8, 11]);
        let mut dx = [f32::NAN; 16];
        max_pool_gradient(&uniform, &[1.0; 4], &index, &mut dx);
        let ones: Vec<usize> = (0..16).filter(|&i| dx[i] == 1.0).collect();
        assert_eq!((ones, dx.iter().sum::<f32>()), (vec![0, 2, 8, 11], 4.0));
    }

    #[test]
    fn padding_is_never_chosen_and_windows_may_overlap() {
        let (_, y, index) = pool(&X, 3, 2, 1);
        assert_eq!((y, index), (vec![1.0, 2.0, 1.0, 3.0], vec![0, 2, 4, 11]));
    }

    #[test]
    fn the_last_nan_wins_and_minus_infinity_has_a_place() {
        let mut x = [f32::NEG_INFINITY; 16];
        (x[1], x[4]) = (f32::NAN, f32::NAN);
        let (_, y, index) = pool(&x, 2, 2, 0);
        assert!(y[0].is_nan() && y[3] == f32::NEG_INFINITY);
        assert_eq!(index, [4, 2, 8, 10]);
    }

    #[test]
    fn windows_in_padding_alone_are_refused() {
        let geometry = Geometry { before: [2; 2], ..Geometry::square([1, 4, 4, 3], 3, 2, 2, 0) }.grouped(3);
        let error = Problem { geometry, map: Map::Output }.sequence(&Target::default()).unwrap_err().to_string();
        assert!(error.contains("every window holds a pixel"), "{error}");
    }
}
