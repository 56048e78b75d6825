//! Stochastic gradient descent over all parameters at once: momentum, Nesterov's form, weight decay (PyTorch's SGD).

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::{self, VectorAndScalar};
use crate::optimiser::sgd_plain::{self, bound};
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target, Tolerance,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/place.wgsl", "sgd.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&SGD, &RAGGED];

const VARIANTS: VectorAndScalar = VectorAndScalar { vec4: &SGD, ragged: &RAGGED };

/// A step with momentum of a count divisible by four.
pub static SGD: Kernel = kernel("sgd", "sgd", |generator| case(generator, false));

/// A step with momentum of any count.
pub static RAGGED: Kernel = kernel("sgd.ragged", "sgd_ragged", |generator| case(generator, true));

const fn kernel(name: &'static str, entry_point: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    const BINDINGS: &[Binding] = &[
        Binding::update("weights", "(count)"),
        Binding::update("velocity", "(count)"),
        Binding::read("gradient", "(count)"),
        Binding::read("rate", "(1)"),
    ];
    MODULE
        .kernel(name, BINDINGS, twin, tolerance, case)
        .with_entry_point(entry_point)
        .with_flops(|call| 6.0 * call.lengths[0] as f64)
}

/// The uniform block of `sgd.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub count: u32,
    /// Elements, from the first on, that decay.
    pub decayed: u32,
    pub weight_decay: f32,
    pub momentum: f32,
    /// 1 for Nesterov's form, 0 otherwise.
    pub nesterov: u32,
}

/// One step of `count` parameters in one flat buffer.
///
/// Weight decay is coupled, as in PyTorch's SGD: it is added to the gradient and goes through the momentum. Only the
/// first `decayed` elements decay: lay out the buffer with the parameters that are exempt (biases, norms) last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Parameters of the buffer.
    pub count: usize,
    /// The factor of the velocity; 0 for none.
    pub momentum: f32,
    /// True for Nesterov's momentum.
    pub nesterov: bool,
    /// The coupled decay, added to the gradient; 0 for none.
    pub weight_decay: f32,
    /// Parameters, from the first on, that decay.
    pub decayed: usize,
}

impl Problem {
    /// True if the call has an operand `velocity`: where the momentum is not 0.
    pub fn has_velocity(&self) -> bool {
        self.momentum != 0.0
    }

    /// The call with operands `weights` (`count`), `velocity` (`count`, zeros at first; only where
    /// [`Problem::has_velocity`]), `gradient` (`count`), `rate` (1).
    pub(crate) fn call(&self, _: &Target) -> Call {
        let Self { count, momentum, weight_decay, .. } = *self;
        let decayed = self.decayed.min(count) as u32;
        if self.has_velocity() {
            let nesterov = u32::from(self.nesterov);
            let uniform = Uniform { count: count as u32, decayed, weight_decay, momentum, nesterov };
            VARIANTS.call(&uniform, count, [count, count, count, 1])
        } else {
            let uniform = sgd_plain::Uniform { count: count as u32, decayed, weight_decay };
            sgd_plain::VARIANTS.call(&uniform, count, [count, count, 1])
        }
    }

    /// The call as a sequence with arguments `weights`, `velocity`, `gradient`, `rate`; without momentum the velocity
    /// stays as it is.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = Sizes("sgd")
            .positive(&[("count", self.count)])?
            .finite("momentum", self.momentum)?
            .finite("weight_decay", self.weight_decay)?;
        let [weights, velocity, gradient, rate] = Slot::arguments();
        let plain = vec![weights, gradient, rate];
        let operands = if self.has_velocity() { vec![weights, velocity, gradient, rate] } else { plain };
        sizes.sequence(Sequence::of(self.call(target), operands))
    }
}

impl Uniform {
    /// The factor of weight decay of an element.
    fn decay(&self, element: usize) -> f64 {
        if element < self.decayed as usize { f64::from(self.weight_decay) } else { 0.0 }
    }
}

