//! Inner problems whose WGSL and twin lie side by side.

mod character_lstm;
mod control;
mod influence_balancing;
mod linear_loss;
mod lorenz;
mod ridge;
mod toy_regression;

pub use character_lstm::CharacterLstm;
pub use control::Control;
pub use influence_balancing::InfluenceBalancing;
pub use linear_loss::LinearLoss;
pub use lorenz::Lorenz;
pub use ridge::{Ridge, RidgeError};
pub use toy_regression::ToyRegression;

use std::sync::Arc;

use crate::inner_problem::InnerProblem;
use crate::rollout::environments::{CartPole, CartPoleSwingUp, Swimmer};
use crate::rollout::policies::{Linear, Perceptron};
use crate::{Generator, Listed};

/// Rows of 5 features, the targets a product of two.
fn small_ridge() -> Ridge {
    let wave = |row: usize, feature: usize| (0.9 * (row * (feature + 1)) as f32 + feature as f32).sin();
    let rows: Vec<Vec<f32>> = (0..25).map(|row| (0..5).map(|feature| wave(row, feature)).collect()).collect();
    let targets: Vec<f32> = (0..25).map(|row| wave(row, 0) * wave(row, 3) + wave(row, 2)).collect();
    Ridge::new(&rows, &targets, 0).expect("25 rows of 5 finite numbers")
}

/// Every inner problem of this crate, as small instances of all their forms: kernels, cases and tests draw from this list.
pub const PROBLEMS: &[Listed<dyn InnerProblem>] = &[
    Listed { name: "toy_regression", draw: |_| Arc::new(ToyRegression::default()) },
    Listed { name: "influence_balancing", draw: |_| Arc::new(InfluenceBalancing) },
    Listed { name: "lorenz", draw: |_| Arc::new(Lorenz { horizon: 20 }) },
    Listed { name: "linear_loss.independent", draw: |_| Arc::new(LinearLoss::independent(7, 3, 1)) },
    Listed {
        name: "linear_loss.memoryless",
        draw: |_| Arc::new(LinearLoss::memoryless(16, &[1.0, -0.5, 2.0, 0.25, 1.5])),
    },
    Listed { name: "ridge", draw: |_| Arc::new(small_ridge()) },
    Listed { name: "character_lstm.random", draw: |_| Arc::new(CharacterLstm::random(12, 7, 5)) },
    Listed { name: "character_lstm.sized", draw: |_| Arc::new(CharacterLstm::sized(&[2, 0, 1, 1, 2], 3, 2, 3)) },
    Listed { name: "control.swimmer", draw: |_| Arc::new(Control::new(Swimmer, Linear)) },
    Listed {
        name: "control.cart_pole_swing_up",
        draw: |_| Arc::new(Control::new(CartPoleSwingUp { easy: true }, Perceptron::new(&[6])).waiting()),
    },
    // The pole falls within some steps.
    Listed { name: "control.cart_pole", draw: |_| Arc::new(Control::new(CartPole, Linear)) },
    Listed { name: "control.cart_pole.waiting", draw: |_| Arc::new(Control::new(CartPole, Linear).waiting()) },
];

/// One instance of each entry of [`PROBLEMS`].
pub fn samples() -> Vec<Arc<dyn InnerProblem>> {
    let generator = &mut Generator::new(0, Generator::FULL);
    PROBLEMS.iter().map(|entry| (entry.draw)(generator)).collect()
}

#[cfg(test)]
mod tests {
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    use super::*;
    use crate::inner_problem::LIBRARY;
    use crate::random::threefry::Random;
    use crate::rollout::unroll::EpisodeRandom;

    /// State and last loss after so many steps from the first state of episode 0.
    pub(crate) fn after(problem: &dyn InnerProblem, parameters: &[f64], steps: u32) -> (Vec<f64>, f64) {
        let mut state = vec![0.0; problem.states()];
        problem.reset(&mut EpisodeRandom::new(0, 0, 0, 0), &mut state);
        let mut loss = 0.0;
        for time in 0..steps {
            loss = problem.step(&mut state, parameters, time, &mut EpisodeRandom::new(0, 1, 0, time)).value;
        }
        (state, loss)
    }

