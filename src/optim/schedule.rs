//! Learning rates as functions of the step, computed on the GPU.

use fourfold_shaders::Element;
use fourfold_shaders::elementwise::Unary;

use crate::graph::{Graph, Tensor};

/// A schedule of the learning rate over the steps of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// 1 at every step.
    Constant,
    /// Half a cosine from 1 at step 0 to 0 at step `steps`, and 0 from there on.
    Cosine {
        /// The step from which the rate is 0.
        steps: usize,
    },
    /// Rising linearly over the first `steps` steps, the first of which has 1 / steps; then 1.
    WarmUp {
        /// The length of the rise.
        steps: usize,
    },
    /// Rising linearly over the first `warm_up` steps, then half a cosine from 1 to 0 at step `steps`, but never below
    /// `least` (minGPT's, and so Decision Transformer's for Atari with `least` 0.1).
    WarmUpCosine {
        /// The length of the rise.
        warm_up: usize,
        /// The step at which the cosine ends.
        steps: usize,
        /// The smallest value after the rise.
        least: f32,
    },
}

impl Schedule {
    /// `base` times the schedule at `step: u32 []`, which counts from 0; shape `[]`.
    #[track_caller]
    pub fn rate<'g>(self, graph: &'g Graph, base: f32, step: Tensor<'g>) -> Tensor<'g> {
        match self {
            Schedule::Constant => graph.constant(base),
            Schedule::Cosine { steps } => {
                let share = (step.cast(Element::F32) * (1.0 / steps.max(1) as f32)).min(graph.constant(1.0));
                ((share * std::f32::consts::PI).unary(Unary::Cos) + 1.0) * (0.5 * base)
            }
            Schedule::WarmUp { steps } => {
                let share = ((step.cast(Element::F32) + 1.0) * (1.0 / steps.max(1) as f32)).min(graph.constant(1.0));
                share * base
            }
            Schedule::WarmUpCosine { warm_up, steps, least } => {
                let (warm_up, step) = (warm_up.max(1) as f32, step.cast(Element::F32));
                let rising = (step + 1.0) * (1.0 / warm_up);
                let length = (steps as f32 - warm_up).max(1.0);
                let share = ((step - warm_up) * (1.0 / length)).max(graph.constant(0.0)).min(graph.constant(1.0));
                let falling = ((share * std::f32::consts::PI).unary(Unary::Cos) + 1.0) * 0.5;
                rising.min(falling.max(graph.constant(least))) * base
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Reference, TensorType};

    #[test]
    fn a_cosine_after_a_warm_up_rises_falls_and_stays_at_its_least() {
        let rate = |step: u32| {
            let graph = Graph::new();
            let schedule = Schedule::WarmUpCosine { warm_up: 4, steps: 24, least: 0.1 };
            let rate = schedule.rate(&graph, 2.0, graph.input("step", TensorType::u32([])));
            Reference::new([("step", vec![f64::from(step)])]).evaluate(rate).unwrap()[0]
        };
        let expected = [(0, 0.5), (1, 1.0), (3, 2.0), (4, 2.0), (14, 1.0), (23, 0.2), (24, 0.2), (900, 0.2)];
        for (step, expected) in expected {
            assert!((rate(step) - expected).abs() < 1e-6, "step {step}: {}", rate(step));
        }
    }
}
