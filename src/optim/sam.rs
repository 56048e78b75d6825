//! Sharpness-aware minimisation (Foret et al. 2021): the gradient at the worst point near the weights.

use fourfold_shaders::elementwise::Compare;

use crate::graph::{Adaptive, Graph, Tensor, gradients};

/// The ball in which the worst point is looked for (section 2 of the paper).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ascent {
    /// p = 2: `eps = rho g / ||g||`, one norm over all parameters.
    L2,
    /// p = infinity: `eps = rho sign(g)`.
    LInfinity,
}

/// The place of weight decay (the penalty `decay / 2 ||w||^2`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WeightDecay {
    /// Outside the maximum, as in equation 1 of the paper: left to the base optimiser.
    Outside,
    /// Inside the maximum, as in the authors' code: part of the loss of both passes.
    Inside(f32),
}

/// The settings of a sharpness-aware gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sam {
    /// The norm of the ball.
    pub ascent: Ascent,
    /// Scales the perturbation by the weights (Kwon et al. 2021); `None` scales none.
    pub adaptive: Option<Adaptive>,
    /// Ascent steps, each of length rho and projected back onto the ball; the paper takes one.
    pub steps: usize,
    /// Chunks of the batch that ascend independently (m-sharpness); their gradients are averaged.
    pub chunks: usize,
    /// The place of the weight decay.
    pub weight_decay: WeightDecay,
    /// Keeps the term of the gradient that the paper drops: how the perturbation changes with the weights.
    pub second_order: bool,
}

impl Default for Sam {
    /// The paper's SAM: p = 2, one step, the whole batch, no second-order term.
    fn default() -> Self {
        Self {
            ascent: Ascent::L2,
            adaptive: None,
            steps: 1,
            chunks: 1,
            weight_decay: WeightDecay::Outside,
            second_order: false,
        }
    }
}

/// The elements that take part in an ascent, and its direction, where they are not SAM's: flat tensors as long as the weights.
#[derive(Debug, Clone, Copy, Default)]
pub struct AscentVariant<'g> {
    /// 1 for each element that is perturbed, 0 for the others: the norm is over the former. `None` perturbs all.
    pub perturbed: Option<Tensor<'g>>,
    /// 1 for each element whose perturbation is scaled by `|w| + eta` where [`Sam::adaptive`] is given, 0 for the others; takes the
    /// place of [`Adaptive::count`].
    pub scaled: Option<Tensor<'g>>,
    /// Takes the place of the gradient at each ascent step: random numbers for a control, all chunks' alike.
    pub direction: Option<Tensor<'g>>,
}

impl<'g> AscentVariant<'g> {
    /// The direction of a step where the gradient is `slope`.
    #[track_caller]
    fn directed(&self, slope: Tensor<'g>) -> Tensor<'g> {
        let direction = self.direction.unwrap_or(slope);
        self.perturbed.map_or(direction, |perturbed| direction * perturbed)
    }
}

/// The result of one sharpness-aware step, averaged over the chunks where there are several.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SamStep<'g> {
    /// The gradient for the base optimiser; flat as the weights.
    pub gradient: Tensor<'g>,
    /// The loss at w, shape `[]`.
    pub loss: Tensor<'g>,
    /// The loss at w + eps, shape `[]`.
    pub sharpened_loss: Tensor<'g>,
    /// `w + eps` of each chunk.
    pub ascended: Vec<Tensor<'g>>,
}

