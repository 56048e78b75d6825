//! Learning rates as functions of the step, computed on the GPU.

use fourfold_shaders::Element;
use fourfold_shaders::elementwise::Unary;

use crate::graph::{Graph, Tensor};

/// How a rate changes over the steps of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    Constant,
    /// Half a cosine from 1 at step 0 to 0 at step `steps`, and 0 from there on.
    Cosine {
        steps: usize,
    },
    /// Rising linearly over the first `steps` steps, the first of which has 1 / steps; then 1.
    WarmUp {
        steps: usize,
    },
}

impl Schedule {
    /// `base` times the schedule at `step: u32 []`, which counts from 0; shape `[]`.
    #[track_caller]
    pub fn rate<'g>(self, graph: &'g Graph, base: f32, step: Tensor<'g>) -> Tensor<'g> {
        match self {
            Schedule::Constant => graph.constant(base),
            Schedule::Cosine { steps } => {
                let share = (step.cast(Element::F32) * (1.0 / steps as f32)).min(graph.constant(1.0));
                ((share * std::f32::consts::PI).unary(Unary::Cos) + 1.0) * (0.5 * base)
            }
            Schedule::WarmUp { steps } => {
                let share = ((step.cast(Element::F32) + 1.0) * (1.0 / steps as f32)).min(graph.constant(1.0));
                share * base
            }
        }
    }
}
