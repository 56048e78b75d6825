//! An inner problem: a WGSL file of two functions (three with a derivative), and the same functions on the CPU.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;

use crate::rollout::unroll::EpisodeRandom;
use crate::{Error, RuntimeChecks};

/// A computation that goes on step after step, `s[t + 1] = f(s[t], theta)`, with a loss at each step: what outer
/// parameters `theta` are learned for. The training of a network under a learning rate is one, an episode of a policy is
/// another.
///
/// The WGSL file defines
///
/// ```wgsl
/// fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE>
/// fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss
/// ```
///
/// with `struct Loss { value: f32, done: bool }`, the loss after the step and whether the inner problem ended of itself.
/// It reads the outer parameters by `parameter(i)`, i below `PARAMETERS`, and numbers of its own by `data[i]`, i below
/// `DATA`. It may draw with `random_uniform(random)` (in [0, 1)) and `random_normal(random)`, the same numbers for all
/// particles, and use the functions of `mathematics.wgsl`. `time` counts the steps of the inner problem from 0. Names that
/// the kernels use themselves are taken, and a file that takes one again is refused by name when it is planned: give
/// functions and constants of a problem names of its own.
///
/// A problem whose derivative is known also has a file with
///
/// ```wgsl
/// fn problem_tangent(state: array<f32, STATE>, tangent: ptr<function, array<f32, STATE>>, time: u32,
///                    random: ptr<function, Random>) -> f32
/// ```
///
/// the directional derivative of the step: `tangent` is that of the state before the step and becomes that of the state
/// after it, `parameter_tangent(i)` is that of the outer parameters, and the result is that of the loss. It may call what
/// the first file defines. Where the step draws, it draws the same numbers in the same order. Its errors are judged by
/// the same [`rounding`](Self::rounding) and [`growth`](Self::growth), in proportion to the tangents.
///
/// The methods are the twin: they compute the same in f64, in the plainest way.
pub trait InnerProblem: Any + Debug + Send + Sync {
    /// The name of the WGSL file, for messages: `toy_regression.wgsl`.
    fn file(&self) -> &str;

    /// The text of the WGSL file.
    fn source(&self) -> Cow<'static, str>;

    /// Numbers in the inner state, at least 1: `STATE` in the WGSL.
    fn states(&self) -> usize;

    /// Outer parameters, at least 1: `PARAMETERS` in the WGSL.
    fn parameters(&self) -> usize;

    /// Steps of the whole inner problem; `None` where it never ends.
    fn horizon(&self) -> Option<usize>;

    /// Sizes of its own that the WGSL file names: `const NAME: u32 = value;`.
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }

    /// Checks the problem's own sizes: every plan does before it asks for anything else.
    ///
    /// # Errors
    /// A size or a factor out of range.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Values of pipeline-overridable constants of the WGSL file.
    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Numbers that all particles read: `data` in the WGSL.
    fn data(&self) -> &[f32] {
        &[]
    }

    /// Passes through loops of the WGSL in one step, at most (of those that a driver may not unroll): what a software
    /// driver's limit is held against.
    fn iterations(&self) -> usize {
        self.states().saturating_add(self.parameters())
    }

    /// Units of 2^-24, relative to the larger of 1 and the value, by which a number of the state or the loss may err
    /// in f32 after one step.
    fn rounding(&self) -> f64 {
        64.0
    }

    /// The largest factor by which one step may magnify an error of the state.
    fn growth(&self) -> f64 {
        4.0
    }

    /// The shader's runtime checks of the WGSL file: on, unless the author promises what it takes
    /// ([`RuntimeChecks::off`]).
    fn runtime_checks(&self) -> RuntimeChecks {
        RuntimeChecks::ON
    }

    /// The state at the start.
    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]);

    /// Advances the state by the step of number `time`.
    fn step(&self, state: &mut [f64], parameters: &[f64], time: u32, random: &mut EpisodeRandom) -> Loss;

    /// The text of the WGSL file of the derivative, if there is one.
    fn tangent_source(&self) -> Option<Cow<'static, str>> {
        None
    }

    /// The twin of `problem_tangent`: the derivative of the loss; `tangent` becomes that of the state after the step.
    ///
    /// # Panics
    /// A problem without a derivative has none.
    fn tangent(
        &self,
        _state: &[f64],
        _tangent: &mut [f64],
        _parameters: &[f64],
        _parameter_tangent: &[f64],
        _time: u32,
        _random: &mut EpisodeRandom,
    ) -> f64 {
        unreachable!("{} has no derivative", self.file())
    }
}

impl dyn InnerProblem {
    /// The functions that the WGSL file must define, without the names of their arguments.
    pub fn functions(&self) -> Vec<String> {
        let state = format!("array<f32, {}>", self.states());
        vec![
            format!("fn problem_reset(ptr<function, Random>) -> {state}"),
            format!("fn problem_step(ptr<function, {state}>, u32, ptr<function, Random>) -> Loss"),
        ]
    }

    /// The function that the WGSL file of a derivative must define.
    pub fn tangent_function(&self) -> String {
        let state = format!("array<f32, {}>", self.states());
        format!("fn problem_tangent({state}, ptr<function, {state}>, u32, ptr<function, Random>) -> f32")
    }
}

/// The result of a step of an inner problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// The loss after the step, to be minimised.
    pub value: f64,
    /// True if the inner problem ended of itself; horizons are not its own.
    pub done: bool,
}
