//! The ascent of sharpness-aware minimisation, over flat tensors, with `T = |w| + eta` in the elements that [`Adaptive`]
//! names and `T = 1` in the others.

use fourfold_shaders::optimiser::sam_ascent::{self, Norm};
use fourfold_shaders::{Sequence, Target};

use crate::graph::operation::{Operation, OutputGradients};
use crate::graph::rules::algebra::{dot, is_positive, negative, over, positive, times};
use crate::graph::{Graph, Tensor, TensorType};

/// The elements of a flat tensor of weights whose perturbation is scaled by `T = |w| + eta` (adaptive SAM, Kwon et al.
/// 2021): the first `count`; the others have `T = 1`. The default scales none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Adaptive {
    /// Elements, from the first on, that are scaled.
    pub count: usize,
    /// Added to `|w|`; 0.01 as a rule.
    pub eta: f32,
}

impl Adaptive {
    fn problem(self, weights: &TensorType, norm: Norm) -> sam_ascent::Problem {
        sam_ascent::Problem { count: weights.elements(), norm, adaptive: self.count, eta: self.eta }
    }

    /// `T values`.
    fn scale<'g>(self, weights: Tensor<'g>, values: Tensor<'g>) -> Tensor<'g> {
        let length = weights.elements();
        let count = self.count.min(length);
        if count == 0 {
            return values;
        }
        let head = values.narrow(0, 0, count) * (weights.narrow(0, 0, count).abs() + self.eta);
        if count == length {
            return head;
        }
        weights.graph().concatenate(&[head, values.narrow(0, count, length - count)], 0)
    }
}

/// The type of the weights, where they and `tensors - 1` more are flat and equally long, and all others one number.
fn flat(inputs: &[TensorType], tensors: usize) -> Result<Vec<TensorType>, String> {
    let weights = &inputs[0];
    let alike = weights.shape.rank() == 1 && inputs[..tensors].iter().all(|tensor| tensor == weights);
    let single = inputs[tensors..].iter().all(|number| *number == TensorType::f32([]));
    if alike && weights.is_float() && single {
        return Ok(vec![weights.clone()]);
    }
    Err("takes flat F32 tensors of one length and numbers of shape []".into())
}

/// (weights, gradient, norm `[]` of T g, rho `[]`): w + rho T^2 g / norm.
#[derive(Debug)]
struct Ascent(Adaptive);

/// (weights, gradient, rho `[]`): w + rho T sign(g).
#[derive(Debug)]
struct SignAscent(Adaptive);

/// (weights, gradient): T g.
#[derive(Debug)]
struct ScaledGradient(Adaptive);

impl Operation for Ascent {
    fn name(&self) -> &'static str {
        "ascent"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        flat(inputs, 2)
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(self.0.problem(&inputs[0], Norm::L2).sequence(target)?)
    }

    fn definition<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let &[weights, gradient, norm, rho] = inputs else { return None };
        let moves = is_positive(norm);
        let factor = rho * moves / moves.select(norm, graph.constant(1.0));
        let twice = self.0.scale(weights, self.0.scale(weights, gradient));
        Some(vec![weights + twice * factor])
    }

    /// Of `w + rho g / norm`, with `norm` an input of its own: its dependence on `g` is another node's.
    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let &[_, gradient, norm, rho] = &node.inputs[..] else { return None };
        if self.0.count > 0 {
            return None;
        }
        let dy = node.gradient(0);
        let step = || over(times(rho, is_positive(norm)), positive(norm));
        let along = || dot(dy, gradient);
        let term = |input| match input {
            0 => dy,
            1 => times(dy, step()),
            2 => negative(times(along(), over(step(), positive(norm)))),
            _ => times(along(), over(is_positive(norm), positive(norm))),
        };
        Some((0..4).filter(|&input| node.wants(input)).map(|input| (input, term(input))).collect())
    }
}

impl Operation for SignAscent {
    fn name(&self) -> &'static str {
        "sign_ascent"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        flat(inputs, 2)
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(self.0.problem(&inputs[0], Norm::LInfinity).sequence(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let &[weights, gradient, rho] = inputs else { return None };
        Some(vec![weights + self.0.scale(weights, gradient.sign()) * rho])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let dy = node.gradient(0);
        (self.0.count == 0).then(|| vec![(0, dy), (2, dot(dy, node.inputs[1].sign()))])
    }
}

impl Operation for ScaledGradient {
    fn name(&self) -> &'static str {
        "scaled_gradient"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        flat(inputs, 2)
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(self.0.problem(&inputs[0], Norm::L2).scaled_gradient(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        Some(vec![self.0.scale(inputs[0], inputs[1])])
    }
}

impl<'g> Tensor<'g> {
    /// `w + rho T^2 g / norm` for this flat `w`, where `norm` is that of `T g` and has shape `[]` as `rho` has; `w`
    /// itself where the norm is 0.
    #[track_caller]
    pub fn ascent(self, gradient: Tensor<'g>, norm: Tensor<'g>, rho: Tensor<'g>, scaled: Adaptive) -> Self {
        self.graph().fused(Ascent(scaled), &[self, gradient, norm, rho])
    }

    /// `w + rho T sign(g)` for this flat `w`; `rho` has shape `[]`.
    #[track_caller]
    pub fn sign_ascent(self, gradient: Tensor<'g>, rho: Tensor<'g>, scaled: Adaptive) -> Self {
        self.graph().fused(SignAscent(scaled), &[self, gradient, rho])
    }

    /// `T g` for these flat weights.
    #[track_caller]
    pub fn scaled_gradient(self, gradient: Tensor<'g>, scaled: Adaptive) -> Self {
        self.graph().fused(ScaledGradient(scaled), &[self, gradient])
    }
}