    /// A file that defines what kernels define for a problem.
    fn composed(problem: &dyn InnerProblem) -> String {
        let mut source = format!(
            "const STATE: u32 = {}u;\nconst PARAMETERS: u32 = {}u;\nconst DATA: u32 = {}u;\n",
            problem.states(),
            problem.parameters(),
            problem.data().len().max(1),
        );
        for (name, size) in problem.sizes() {
            source += &format!("const {name}: u32 = {size}u;\n");
        }
        source += "@group(0) @binding(0) var<storage, read> data: array<f32, DATA>;\n\
                   @group(0) @binding(1) var<storage, read> weights: array<f32, PARAMETERS>;\n\
                   @group(0) @binding(2) var<storage, read> directions: array<f32, PARAMETERS>;\n\
                   @group(0) @binding(3) var<storage, read_write> losses: array<f32, 2>;\n\
                   fn parameter(i: u32) -> f32 { return weights[i]; }\n\
                   fn parameter_tangent(i: u32) -> f32 { return directions[i]; }\n";
        for file in LIBRARY {
            source += file;
        }
        source += &problem.source();
        let tangent = problem.tangent_source();
        source += tangent.as_deref().unwrap_or_default();
        source += "@compute @workgroup_size(1) fn main() {\n\
                   var random: Random;\n\
                   var state = problem_reset(&random);\n\
                   losses[0] = problem_step(&state, 0u, &random).value;\n";
        if tangent.is_some() {
            source += "var tangent: array<f32, STATE>;\nlosses[1] = problem_tangent(state, &tangent, 1u, &random);\n";
        }
        source + "}\n"
    }

    #[test]
    fn every_problem_is_valid_wgsl() {
        for problem in samples() {
            let source = composed(&*problem);
            let module = naga::front::wgsl::parse_str(&source);
            let module = module.unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source)));
            let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
            validated.unwrap_or_else(|error| panic!("{}: {}", problem.file(), error.emit_to_string(&source)));
        }
    }

    /// A step from the middle of an episode, along random directions of state and parameters, against central
    /// differences.
    #[test]
    fn tangents_are_the_derivatives_of_the_steps() {
        const STEP: f64 = 1e-5;
        let mut random = Random::new(7, 0);
        let mut normals = |count: usize| (0..count).map(|_| f64::from(random.normal())).collect::<Vec<f64>>();
        let differentiable = samples().into_iter().filter(|problem| problem.tangent_source().is_some());
        for problem in differentiable {
            for time in [0, 1, 5, 6] {
                let name = problem.file();
                let parameters: Vec<f64> = normals(problem.parameters()).iter().map(|normal| 0.3 * normal).collect();
                let along = normals(problem.parameters());
                let (state, _) = after(&*problem, &parameters, time);
                let mut tangent = normals(problem.states());
                let from = tangent.clone();
                let moved = |step: f64| {
                    let mut state: Vec<f64> = state.iter().zip(&from).map(|(at, by)| at + step * by).collect();
                    let parameters: Vec<f64> = parameters.iter().zip(&along).map(|(at, by)| at + step * by).collect();
                    let random = &mut EpisodeRandom::new(0, 1, 0, time);
                    let loss = problem.step(&mut state, &parameters, time, random).value;
                    (state, loss)
                };
                let ((above, higher), (below, lower)) = (moved(STEP), moved(-STEP));
                let random = &mut EpisodeRandom::new(0, 1, 0, time);
                let slope = problem.tangent(&state, &mut tangent, &parameters, &along, time, random);
                let near = |got: f64, above: f64, below: f64| {
                    let expected = (above - below) / (2.0 * STEP);
                    let scale = 1.0 + expected.abs() + above.abs();
                    assert!((got - expected).abs() < 1e-7 * scale, "{name} at {time}: {got}, {expected}");
                };
                near(slope, higher, lower);
                for ((&got, &above), &below) in tangent.iter().zip(&above).zip(&below) {
                    near(got, above, below);
                }
            }
        }
    }
}
