//! Kernels over flat buffers, element by element: one invocation takes a `vec4` of four elements where the count is
//! divisible by four (in the WGSL, `x4` is `x` seen as vectors of four), and one element (the `ragged` entry point)
//! where it is not.

use bytemuck::Pod;

use crate::{Call, Data, Generator, Kernel, grid};

/// Invocations of a workgroup: the default of `WORKGROUP` in each WGSL file.
const WORKGROUP: usize = 256;

/// Elements of one invocation of the fast form.
const LANES: usize = 4;

/// Invocations of a workgroup in cases that fold the grid.
pub(crate) const NARROW: usize = 8;

/// The two forms of a kernel.
pub(crate) struct VectorAndScalar {
    pub vec4: &'static Kernel,
    pub ragged: &'static Kernel,
}

impl VectorAndScalar {
    /// The call over `count` elements.
    pub fn call(&self, uniform: &impl Pod, count: usize, lengths: impl Into<Vec<usize>>) -> Call {
        let (kernel, invocations) = self.choose(count);
        Call::new(kernel, uniform, invocations.div_ceil(WORKGROUP), lengths)
    }

    fn choose(&self, count: usize) -> (&'static Kernel, usize) {
        if count.is_multiple_of(LANES) { (self.vec4, count / LANES) } else { (self.ragged, count) }
    }

    /// A random element count that suits one of the forms, and what `draw` makes of it: a problem and its call.
    ///
    /// At WebGPU's default limit of 128 MiB in a binding, a grid of full workgroups never needs to fold; a case that
    /// asks for the fold gets it from workgroups of [`NARROW`] invocations.
    pub fn case<T>(
        &self,
        generator: &mut Generator,
        ragged: bool,
        draw: impl FnOnce(&mut Generator, usize) -> (T, Call),
    ) -> (T, Call, usize) {
        let huge = generator.huge();
        let count = match (huge, ragged) {
            (true, true) => NARROW * 65_537 + 1,
            (true, false) => NARROW * LANES * 65_537,
            (false, true) => {
                let count = generator.length(5_000);
                if count.is_multiple_of(LANES) { count + 1 } else { count }
            }
            (false, false) => LANES * generator.length(1_250),
        };
        let (problem, mut call) = draw(generator, count);
        if huge {
            let (_, invocations) = self.choose(count);
            call = call.with_grid(grid(invocations.div_ceil(NARROW))).with_constant("WORKGROUP", NARROW as u32);
        }
        (problem, call, count)
    }
}

/// Values that are drawn at most.
const PERIOD: usize = 5_003;

/// As [`values`], with those of [`Generator::values_with_specials`].
pub(crate) fn values_with_specials(generator: &mut Generator, count: usize, largest: f32) -> Data {
    let block = generator.values_with_specials(count.min(PERIOD), largest);
    Data::F32(block.f32().iter().copied().cycle().take(count).collect())
}

/// As [`Generator::values`]; past some thousand elements the values repeat, which saves most of the time of cases with
/// millions.
pub(crate) fn values(generator: &mut Generator, count: usize, largest: f32) -> Data {
    let block = generator.values(count.min(PERIOD), largest);
    Data::F32(block.f32().iter().copied().cycle().take(count).collect())
}