/// The twin.
pub(crate) fn sgd(uniform: &Uniform, weights: &mut [f32], velocity: &mut [f32], gradient: &[f32], rate: &[f32]) {
    let rate = f64::from(rate[0]);
    let momentum = f64::from(uniform.momentum);
    for (element, ((weight, velocity), &gradient)) in weights.iter_mut().zip(velocity).zip(gradient).enumerate() {
        let w = f64::from(*weight);
        let d = f64::from(gradient) + uniform.decay(element) * w;
        let v = momentum * f64::from(*velocity) + d;
        *velocity = v as f32;
        *weight = (w - rate * if uniform.nesterov == 1 { d + momentum * v } else { v }) as f32;
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [weights, velocity, gradient, rate] = operands else { unreachable!("sgd has four operands") };
    sgd(&call.uniform(), weights.f32(), velocity.f32(), gradient.f32(), rate.f32());
}

fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let [weights, velocity, gradient, rate] = operands else { unreachable!("sgd has four operands") };
    let terms = weights.f32().iter().zip(velocity.f32()).zip(gradient.f32()).enumerate();
    let bounds = terms.map(|(element, ((w, v), g))| {
        let [w, v, g] = [w, v, g].map(|value| f64::from(value.abs()));
        let d = g + uniform.decay(element) * w;
        let velocity = f64::from(uniform.momentum) * v + d;
        bound(if binding == 1 { velocity } else { w + f64::from(rate.f32()[0].abs()) * (d + velocity) })
    });
    Tolerance::PerElement(bounds.collect())
}

fn case(generator: &mut Generator, ragged: bool) -> Case {
    let (problem, call, count) = VARIANTS.case(generator, ragged, |generator, count| {
        let problem = Problem {
            count,
            momentum: generator.pick(&[0.5, 0.9, 0.99]),
            nesterov: generator.chance(0.5),
            weight_decay: generator.pick(&[0.0, 1e-4, 0.1]),
            decayed: generator.pick(&[0, 1, count / 2, count]),
        };
        (problem, problem.call(&Target::default()))
    });
    let [weights, velocity] = [(); 2].map(|()| elementwise_layout::values(generator, count, 1e30));
    let gradient = elementwise_layout::values_with_specials(generator, count, 1e30);
    let rate = Data::F32(vec![generator.pick(&[0.0, 1e-3, 0.1, 1.0])]);
    Case::new(problem, call, [weights, velocity, gradient, rate])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(momentum: f32, nesterov: bool, weight_decay: f32) -> Uniform {
        Problem { count: 1, momentum, nesterov, weight_decay, decayed: 1 }.call(&Target::default()).uniform()
    }

    /// `steps` of momentum on one weight from 1, with the gradient 1 and the rate 0.1.
    fn descend(uniform: &Uniform, steps: usize) -> f32 {
        let (mut weights, mut velocity) = ([1.0], [0.0]);
        (0..steps).for_each(|_| sgd(uniform, &mut weights, &mut velocity, &[1.0], &[0.1]));
        weights[0]
    }

    #[test]
    fn the_first_step_from_zero_velocity_is_a_plain_step() {
        assert_eq!(descend(&problem(0.9, false, 0.0), 1), 0.9);
    }

    #[test]
    fn velocities_of_a_constant_gradient_form_a_geometric_series() {
        // 1 - 0.1 (1 + 1.9 + 2.71)
        assert!((descend(&problem(0.9, false, 0.0), 3) - 0.439).abs() < 1e-6);
    }

    #[test]
    fn nesterov_looks_one_step_ahead() {
        // 1 - 0.1 ((1 + 0.9 * 1) + (1 + 0.9 * 1.9))
        assert!((descend(&problem(0.9, true, 0.0), 2) - 0.539).abs() < 1e-6);
    }

    #[test]
    fn weight_decay_is_added_to_the_gradient_of_the_first_elements_only() {
        let uniform = Uniform { count: 2, ..problem(0.9, false, 0.5) };
        let (mut weights, mut velocity) = ([2.0, 2.0], [0.0, 0.0]);
        sgd(&uniform, &mut weights, &mut velocity, &[1.0, 1.0], &[0.25]);
        assert_eq!(weights, [1.5, 1.75]);
    }

    #[test]
    fn a_zero_gradient_without_decay_moves_nothing() {
        let (mut weights, mut velocity) = ([3.0], [0.0]);
        sgd(&problem(0.9, true, 0.0), &mut weights, &mut velocity, &[0.0], &[0.1]);
        assert_eq!((weights, velocity), ([3.0], [0.0]));
    }

    #[test]
    fn a_step_without_momentum_is_the_plain_kernel() {
        let problem = Problem { count: 8, momentum: 0.0, nesterov: false, weight_decay: 0.0, decayed: 0 };
        assert_eq!(problem.call(&Target::default()).kernel.name, "sgd_plain");
    }
}
