//! The list of environments and policies by name, from which every list of kernels, the tests and `verify` draw.
//!
//! A line for each: its name, which is that of its WGSL file, and an instance that a generator of cases draws.

use std::sync::Arc;

use super::environments::car_racing::{Camera, CarRacing, Picture};
use super::environments::{
    Acrobot, CartPole, CartPoleSwingUp, KeyToDoor, MountainCarContinuous, Pendulum, Pong, Swimmer,
};
use super::policies::{AttentionNeuron, Linear, Perceptron};
use super::unroll::{Environment, Policy};
use super::{act, picture, pong_teacher, step, unroll};
use crate::{Generator, KernelRef, Listed};

/// Every environment of this crate.
pub const ENVIRONMENTS: &[Listed<dyn Environment>] = &[
    Listed { name: "cart_pole_swing_up", draw: swing_up },
    Listed { name: "cart_pole", draw: |_| Arc::new(CartPole) },
    Listed { name: "pendulum", draw: |_| Arc::new(Pendulum) },
    Listed { name: "acrobot", draw: |_| Arc::new(Acrobot) },
    Listed { name: "mountain_car_continuous", draw: |_| Arc::new(MountainCarContinuous) },
    Listed { name: "swimmer", draw: |_| Arc::new(Swimmer) },
    Listed { name: "pong", draw: |_| Arc::new(Pong) },
    Listed { name: "car_racing", draw: car_racing },
    Listed {
        name: "key_to_door",
        draw: |generator| {
            let odd = KeyToDoor { side: None, phases: [2, 1, 3] };
            Arc::new(generator.pick(&[KeyToDoor::full(), KeyToDoor::square(4, 5), odd]))
        },
    },
];

/// Every policy of this crate.
pub const POLICIES: &[Listed<dyn Policy>] = &[
    Listed { name: "linear", draw: |_| Arc::new(Linear) },
    Listed { name: "perceptron", draw: perceptron },
    Listed {
        name: "attention_neuron",
        draw: |generator| {
            let drawn =
                generator.pick(&[AttentionNeuron::cart_pole(), odd_attention_neuron(), AttentionNeuron::evojax()]);
            // Its message of 64 numbers takes software drivers long to compile.
            let large = drawn == AttentionNeuron::evojax() && !generator.on_gpu();
            Arc::new(if large { AttentionNeuron::cart_pole() } else { drawn })
        },
    },
];

fn swing_up(generator: &mut Generator) -> Arc<dyn Environment> {
    Arc::new(CartPoleSwingUp { easy: generator.chance(0.5) })
}

/// Races on few tracks, seen in small pictures.
fn car_racing(generator: &mut Generator) -> Arc<dyn Environment> {
    // Few ways to put it together, since each is a pipeline to build.
    let mut race = CarRacing::new(1, 1, 3);
    race.early_end = generator.chance(0.5);
    race.picture = match race.early_end {
        true => Picture { size: 19, camera: Camera::Hull, zoom_in: true, samples: 2, ..Picture::default() },
        false => Picture { size: 49, colour: true, instruments: true, ..Picture::default() },
    };
    Arc::new(race)
}

fn perceptron(generator: &mut Generator) -> Arc<dyn Policy> {
    Arc::new(match generator.pick(&[0, 0, 1, 1, 2]) {
        0 => Perceptron::new(&[16]),
        1 => Perceptron::new(&[3, 6, 5]).linear_output(),
        // Wider than a lane of a GPU has registers for, and more weights than a workgroup has memory for.
        _ if generator.on_gpu() && generator.chance(0.5) => Perceptron::new(&[64, 64]),
        _ => Perceptron::new(&[7, 40]),
    })
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

/// The unroll of each environment with a linear policy and of each other policy in the cart-pole swing-up (the perceptron
/// swims too), the step of each environment and the picture of those that have one, the act of each policy, and the
/// teacher of Pong.
pub(crate) fn kernels() -> Vec<KernelRef> {
    let unrolls = ENVIRONMENTS.iter().map(|environment| {
        KernelRef::listed(format!("unroll({})", environment.name), |generator| {
            let environment = (environment.draw)(generator);
            unroll::case::case_of(generator, environment, Arc::new(Linear))
        })
    });
    let policies = POLICIES.iter().filter(|policy| policy.name != "linear").map(|policy| {
        KernelRef::listed(format!("unroll({})", policy.name), |generator| {
            // With more than one action where that costs little to compile.
            let swims = policy.name == "perceptron" && generator.chance(0.3);
            let environment: Arc<dyn Environment> = if swims { Arc::new(Swimmer) } else { swing_up(generator) };
            let policy = (policy.draw)(generator);
            unroll::case::case_of(generator, environment, policy)
        })
    });
    let steps = ENVIRONMENTS.iter().map(|environment| {
        KernelRef::listed(format!("step({})", environment.name), |generator| {
            let environment = (environment.draw)(generator);
            step::case::case_of(generator, environment)
        })
    });
    let is_seen =
        |environment: &&Listed<dyn Environment>| (environment.draw)(&mut Generator::new(0, 1)).picture().is_some();
    let pictures = ENVIRONMENTS.iter().filter(is_seen).map(|environment| {
        KernelRef::listed(format!("picture({})", environment.name), |generator| {
            let environment = (environment.draw)(generator);
            picture::case::case_of(generator, environment)
        })
    });
    let acts = POLICIES.iter().map(|policy| {
        KernelRef::listed(format!("act({})", policy.name), |generator| {
            let policy = (policy.draw)(generator);
            act::case::case_of(generator, policy)
        })
    });
    unrolls.chain(policies).chain(steps).chain(pictures).chain(acts).chain([pong_teacher::listed()]).collect()
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
