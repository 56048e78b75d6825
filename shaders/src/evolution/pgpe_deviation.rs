//! A step of the deviations of PGPE along their gradient, each change limited to a share of the deviation itself (as in
//! EvoJAX): `deviation = max(deviation + clamp(rate * gradient, -fraction * deviation, fraction * deviation), floor)`.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::{self, VectorAndScalar};
use crate::elementwise::larger;
use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/place.wgsl", "../library/not_a_number.wgsl", "pgpe_deviation.wgsl"),
    |_| 0,
);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&PGPE_DEVIATION, &RAGGED];

const VARIANTS: VectorAndScalar = VectorAndScalar { vec4: &PGPE_DEVIATION, ragged: &RAGGED };

/// A step of a count divisible by four.
pub static PGPE_DEVIATION: Kernel = kernel("pgpe_deviation", "pgpe_deviation", |generator| case(generator, false));

/// A step of any count.
pub static RAGGED: Kernel = kernel("pgpe_deviation.ragged", "pgpe_deviation_ragged", |generator| case(generator, true));

const fn kernel(name: &'static str, entry_point: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    const BINDINGS: &[Binding] =
        &[Binding::update("deviation", "(count)"), Binding::read("gradient", "(count)"), Binding::read("rate", "(1)")];
    MODULE
        .kernel(name, BINDINGS, twin, tolerance, case)
        .with_entry_point(entry_point)
        .with_flops(|call| 3.0 * call.lengths[0] as f64)
}

/// The uniform block of `pgpe_deviation.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub count: u32,
    pub fraction: f32,
    pub floor: f32,
}

/// One step of `count` deviations, none negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Parameters, each with a deviation.
    pub count: usize,
    /// The largest change as a share of the deviation, 0.2 as a rule.
    pub fraction: f32,
    /// No deviation becomes smaller; above 0, so that none is lost for good.
    pub floor: f32,
}

impl Problem {
    /// Returns the dispatch with operands `deviation`, `gradient` (`count` each; the gradient points uphill), `rate` (1).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("pgpe_deviation")
            .positive(&[("count", self.count)])?
            .not_negative("fraction", self.fraction)?
            .above_zero("floor", self.floor)?
            .sequence(self.call(target))
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        let uniform = Uniform { count: self.count as u32, fraction: self.fraction, floor: self.floor };
        VARIANTS.call(&uniform, self.count, [self.count, self.count, 1])
    }
}

/// The twin.
pub(crate) fn pgpe_deviation(uniform: &Uniform, deviation: &mut [f32], gradient: &[f32], rate: &[f32]) {
    for (deviation, &gradient) in deviation.iter_mut().zip(gradient) {
        let limit = f64::from(uniform.fraction) * f64::from(*deviation);
        let change = (f64::from(rate[0]) * f64::from(gradient)).clamp(-limit, limit);
        *deviation = larger(f64::from(*deviation) + change, f64::from(uniform.floor)) as f32;
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [deviation, gradient, rate] = operands else { unreachable!("pgpe_deviation has three operands") };
    pgpe_deviation(&call.uniform(), deviation.f32(), gradient.f32(), rate.f32());
}

/// The change is one product, of the rate or of the fraction, whichever is smaller, rounded to either neighbour; so is
/// the sum. Products and deviations may be flushed to zero.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let [deviation, gradient, rate] = operands else { unreachable!("pgpe_deviation has three operands") };
    let bounds = deviation.f32().iter().zip(gradient.f32()).map(|(&deviation, &gradient)| {
        let change = f64::from(rate.f32()[0] * gradient).abs().min(f64::from(uniform.fraction * deviation));
        let magnitude = f64::from(deviation) + change;
        (2.0 * change + 3.0 * magnitude) * Tolerance::EPSILON + 3.0 * f64::from(f32::MIN_POSITIVE)
    });
    Tolerance::PerElement(bounds.collect())
}

fn case(generator: &mut Generator, ragged: bool) -> Case {
    let (problem, call, count) = VARIANTS.case(generator, ragged, |generator, count| {
        let problem =
            Problem { count, fraction: generator.pick(&[0.0, 0.2, 1.0]), floor: generator.pick(&[1e-30, 1e-4, 0.1]) };
        (problem, problem.call(&Target::default()))
    });
    let deviation =
        elementwise_layout::values(generator, count, 1e30).f32().iter().map(|deviation| deviation.abs()).collect();
    let gradient = elementwise_layout::values_with_specials(generator, count, 1e30);
    let rate = Data::F32(vec![generator.pick(&[0.0, 1e-3, 0.1, 1.0])]);
    Case::new(problem, call, [Data::F32(deviation), gradient, rate])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_limited_to_the_share_and_stops_at_the_floor() {
        let uniform = Uniform { count: 5, fraction: 0.25, floor: 0.5 };
        let mut deviation = [1.0, 1.0, 1.0, 1.0, 0.5];
        pgpe_deviation(&uniform, &mut deviation, &[1.0, 100.0, -100.0, 0.0, -100.0], &[0.125]);
        assert_eq!(deviation, [1.125, 1.25, 0.75, 1.0, 0.5]);
    }
}
