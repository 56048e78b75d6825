//! Rollouts: a population of policies plays episodes of an environment on the GPU.
//!
//! A [`Composition`] names the environment, the policy and what lies between them. A [`Plan`] says, as pure data, which
//! buffers and how many dispatches a rollout of it takes; a [`Rollout`] has them on a device and records them, on the
//! caller's buffers if the caller likes. Returns and lengths of all episodes stay on the GPU for an evolution strategy
//! to use, or come back for a table.
//!
//! Where actions come from outside, from a network of many dispatches or from a host, a [`VectorEnvironment`] takes the
//! same episodes a step at a time; what either played becomes [data to learn from](Trace::trajectories). Where the world is
//! outside, a [`VectorPolicy`] takes the policy's step on the buffers of its host.
//!
//! # An environment of one's own
//!
//! It is one WGSL file and one twin. Here a ball hangs on a spring and is to be held still by small pushes; the WGSL
//! stands in a string, as `include_str!("spring.wgsl")` would give it. What the file may use (random numbers, exact
//! sines, sizes) is said at [`Environment`].
//!
//! ```
//! use fourfold::rollout::policies::Linear;
//! use fourfold::rollout::{Composition, Environment, EpisodeRandom, Operands, Outcome, Plan, Rollout, Settings, Weights};
//! use fourfold::shaders::{Data, Generator};
//!
//! const SPRING: &str = "
//! // State (x, v), observation the same, action one force. A push of the wind of size 0.01 in every step.
//! fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
//!     return array<f32, STATE>(2.0 * random_uniform(random) - 1.0, 0.0);
//! }
//!
//! fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
//!     return state;
//! }
//!
//! fn environment_step(
//!     state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
//! ) -> Outcome {
//!     let force = clamp(action[0], -1.0, 1.0) - (*state)[0] + 0.01 * random_normal(random);
//!     (*state)[1] += 0.1 * force;
//!     (*state)[0] += 0.1 * (*state)[1];
//!     return Outcome(-abs((*state)[0]), abs((*state)[0]) > 3.0);
//! }
//! ";
//!
//! #[derive(Debug)]
//! struct Spring;
//!
//! impl Environment for Spring {
//!     fn file(&self) -> &str { "spring.wgsl" }
//!     fn source(&self) -> &str { SPRING }
//!     fn states(&self) -> usize { 2 }
//!     fn observations(&self) -> usize { 2 }
//!     fn actions(&self) -> usize { 1 }
//!     fn horizon(&self) -> usize { 200 }
//!
//!     fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
//!         state.copy_from_slice(&[2.0 * random.uniform() - 1.0, 0.0]);
//!     }
//!
//!     fn observe(&self, state: &[f64], observation: &mut [f64]) {
//!         observation.copy_from_slice(state);
//!     }
//!
//!     fn step(&self, state: &mut [f64], action: &[f64], random: &mut EpisodeRandom) -> Outcome {
//!         let force = action[0].clamp(-1.0, 1.0) - state[0] + 0.01 * random.normal();
//!         state[1] += 0.1 * force;
//!         state[0] += 0.1 * state[1];
//!         Outcome { reward: -state[0].abs(), done: state[0].abs() > 3.0 }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let gpu = fourfold::Gpu::open()?;
//! let composition = Composition::new(Spring, Linear);
//! let settings = Settings::new(2, 10, 200);
//! let plan = Plan::new(&composition, &settings, &gpu.target())?;
//!
//! // Two members, each with weights for x and v and a bias: one does nothing, one brakes.
//! let operands = Operands {
//!     seed: gpu.upload("seed", &Data::U32(vec![42, 0]))?,
//!     weights: Weights::Given(gpu.upload("weights", &Data::F32(vec![0.0, 0.0, 0.0, 0.0, -1.0, 0.0]))?),
//!     wiring: None,
//! };
//! let episodes = Rollout::new(&gpu, plan, operands)?.run()?;
//! let mean = |returns: &[f32]| returns.iter().sum::<f32>() / 10.0;
//! let (idle, braking) = (mean(&episodes.returns[..10]), mean(&episodes.returns[10..]));
//! assert!(braking > 0.5 * idle, "{braking} against {idle}");
//!
//! // The kernel against the twin, from states that episodes reach.
//! let case = composition.case(&mut Generator::new(1, Generator::FULL));
//! let verdict = fourfold::verify::run(&gpu, &case)?;
//! assert!(verdict.passed(), "{verdict}");
//! # Ok(())
//! # }
//! ```
//!
//! A policy of one's own is the same with [`Policy`], and [`evolution`](crate::evolution) trains any policy in any
//! environment.
//!
//! A world that is seen has one more function, `environment_pixel`, and its twin [`pixel`](Environment::pixel): a picture is
//! drawn from an observation, the scene, where it is consumed. [`Pictures`] draws those of lanes.

mod check;
mod error;
mod part;
mod pictures;
mod plan;
mod pong_player;
mod reactive_head;
mod session;
pub(crate) mod signature;
mod trace;
mod vector_environment;
mod vector_policy;
mod vision_policy;
mod wiring;

pub use error::Error;
pub use fourfold_shaders::rollout::environments;
pub use fourfold_shaders::rollout::policies;
pub use fourfold_shaders::rollout::unroll::{
    Composition, Environment, EpisodeRandom, Fault, Interface, Outcome, PictureSize, Policy, Sensors, WeightSource,
    Wiring,
};
pub use part::Part;
pub use pictures::Pictures;
pub use plan::{Plan, Settings};
pub use pong_player::PongPlayer;
pub(crate) use reactive_head::reactive_outputs;
pub use session::{Episodes, Operands, Rollout, Weights};
pub use trace::{End, Step, Trace};
pub use vector_environment::{VectorBuffers, VectorEnvironment, VectorSettings, VectorStep};
pub use vector_policy::{PolicyBuffers, PolicyWeights, VectorPolicy};
pub use vision_policy::{PatchWiring, VisionBuffers, VisionPolicy, VisionRollout};
pub use wiring::shuffled;
