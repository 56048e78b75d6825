//! Average pooling of images, whose padding counts as zeros, and its gradient.

use crate::convolution::Geometry;
use crate::description::row_layout::sum_units;
use crate::pooling::{self, Uniform};
use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/place.wgsl", "windows.wgsl", "average_pool.wgsl"), passes);

/// The elements of a window, or the windows over an element.
fn passes(call: &Call) -> u64 {
    match call.kernel.entry_point {
        "average_pool" => pooling::passes_of_window(&call.uniform()),
        _ => pooling::passes_of_gradient(&call.uniform()),
    }
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&AVERAGE_POOL, &AVERAGE_POOL_GRADIENT];

/// The mean of each window.
pub static AVERAGE_POOL: Kernel = MODULE.kernel(
    "average_pool.average_pool",
    &[
        Binding::read("x", "(images, rows, columns, channels)"),
        Binding::write("y", "(images, out rows, out columns, channels)"),
    ],
    average_pool_twin,
    tolerance,
    |generator| case(generator, Map::Output),
);

/// The gradient of the input.
pub static AVERAGE_POOL_GRADIENT: Kernel = MODULE.kernel(
    "average_pool.average_pool_gradient",
    &[
        Binding::read("dy", "(images, out rows, out columns, channels)"),
        Binding::write("dx", "(images, rows, columns, channels)"),
    ],
    gradient_twin,
    tolerance,
    |generator| case(generator, Map::InputGradient),
);

/// One of the two maps of an average pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The windows: a convolution of as many groups and outputs as channels.
    pub geometry: Geometry,
    /// The map that is computed.
    pub map: Map,
}

/// The map that is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Map {
    /// `x` to `y`.
    Output,
    /// `dy` to `dx`.
    InputGradient,
}

impl Problem {
    /// The dispatch, with the arguments that [`Map`] names.
    ///
    /// # Errors
    /// A size out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let (sizes, ..) = pooling::check(Sizes("average_pool"), &self.geometry)?;
        let call = self.call();
        let (passes, limit) = (passes(&call), target.loop_passes().unwrap_or(u64::MAX));
        let name = "passes through the elements of a window";
        sizes.expect(name, passes <= limit, format_args!("at most {limit}"), passes)?.sequence(call)
    }

    fn call(&self) -> Call {
        let uniform = Uniform::new(&self.geometry);
        let [x, _, y] = self.geometry.lengths();
        match self.map {
            Map::Output => pooling::call(&AVERAGE_POOL, &uniform, y, [x, y]),
            Map::InputGradient => {
                pooling::call(&AVERAGE_POOL_GRADIENT, &uniform, pooling::strips(&self.geometry), [y, x])
            }
        }
    }
}

/// The twin of the pooling.
pub(crate) fn average_pool(uniform: &Uniform, x: &[f32], y: &mut [f32]) {
    let count = f64::from(uniform.kernel_rows * uniform.kernel_columns);
    for window in uniform.windows() {
        let elements = window.pixels(uniform.columns).map(|pixel| f64::from(x[uniform.place(&window, pixel)]));
        y[window.index] = (elements.sum::<f64>() / count) as f32;
    }
}

/// The twin of the gradient.
pub(crate) fn average_pool_gradient(uniform: &Uniform, dy: &[f32], dx: &mut [f32]) {
    let count = f64::from(uniform.kernel_rows * uniform.kernel_columns);
    let mut sums = vec![0.0f64; dx.len()];
    for window in uniform.windows() {
        for pixel in window.pixels(uniform.columns) {
            sums[uniform.place(&window, pixel)] += f64::from(dy[window.index]);
        }
    }
    for (dx, sum) in dx.iter_mut().zip(sums) {
        *dx = (sum / count) as f32;
    }
}

fn average_pool_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, y] = operands else { unreachable!("average pooling has two operands") };
    average_pool(&call.uniform(), x.f32(), y.f32());
}

fn gradient_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [dy, dx] = operands else { unreachable!("the gradient has two operands") };
    average_pool_gradient(&call.uniform(), dy.f32(), dx.f32());
}

/// A sum errs by a unit of its terms' magnitudes for each, and the quotient by 2.5 units.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let magnitudes: Vec<f32> = operands[0].f32().iter().map(|value| value.abs()).collect();
    let mut means = vec![0.0; call.lengths[1]];
    let terms = match call.kernel.entry_point {
        "average_pool" => {
            average_pool(&uniform, &magnitudes, &mut means);
            uniform.kernel_rows * uniform.kernel_columns
        }
        _ => {
            average_pool_gradient(&uniform, &magnitudes, &mut means);
            uniform.most_windows().iter().product()
        }
    };
    let units = 2.0 * (sum_units(terms as usize) + 3.0) * Tolerance::EPSILON;
    let flushed = f64::from(terms) * f64::from(f32::MIN_POSITIVE);
    Tolerance::PerElement(means.iter().map(|mean| units * f64::from(*mean) + flushed).collect())
}

fn case(generator: &mut Generator, map: Map) -> Case {
    let problem = Problem { geometry: pooling::draw(generator), map };
    let call = problem.call();
    let values = generator.values(call.lengths[0], 1e30);
    Case::new(problem, call, [values])
}

#[cfg(test)]
mod tests {
    use super::*;

    // By torch.nn.functional.avg_pool2d of PyTorch 2.15.0, kernel 3, stride 2, padding 1.
    #[test]
    fn padding_counts_as_zeros() {
        let geometry = Geometry::square([1, 3, 3, 1], 1, 3, 2, 1);
        let x: Vec<f32> = (1u8..=9).map(f32::from).collect();
        let mut y = [f32::NAN; 4];
        average_pool(&Uniform::new(&geometry), &x, &mut y);
        assert_eq!(y, [12.0 / 9.0, 16.0 / 9.0, 24.0 / 9.0, 28.0 / 9.0]);
    }
}
