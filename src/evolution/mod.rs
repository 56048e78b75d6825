//! Evolution strategies: estimators that see nothing of an objective but a number for each member of a population.
//!
//! A member is a flat `f32` tensor of parameters. Over rollouts its number is its fitness, and fitness is maximised; over
//! truncated unrolls of inner problems it is a loss, and losses are minimised.
//!
//! * [`OuterLoop`] moves the outer parameters downhill along the gradient that a [`Source`] estimates, many iterations in
//!   one submission. Losses are minimised there.
//! * [`UnrolledGradient`] is the source over truncated unrolls of an [`Inner`] problem, by any [`Estimator`]: persistent
//!   evolution strategies and their kin, truncated backpropagation, RTRL, UORO and DODGE. The problem is given in WGSL
//!   (an [`InnerProblem`]) or as a graph (a [`GraphProblem`]).
//! * [`RolloutGradient`] is the source over whole rollouts of a policy: OpenAI-ES or PGPE. [`VisionGradient`] is that of a
//!   network that sees its world.
//! * [`Evaluator`] gives the outer objective of an [`Inner`] problem at any points.
//! * `CmaEs` runs on the CPU in `f64`: sampling and adapting a covariance matrix cost little beside the rollouts of
//!   small networks, and nothing else learns as much from each of them (feature `cma-es`).
//!
//! Several processes can share a population: each unrolls its [`Part`] of it, they tell each other a few numbers of each
//! pair, and [`OuterLoop::run_part`] moves theta to the bits of one process that has all members.
//!
//! # An inner problem of one's own
//!
//! It is one WGSL file and one twin: how it starts, and a step that gives a loss. Here a ball rolls down a long valley
//! with momentum, and the learning rate and the momentum are to be learned; the WGSL stands in a string, as
//! `include_str!("heavy_ball.wgsl")` would give it. What the file may use is said at [`InnerProblem`].
//!
//! ```
//! use std::borrow::Cow;
//! use std::sync::Arc;
//!
//! use fourfold::evolution::*;
//! use fourfold::rollout::EpisodeRandom;
//! use fourfold::shaders::{Generator, inner_problem::Truncation};
//!
//! const HEAVY_BALL: &str = "
//! // State: place (x, y) and velocity in the valley (x^2 + 50 y^2) / 2. Parameters: the logarithm of the learning rate,
//! // and the logit of the momentum.
//! fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> {
//!     let x = random_normal(random);
//!     return array<f32, STATE>(x, random_normal(random), 0.0, 0.0);
//! }
//!
//! fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss {
//!     let rate = exp(parameter(0u));
//!     let momentum = 1.0 / (1.0 + exp(-parameter(1u)));
//!     (*state)[2] = momentum * (*state)[2] - rate * (*state)[0];
//!     (*state)[3] = momentum * (*state)[3] - rate * 50.0 * (*state)[1];
//!     (*state)[0] += (*state)[2];
//!     (*state)[1] += (*state)[3];
//!     return Loss(0.5 * (*state)[0] * (*state)[0] + 25.0 * (*state)[1] * (*state)[1], false);
//! }
//! ";
//!
//! #[derive(Debug)]
//! struct HeavyBall;
//!
//! impl InnerProblem for HeavyBall {
//!     fn file(&self) -> &str { "heavy_ball.wgsl" }
//!     fn source(&self) -> Cow<'static, str> { HEAVY_BALL.into() }
//!     fn states(&self) -> usize { 4 }
//!     fn parameters(&self) -> usize { 2 }
//!     fn horizon(&self) -> Option<usize> { Some(100) }
//!
//!     fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
//!         state.copy_from_slice(&[random.normal(), random.normal(), 0.0, 0.0]);
//!     }
//!
//!     fn step(&self, state: &mut [f64], parameters: &[f64], _: u32, _: &mut EpisodeRandom) -> Loss {
//!         let (rate, momentum) = (parameters[0].exp(), 1.0 / (1.0 + (-parameters[1]).exp()));
//!         state[2] = momentum * state[2] - rate * state[0];
//!         state[3] = momentum * state[3] - rate * 50.0 * state[1];
//!         state[0] += state[2];
//!         state[1] += state[3];
//!         Loss { value: 0.5 * state[0] * state[0] + 25.0 * state[1] * state[1], done: false }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let gpu = fourfold::Gpu::open()?;
//! let problem: Arc<dyn InnerProblem> = Arc::new(HeavyBall);
//!
//! // The kernel against the twin, from states that inner problems reach.
//! let case = Truncation::new(problem.clone(), 8, false).case(&mut Generator::new(1, Generator::FULL));
//! let verdict = fourfold::verify::run(&gpu, &case)?;
//! assert!(verdict.passed(), "{verdict}");
//!
//! // PES: 64 particles, unrolled 10 of the 100 steps at a time, from a small rate and a momentum of one half.
//! let start = [-7.0, 0.0];
//! let settings = UnrollSettings::new(Estimator::PES, 64, 10, 0.1);
//! let outer = OuterTensors::new(&gpu, &start, 42)?;
//! let gradient = UnrolledGradient::new(&gpu, problem.clone(), &settings, &outer)?;
//! let descent = OuterSettings { descent: Descent::adam(0.9), rate: 0.02, clip: None, ring: 1 };
//! let mut outer = OuterLoop::new(&gpu, outer, Box::new(gradient), descent)?;
//! println!("{} bytes", outer.bytes());
//! let progress = outer.run(400)?; // one submission, one readback
//!
//! // The mean over 32 whole inner problems, before and after.
//! let evaluator = Evaluator::new(&gpu, problem, &EvaluatorSettings { episodes: 32, ..EvaluatorSettings::new(2, 7) })?;
//! let objectives = evaluator.run(&[&start[..], &progress.centers[0]].concat())?;
//! assert!(objectives[1].sum < 0.5 * objectives[0].sum, "{objectives:?}");
//! # Ok(())
//! # }
//! ```
//!
//! Another estimator is another value of [`Estimator`]. Some need a derivative, which a problem gives in a second file
//! ([`InnerProblem::tangent_source`]); a problem that trains networks is better built as a graph, see [`population`].

#[cfg(feature = "cma-es")]
pub mod cma_es;

mod error;
mod estimator;
mod evaluator;
mod inner;
mod outer_loop;
mod part;
pub mod population;
mod rollout_gradient;
mod small_population;
mod source;
mod strategy;
mod unroll;
mod vision_gradient;

#[cfg(feature = "cma-es")]
pub use cma_es::CmaEs;

pub use crate::gpu::program::CheckpointTensor;
pub use crate::rollout::Part;
pub use error::Error;
pub use estimator::{Estimator, Particles, Perturbation, Renewal};
pub use evaluator::{Evaluated, Evaluator, EvaluatorSettings};
pub use fourfold_shaders::evolution::fitness::Summary;
pub use fourfold_shaders::inner_problem::problems;
pub use fourfold_shaders::inner_problem::{InnerProblem, Loss, Objective};
pub use inner::Inner;
pub use outer_loop::{Descent, OuterLoop, OuterSettings, Progress};
pub use part::{Divided, Tell};
pub use population::{GraphProblem, InnerStep, MemberState, Population, PopulationPlan, SharedTensor, StepContext};
pub use rollout_gradient::{RolloutGradient, RolloutGradientPlan};
pub use small_population::SmallPopulation;
pub use source::{OuterTensors, Source};
pub use strategy::EvolutionStrategy;
pub use unroll::{UnrollPlan, UnrollSettings, UnrolledGradient};
pub use vision_gradient::{VisionGradient, VisionGradientSettings};