impl Sam {
    /// The sharpness-aware gradient at the flat `weights`, for a ball of radius `rho` (shape `[]`).
    ///
    /// `loss(w, chunk)` builds the mean loss, shape `[]`, of a chunk of the batch at weights `w`; it is called for w and
    /// for each ascended point, and must draw the same dropout masks every time.
    #[track_caller]
    pub fn gradient<'g>(
        &self,
        weights: Tensor<'g>,
        rho: Tensor<'g>,
        loss: impl Fn(Tensor<'g>, usize) -> Tensor<'g>,
    ) -> SamStep<'g> {
        self.variant_gradient(weights, rho, AscentVariant::default(), loss)
    }

    /// The [gradient](Self::gradient) with an ascent in another direction, or of some elements alone.
    #[track_caller]
    pub fn variant_gradient<'g>(
        &self,
        weights: Tensor<'g>,
        rho: Tensor<'g>,
        variant: AscentVariant<'g>,
        loss: impl Fn(Tensor<'g>, usize) -> Tensor<'g>,
    ) -> SamStep<'g> {
        let chunks: Vec<_> =
            (0..self.chunks.max(1)).map(|chunk| self.chunk(weights, rho, variant, |w| loss(w, chunk))).collect();
        let average = |part: fn(&Chunk<'g>) -> Tensor<'g>| {
            let sum = chunks.iter().map(part).reduce(|a, b| a + b).expect("there is at least one chunk");
            sum * (1.0 / chunks.len() as f32)
        };
        SamStep {
            gradient: average(|chunk| chunk.gradient),
            loss: average(|chunk| chunk.loss),
            sharpened_loss: average(|chunk| chunk.sharpened_loss),
            ascended: chunks.iter().map(|chunk| chunk.ascended).collect(),
        }
    }

    #[track_caller]
    fn chunk<'g>(
        &self,
        weights: Tensor<'g>,
        rho: Tensor<'g>,
        variant: AscentVariant<'g>,
        loss: impl Fn(Tensor<'g>) -> Tensor<'g>,
    ) -> Chunk<'g> {
        let objective = |w: Tensor<'g>| match self.weight_decay {
            WeightDecay::Outside => loss(w),
            WeightDecay::Inside(decay) => loss(w) + w.dot(w) * (0.5 * decay),
        };
        let clean = objective(weights);
        let slope_at = |loss: Tensor<'g>, w: Tensor<'g>| variant.directed(gradients(loss, &[w])[0]);
        let slope = slope_at(clean, weights);
        if self.second_order {
            let ascended = self.differentiable(weights, slope, rho, variant, |point| slope_at(objective(point), point));
            let sharpened = objective(ascended);
            let gradient = gradients(sharpened, &[weights])[0];
            return Chunk { gradient, loss: clean, sharpened_loss: sharpened, ascended };
        }
        let mut ascended = self.ascend(weights, slope, rho, variant);
        for _ in 1..self.steps {
            let slope = slope_at(objective(ascended), ascended);
            let step = self.ascend(weights, slope, rho, variant) - weights;
            let eps = self.project(ascended - weights + step, self.scale(weights, variant), rho);
            ascended = (weights + eps).stop_gradient();
        }
        let sharpened = objective(ascended);
        let gradient = gradients(sharpened, &[ascended])[0];
        Chunk { gradient, loss: clean, sharpened_loss: sharpened, ascended }
    }

    /// `w + eps`, by the fused kernels where they know the scale.
    #[track_caller]
    fn ascend<'g>(
        &self,
        weights: Tensor<'g>,
        slope: Tensor<'g>,
        rho: Tensor<'g>,
        variant: AscentVariant<'g>,
    ) -> Tensor<'g> {
        let scaled = self.adaptive.unwrap_or_default();
        if self.adaptive.is_some() && variant.scaled.is_some() {
            return (weights + self.step(slope, self.scale(weights, variant), rho)).stop_gradient();
        }
        match (self.ascent, self.adaptive) {
            (Ascent::L2, None) => weights.ascent(slope, slope.norm(), rho, scaled),
            (Ascent::L2, Some(_)) => weights.ascent(slope, weights.scaled_gradient(slope, scaled).norm(), rho, scaled),
            (Ascent::LInfinity, _) => weights.sign_ascent(slope, rho, scaled),
        }
    }

    /// A step of length rho, in operations that are differentiated.
    #[track_caller]
    fn step<'g>(&self, slope: Tensor<'g>, scale: Option<Tensor<'g>>, rho: Tensor<'g>) -> Tensor<'g> {
        match (self.ascent, scale) {
            // The quotient is at most 1: neither it nor its derivative overflows, however small the norm.
            (Ascent::L2, None) => slope / positive(slope.norm()) * rho,
            (Ascent::L2, Some(scale)) => {
                let scaled = scale * slope;
                scaled / positive(scaled.norm()) * scale * rho
            }
            (Ascent::LInfinity, None) => slope.sign() * rho,
            (Ascent::LInfinity, Some(scale)) => scale * slope.sign() * rho,
        }
    }

    /// `w + eps` in operations that are differentiated: the perturbation moves with the weights.
    #[track_caller]
    fn differentiable<'g>(
        &self,
        weights: Tensor<'g>,
        slope: Tensor<'g>,
        rho: Tensor<'g>,
        variant: AscentVariant<'g>,
        slope_at: impl Fn(Tensor<'g>) -> Tensor<'g>,
    ) -> Tensor<'g> {
        let scale = self.scale(weights, variant);
        let mut eps = self.step(slope, scale, rho);
        for _ in 1..self.steps {
            eps = self.project(eps + self.step(slope_at(weights + eps), scale, rho), scale, rho);
        }
        weights + eps
    }

    /// T = |w| + eta where the perturbation is adaptive, 1 elsewhere; `None` if it is nowhere.
    #[track_caller]
    fn scale<'g>(&self, weights: Tensor<'g>, variant: AscentVariant<'g>) -> Option<Tensor<'g>> {
        let Adaptive { count, eta } = self.adaptive?;
        let (graph, length) = (weights.graph(), weights.elements());
        if let Some(scaled) = variant.scaled {
            return Some(scaled.select(weights.abs() + eta, graph.constant(1.0)));
        }
        let scaled = weights.narrow(0, 0, count.min(length)).abs() + eta;
        if count >= length {
            return Some(scaled);
        }
        Some(graph.concatenate(&[scaled, graph.full([length - count], 1.0)], 0))
    }

    /// The nearest perturbation in the ball: `||T^-1 eps||_p <= rho`.
    #[track_caller]
    fn project<'g>(&self, eps: Tensor<'g>, scale: Option<Tensor<'g>>, rho: Tensor<'g>) -> Tensor<'g> {
        let graph = eps.graph();
        let unscaled = scale.map_or(eps, |scale| eps / positive(scale));
        match self.ascent {
            Ascent::L2 => eps * (rho / positive(unscaled.norm())).min(graph.constant(1.0)),
            Ascent::LInfinity => {
                let within = unscaled.min(rho).max(-rho);
                scale.map_or(within, |scale| within * scale)
            }
        }
    }
}

struct Chunk<'g> {
    gradient: Tensor<'g>,
    loss: Tensor<'g>,
    sharpened_loss: Tensor<'g>,
    ascended: Tensor<'g>,
}

/// A divisor of numbers that are zero where it is: 1 there, so that neither the quotient nor its derivatives, which
/// divide by the square, leave the range of f32.
#[track_caller]
fn positive(divisor: Tensor<'_>) -> Tensor<'_> {
    let graph: &Graph = divisor.graph();
    divisor.compare(Compare::Ge, graph.constant(f32::MIN_POSITIVE)).select(divisor, graph.constant(1.0))
}
