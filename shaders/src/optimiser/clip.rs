//! Clipping by the global norm: `clipped = gradient * min(1, max_norm / norm)`.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::{self, VectorAndScalar};
use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/place.wgsl", "clip.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&CLIP, &RAGGED];

const VARIANTS: VectorAndScalar = VectorAndScalar { vec4: &CLIP, ragged: &RAGGED };

/// Clipping of a count divisible by four.
pub static CLIP: Kernel = kernel("clip", "clip", |generator| case(generator, false));

/// Clipping of any count.
pub static RAGGED: Kernel = kernel("clip.ragged", "clip_ragged", |generator| case(generator, true));

const fn kernel(name: &'static str, entry_point: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    const BINDINGS: &[Binding] =
        &[Binding::read("gradient", "(count)"), Binding::read("norm", "(1)"), Binding::write("clipped", "(count)")];
    MODULE
        .kernel(name, BINDINGS, twin, tolerance, case)
        .with_entry_point(entry_point)
        .with_flops(|call| call.lengths[0] as f64)
}

/// The uniform block of `clip.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub count: u32,
    pub max_norm: f32,
}

/// Clipping of `count` elements in one flat buffer to the norm `max_norm`.
///
/// PyTorch's `clip_grad_norm_` divides by `norm + 1e-6`; this divides by the norm, so that a clipped gradient has the
/// norm asked for, and one within it keeps every bit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Elements of the gradient.
    pub count: usize,
    /// The largest norm that stays as it is, above 0.
    pub max_norm: f32,
}

impl Problem {
    /// Returns the dispatch with operands `gradient` (`count`), `norm` (1, that of the gradient), `clipped` (`count`).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("clip")
            .positive(&[("count", self.count)])?
            .expect("max_norm", self.max_norm > 0.0, "above 0", self.max_norm)?
            .sequence(self.call(target))
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        let uniform = Uniform { count: self.count as u32, max_norm: self.max_norm };
        VARIANTS.call(&uniform, self.count, [self.count, 1, self.count])
    }
}

/// The twin.
pub(crate) fn clip(uniform: &Uniform, gradient: &[f32], norm: &[f32], clipped: &mut [f32]) {
    let factor = f64::from(uniform.max_norm) / f64::from(norm[0]);
    for (&gradient, clipped) in gradient.iter().zip(clipped) {
        *clipped = if norm[0] <= uniform.max_norm { gradient } else { (f64::from(gradient) * factor) as f32 };
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [gradient, norm, clipped] = operands else { unreachable!("clip has three operands") };
    clip(&call.uniform(), gradient.f32(), norm.f32(), clipped.f32());
}

/// A division of 2.5 ulp, a product of 1 and the rounding of the twin; a copy where the norm is within the bound.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    if operands[1].f32()[0] <= call.uniform::<Uniform>().max_norm {
        return Tolerance::Exact;
    }
    Tolerance::Within { relative: 8.0 * Tolerance::EPSILON, absolute: 0.0 }
}

fn case(generator: &mut Generator, ragged: bool) -> Case {
    let (problem, call, count) = VARIANTS.case(generator, ragged, |generator, count| {
        let problem = Problem { count, max_norm: generator.pick(&[1e-3, 0.5, 5.0, 1e10, 1e20]) };
        (problem, problem.call(&Target::default()))
    });
    let gradient = elementwise_layout::values_with_specials(generator, count, 1e30);
    let square: f64 = gradient.f32().iter().map(|&value| f64::from(value).powi(2)).sum();
    Case::new(problem, call, [gradient, Data::F32(vec![square.sqrt() as f32])])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(gradient: [f32; 2], norm: f32, max_norm: f32) -> [f32; 2] {
        let mut clipped = [f32::NAN; 2];
        clip(&Uniform { count: 2, max_norm }, &gradient, &[norm], &mut clipped);
        clipped
    }

    #[test]
    fn a_gradient_beyond_the_bound_gets_its_norm_and_keeps_its_direction() {
        assert_eq!(run([3.0, 4.0], 5.0, 1.0), [0.6, 0.8]);
    }

    #[test]
    fn a_gradient_within_the_bound_and_a_zero_gradient_stay() {
        assert_eq!(run([3.0, 4.0], 5.0, 5.0), [3.0, 4.0]);
        assert_eq!(run([0.0, 0.0], 0.0, 0.0), [0.0, 0.0]);
    }
}
