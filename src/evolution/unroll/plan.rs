//! The plan of an unrolled gradient: what every estimator takes, as pure data.

use fourfold_shaders::Target;

use super::tangent::Along;
use super::tensors::Tensors;
use super::{UnrollSettings, analytic, backpropagation, pair_gradient, perturbed, population, tangent};
use crate::evolution::source::OuterIds;
use crate::evolution::{Error, Estimator, GraphProblem, Inner, Particles, inner};
use crate::gpu::program::{Allocation, ProgramPlan};

/// The plan of an unrolled gradient: a function of the inner problem, the settings and the target.
#[derive(Debug, Clone)]
pub struct UnrollPlan {
    settings: UnrollSettings,
    inner_steps: usize,
    pub(super) problem: String,
    pub(super) parameters: usize,
    pub(super) program: ProgramPlan,
    pub(super) outer: OuterIds,
    pub(super) tensors: Tensors,
    pub(super) members: MembersPlan,
}

/// The members of an inner problem that is a graph.
#[derive(Debug, Clone)]
pub(super) enum MembersPlan {
    /// The inner problem is in WGSL: kernels hold the members.
    InKernels,
    Population(population::Plan),
    Backpropagation(backpropagation::Plan),
}

impl UnrollPlan {
    /// Plans the gradient of an inner problem.
    ///
    /// # Errors
    /// Settings that are out of range, an estimator that needs a derivative of a problem without one, invalid WGSL, or an
    /// invalid graph.
    pub fn new<'a>(inner: impl Into<Inner<'a>>, settings: &UnrollSettings, target: &Target) -> Result<Self, Error> {
        Self::of(&inner.into(), settings, target)
    }

    pub(super) fn of(inner: &Inner<'_>, settings: &UnrollSettings, target: &Target) -> Result<Self, Error> {
        settings.check(inner)?;
        let (parameters, mut program) = (inner.parameters(), ProgramPlan::default());
        let outer = OuterIds::new(&mut program, parameters);
        let (tensors, members) = match inner {
            Inner::Wgsl(problem) => {
                inner::check_wgsl(&**problem)?;
                let problem = problem.clone();
                let along = |along| (settings, along);
                let program = &mut program;
                let tensors = match settings.estimator {
                    Estimator::Perturbed { perturbation, analytic: false } => {
                        perturbed::plan(program, problem, (settings, perturbation), outer, None, target)?
                    }
                    Estimator::Perturbed { analytic: true, .. } => {
                        analytic::plan(program, problem, settings, outer, target)?
                    }
                    Estimator::Tbptt => {
                        tangent::plan(program, problem, along(Along::Axes { carried: false }), outer, target)?
                    }
                    Estimator::Rtrl => {
                        tangent::plan(program, problem, along(Along::Axes { carried: true }), outer, target)?
                    }
                    Estimator::Dodge(perturbation) => {
                        tangent::plan(program, problem, along(Along::Random(perturbation)), outer, target)?
                    }
                    Estimator::Uoro => tangent::plan_uoro(program, problem, settings, outer, target)?,
                };
                (tensors, MembersPlan::InKernels)
            }
            Inner::Graph(problem) => graph_plan(&mut program, *problem, settings, outer, target)?,
        };
        program.check()?;
        let inner_steps = inner_steps(inner, settings);
        let problem = inner.name().to_owned();
        Ok(Self { settings: *settings, inner_steps, problem, parameters, program, outer, tensors, members })
    }

    /// The settings.
    pub fn settings(&self) -> &UnrollSettings {
        &self.settings
    }

    /// The buffers of the estimator; the members of a graph have their own.
    pub fn buffers(&self) -> &[Allocation] {
        self.program.buffers()
    }

    /// Bytes of all buffers: everything beyond theta and the optimiser's moments.
    pub fn bytes(&self) -> u64 {
        let members = match &self.members {
            MembersPlan::InKernels => 0,
            MembersPlan::Population(plan) => plan.bytes(),
            MembersPlan::Backpropagation(plan) => plan.bytes(),
        };
        self.program.bytes() + members
    }

    /// Inner steps of one iteration, those of unperturbed particles included; steps of tangents count too.
    pub fn inner_steps(&self) -> usize {
        self.inner_steps
    }

    /// The names of the metrics.
    pub(super) fn columns(&self) -> &'static [&'static str] {
        let single =
            matches!(self.members, MembersPlan::Backpropagation(_)) || self.settings.estimator == Estimator::Uoro;
        if single { &["loss"] } else { pair_gradient::COLUMNS }
    }
}

fn graph_plan(
    program: &mut ProgramPlan,
    problem: &dyn GraphProblem,
    settings: &UnrollSettings,
    outer: OuterIds,
    target: &Target,
) -> Result<(Tensors, MembersPlan), Error> {
    match settings.estimator {
        Estimator::Perturbed { perturbation, analytic: false } => {
            let (tensors, plan) = population::plan(program, problem, (settings, perturbation), outer, target)?;
            Ok((tensors, MembersPlan::Population(plan)))
        }
        Estimator::Tbptt => {
            let (tensors, plan) = backpropagation::plan(program, problem, settings, target)?;
            Ok((tensors, MembersPlan::Backpropagation(plan)))
        }
        estimator => Error::settings(format!(
            "{} is a graph, on which gradients are estimated by perturbed particles without an analytic part or by \
             TBPTT, got {estimator:?}",
            problem.name()
        )),
    }
}

fn inner_steps(inner: &Inner<'_>, settings: &UnrollSettings) -> usize {
    let lanes = match settings.estimator {
        Estimator::Perturbed { perturbation, analytic } => {
            let shared = perturbation.particles == Particles::Shared;
            let unperturbed = if shared { settings.chunks } else { 0 };
            settings.particles + unperturbed + if analytic { inner.parameters() } else { 0 }
        }
        Estimator::Tbptt if matches!(inner, Inner::Graph(_)) => 1,
        Estimator::Tbptt | Estimator::Rtrl => inner.parameters(),
        Estimator::Uoro => settings.particles * (inner.parameters() + 1),
        Estimator::Dodge(_) => settings.particles,
    };
    lanes * settings.truncation
}
