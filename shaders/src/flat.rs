//! Kernels over flat buffers, element by element: one invocation takes a `vec4` of four elements where the count is
//! divisible by four, and one element (the `ragged` entry point) where it is not.

use bytemuck::Pod;

use crate::{Call, Generator, Kernel, grid};

/// Invocations of a workgroup: the default of `WORKGROUP` in each WGSL file.
const WORKGROUP: usize = 256;

/// Elements of one invocation of the fast form.
const LANES: usize = 4;

/// The two forms of a kernel.
pub(crate) struct Forms {
    pub vec4: &'static Kernel,
    pub ragged: &'static Kernel,
}

impl Forms {
    /// The call over `count` elements.
    pub fn call(&self, uniform: &impl Pod, count: usize, lengths: impl Into<Vec<usize>>) -> Call {
        let (kernel, invocations) = self.choose(count);
        Call::new(kernel, uniform, invocations.div_ceil(WORKGROUP), lengths)
    }

    fn choose(&self, count: usize) -> (&'static Kernel, usize) {
        if count.is_multiple_of(LANES) { (self.vec4, count / LANES) } else { (self.ragged, count) }
    }

    /// The same call in workgroups of a single invocation. At WebGPU's default limit of 128 MiB in a binding, a grid of
    /// full workgroups never needs to fold; a case that asks for the fold gets it so, from small buffers.
    pub fn narrow(&self, call: Call, count: usize) -> Call {
        let (_, invocations) = self.choose(count);
        call.with_grid(grid(invocations)).with_constant("WORKGROUP", 1u32)
    }

    /// The call that `draw` makes for a random element count that suits one of the forms.
    pub fn case<T>(
        generator: &mut Generator,
        ragged: bool,
        forms: &Forms,
        draw: impl FnOnce(&mut Generator, usize) -> (T, Call),
    ) -> (T, Call, usize) {
        let huge = generator.huge();
        let count = match (huge, ragged) {
            (true, true) => 65_537 + 2,
            (true, false) => 4 * 65_537,
            (false, true) => {
                let count = generator.length(5_000);
                if count.is_multiple_of(LANES) { count + 1 } else { count }
            }
            (false, false) => LANES * generator.length(1_250),
        };
        let (problem, call) = draw(generator, count);
        (problem, if huge { forms.narrow(call, count) } else { call }, count)
    }
}
