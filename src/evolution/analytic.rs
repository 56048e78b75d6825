//! Persistent evolution strategies with an analytic part: the gradient within an unroll is taken, that through earlier
//! ones is estimated.

use std::sync::Arc;

use fourfold_shaders::Target;
use fourfold_shaders::elementwise::{Binary, binary};
use fourfold_shaders::inner_problem::InnerProblem;

use super::estimator::Estimator;
use super::outer::{Kept, Outer, Source};
use super::tangent::{TangentMethod, TangentPlan, TangentSettings, TangentUnroll};
use super::truncation::{TruncatedUnroll, TruncationPlan, TruncationSettings};
use crate::gpu::{BufferView, Gpu, Launch, Recording};
use crate::rollout::Error;

/// What PES + Analytic takes, as pure data.
#[derive(Debug, Clone)]
pub struct AnalyticPlan {
    /// The perturbed particles.
    pub truncation: TruncationPlan,
    /// The unperturbed one, and the gradient of its unroll's losses.
    pub tangent: TangentPlan,
}

impl AnalyticPlan {
    /// The plan for an inner problem that has a derivative and ends at its horizon alone.
    ///
    /// # Errors
    /// Those of [`TruncationPlan::new`] and [`TangentPlan::new`]; an estimator other than [`Estimator::PES`], since the
    /// noise of an unroll must be independent of what was accumulated; several chunks, since the particles go on beside
    /// one that is unperturbed.
    pub fn new(problem: Arc<dyn InnerProblem>, settings: TruncationSettings, target: &Target) -> Result<Self, Error> {
        let refuse = |message: &str| Err(Error::Settings { message: message.into() });
        if settings.estimator != Estimator::PES {
            return refuse("only persistent evolution strategies (PES) take an analytic part");
        }
        if settings.chunks != 1 {
            return refuse("with an analytic part all particles are at one inner time: a single chunk");
        }
        let TruncationSettings { objective, truncation, stream, .. } = settings;
        let tangent = TangentSettings { method: TangentMethod::Tbptt, objective, truncation, stream };
        Ok(Self {
            tangent: TangentPlan::new(problem.clone(), tangent, target)?,
            truncation: TruncationPlan::with_analysis(problem, settings, true, target)?,
        })
    }

    /// Bytes of all buffers: everything beyond theta and the optimiser's moments.
    pub fn bytes(&self) -> u64 {
        // The two parts of the gradient.
        self.truncation.bytes() + self.tangent.bytes() + 8 * self.tangent.problem().parameters() as u64
    }
}

/// PES + Analytic (Vicol et al. 2021): with `a` the gradient of an unroll's losses by what the parameters do within it,
/// along the unperturbed particle, and xi the perturbations of earlier unrolls,
///
/// `g = a + 1 / (N sigma^2) * sum over particles of (L - <eps, a>) xi,   then xi = xi + eps`.
///
/// Less variance than PES where the objective is smooth; the part that is taken is not smoothed.
#[derive(Debug)]
pub struct AnalyticUnroll {
    tangent: TangentUnroll,
    truncated: TruncatedUnroll,
    sum: Recording,
    bytes: u64,
}

impl AnalyticUnroll {
    /// Creates the plan's buffers and pipelines; neither submits nor polls.
    ///
    /// # Errors
    /// Another number of outer parameters than the problem has, no memory, or a shader that the driver refuses.
    pub fn new(gpu: &Gpu, plan: AnalyticPlan, outer: &Outer) -> Result<Self, Error> {
        let (bytes, count) = (plan.bytes(), outer.gradient.elements());
        let [analytic, estimate] = [gpu.zeros("analytic", count)?, gpu.zeros("estimate", count)?];
        let to = |gradient: &BufferView| Outer { gradient: gradient.clone(), ..outer.clone() };
        let tangent = TangentUnroll::new(gpu, plan.tangent, &to(&analytic))?;
        let truncated = TruncatedUnroll::with_analysis(gpu, plan.truncation, &to(&estimate), Some(&analytic))?;
        let add = binary(Binary::Add, &[count], &[count]);
        let add = add.unwrap_or_else(|error| unreachable!("two tensors of one shape: {error}"));
        let sum = gpu.prepare(&[Launch::new(&add, &[analytic, estimate, outer.gradient.clone()])])?;
        Ok(Self { tangent, truncated, sum, bytes })
    }

    /// The perturbed particles.
    pub fn truncated(&self) -> &TruncatedUnroll {
        &self.truncated
    }
}

impl Source for AnalyticUnroll {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, iteration: u32) {
        self.tangent.record(pass, iteration);
        self.truncated.record(pass, iteration);
        self.sum.record(pass);
    }

    fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.truncated.record_metrics(pass);
    }

    fn kept(&self) -> Vec<Kept> {
        self.truncated.kept().into_iter().chain(self.tangent.kept()).collect()
    }

    fn metrics(&self) -> Option<BufferView> {
        self.truncated.metrics()
    }

    fn columns(&self) -> &'static [&'static str] {
        self.truncated.columns()
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
