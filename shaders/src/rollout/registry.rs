//! The list of environments and policies by name, from which every list of kernels, the tests and `verify` draw.
//!
//! A line for each: its name, which is that of its WGSL file, and an instance that a generator of cases draws.

use std::sync::Arc;

use super::environments::{Acrobot, CartPole, CartPoleSwingUp, KeyToDoor, MountainCarContinuous, Pendulum, Swimmer};
use super::policies::{AttentionNeuron, Linear, Perceptron};
use super::unroll::case::listed;
use super::unroll::{Environment, Policy};
use super::{step, unroll};
use crate::{Case, Generator, KernelRef};

/// An environment of this crate, under its name.
pub struct ListedEnvironment {
    /// The name of its WGSL file, without the ending.
    pub name: &'static str,
    /// Draws an instance.
    pub draw: fn(&mut Generator) -> Arc<dyn Environment>,
    unroll: fn(&mut Generator) -> Case,
    step: fn(&mut Generator) -> Case,
}

/// A policy of this crate, under its name.
pub struct ListedPolicy {
    /// The name of its WGSL file, without the ending.
    pub name: &'static str,
    /// Draws an instance.
    pub draw: fn(&mut Generator) -> Arc<dyn Policy>,
    unroll: fn(&mut Generator) -> Case,
}

/// Lists environments: a name and a function that draws an instance.
macro_rules! environments {
    ($($name:literal => $draw:expr,)*) => {
        /// Every environment of this crate.
        pub const ENVIRONMENTS: &[ListedEnvironment] = &[$(ListedEnvironment {
            name: $name,
            draw: $draw,
            unroll: |generator| {
                let draw: fn(&mut Generator) -> Arc<dyn Environment> = $draw;
                let environment = draw(generator);
                unroll::case::case_of(generator, environment, Arc::new(Linear))
            },
            step: |generator| {
                let draw: fn(&mut Generator) -> Arc<dyn Environment> = $draw;
                let environment = draw(generator);
                step::case::case_of(generator, environment)
            },
        }),*];
    };
}

/// Lists policies: a name and a function that draws an instance.
macro_rules! policies {
    ($($name:literal => $draw:expr,)*) => {
        /// Every policy of this crate.
        pub const POLICIES: &[ListedPolicy] = &[$(ListedPolicy {
            name: $name,
            draw: $draw,
            unroll: |generator| {
                let draw: fn(&mut Generator) -> Arc<dyn Policy> = $draw;
                let (environment, policy) = (swing_up(generator), draw(generator));
                unroll::case::case_of(generator, environment, policy)
            },
        }),*];
    };
}

environments! {
    "cart_pole_swing_up" => swing_up,
    "cart_pole" => |_| Arc::new(CartPole),
    "pendulum" => |_| Arc::new(Pendulum),
    "acrobot" => |_| Arc::new(Acrobot),
    "mountain_car_continuous" => |_| Arc::new(MountainCarContinuous),
    "swimmer" => |_| Arc::new(Swimmer),
    "key_to_door" => |generator| Arc::new(generator.pick(&[
        KeyToDoor::full(),
        KeyToDoor::square(4, 5),
        KeyToDoor { side: None, phases: [2, 1, 3] },
    ])),
}

policies! {
    "linear" => |_| Arc::new(Linear),
    "perceptron" => perceptron,
    "attention_neuron" => |generator| Arc::new(generator.pick(&[AttentionNeuron::cart_pole(), odd_attention_neuron()])),
}

fn swing_up(generator: &mut Generator) -> Arc<dyn Environment> {
    Arc::new(CartPoleSwingUp { easy: generator.chance(0.5) })
}

fn perceptron(generator: &mut Generator) -> Arc<dyn Policy> {
    if generator.chance(0.5) {
        return Arc::new(Perceptron::new(&[16]));
    }
    Arc::new(Perceptron::new(&[3, 6, 5]).linear_output())
}

/// All switches, and no size a multiple of four.
fn odd_attention_neuron() -> AttentionNeuron {
    AttentionNeuron {
        rows: 7,
        hidden: 6,
        key_dimension: 5,
        position_dimension: 3,
        key_bias: true,
        scale: true,
        layers: 2,
        factor: 0.5,
        ..AttentionNeuron::cart_pole()
    }
}

/// The unroll of each environment with a linear policy and of each other policy in the cart-pole swing-up, and the step
/// of each environment.
pub(crate) fn kernels() -> Vec<KernelRef> {
    let policies = POLICIES.iter().filter(|policy| policy.name != "linear");
    let unrolls = ENVIRONMENTS.iter().map(|listed| (listed.name, listed.unroll));
    let unrolls = unrolls.chain(policies.map(|listed| (listed.name, listed.unroll)));
    let steps = ENVIRONMENTS
        .iter()
        .map(|listed_environment| listed(format!("step({})", listed_environment.name), listed_environment.step));
    unrolls.map(|(name, case)| listed(format!("unroll({name})"), case)).chain(steps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_files() {
        let generator = &mut Generator::new(1, 10);
        for listed in ENVIRONMENTS {
            assert_eq!((listed.draw)(generator).file(), format!("{}.wgsl", listed.name));
        }
        for listed in POLICIES {
            assert_eq!((listed.draw)(generator).file(), format!("{}.wgsl", listed.name));
        }
    }
}
