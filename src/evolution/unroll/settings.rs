//! Settings of an unrolled gradient, and their checks.

use fourfold_shaders::inner_problem::Objective;

use crate::evolution::{Error, Estimator, Inner, Part, Perturbation};

/// Settings of a gradient from truncated unrolls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnrollSettings {
    /// The estimator.
    pub estimator: Estimator,
    /// The losses that count.
    pub objective: Objective,
    /// Perturbed particles, an even number: antithetic pairs; or replicas of UORO, or directions of DODGE. TBPTT and RTRL
    /// have none.
    pub particles: usize,
    /// Steps of an unroll, K.
    pub truncation: usize,
    /// The standard deviation of the perturbations of particles.
    pub sigma: f32,
    /// Chunks of perturbed particles that are each at an inner time of their own: a divisor of the pairs.
    pub chunks: usize,
    /// Starts the chunks at different inner times: the first inner problem of chunk c has `(c + 1) / chunks` of the
    /// steps. Otherwise they are in lockstep.
    pub staggered: bool,
    /// All pairs of a chunk draw the same random numbers, so that only theta differs between them. (The particles of a
    /// pair always draw the same.)
    pub common_random_numbers: bool,
    /// The stream of random numbers, see [`threefry`](fourfold_shaders::random::threefry); the next two are taken too.
    pub stream: u32,
    /// The part of the particles that this process unrolls, for [`OuterLoop::run_part`](crate::evolution::OuterLoop::run_part).
    /// Estimators that cannot divide them compute all: analytic and unperturbed ones, and those on graphs.
    pub part: Part,
}

impl UnrollSettings {
    /// `particles` particles in lockstep, unrolled `truncation` steps at a time; the losses of all steps are summed.
    pub fn new(estimator: Estimator, particles: usize, truncation: usize, sigma: f32) -> Self {
        Self {
            estimator,
            objective: Objective::Sum,
            particles,
            truncation,
            sigma,
            chunks: 1,
            staggered: false,
            common_random_numbers: true,
            stream: 0,
            part: Part::WHOLE,
        }
    }

    /// Settings of an estimator that perturbs no particles: TBPTT and RTRL have none, UORO as many replicas and DODGE as
    /// many directions as there are `particles`.
    pub fn without_noise(estimator: Estimator, particles: usize, truncation: usize) -> Self {
        Self::new(estimator, particles, truncation, 0.0)
    }

    /// Antithetic pairs.
    pub fn pairs(&self) -> usize {
        self.particles / 2
    }

    /// Checks the settings for an inner problem.
    pub(super) fn check(&self, inner: &Inner<'_>) -> Result<(), Error> {
        inner.check()?;
        let (name, horizon) = (inner.name(), inner.horizon());
        self.estimator.check()?;
        if self.estimator.needs_derivative() && !inner.is_differentiable() {
            return Error::settings(format!(
                "{name} has no derivative: only evolution strategies can estimate its gradient"
            ));
        }
        match self.estimator {
            Estimator::Perturbed { analytic, .. } => self.check_particles(inner.parameters(), analytic)?,
            Estimator::Uoro | Estimator::Dodge(_) => self.check_directions(inner)?,
            Estimator::Tbptt | Estimator::Rtrl => (),
        }
        const MOST: usize = 1 << 30;
        if self.truncation == 0 || self.truncation > MOST {
            return Error::settings(format!("a truncation has between 1 and 2^30 steps, not {}", self.truncation));
        }
        if let Some(horizon) = horizon.filter(|horizon| *horizon == 0 || *horizon > MOST) {
            return Error::settings(format!("{name}: its horizon must be between 1 and 2^30, not {horizon}"));
        }
        if let Inner::Graph(_) = inner {
            self.check_graph(name, horizon)?;
        }
        if self.estimator.perturbation() == Some(Perturbation::FULL_ES) && horizon != Some(self.truncation) {
            let (steps, got) = (horizon.map_or("an end".into(), |steps| format!("{steps} steps")), self.truncation);
            return Error::settings(format!("full ES unrolls a whole inner problem, to {steps}, got unrolls of {got}"));
        }
        if horizon.is_none() && self.objective == Objective::Final {
            return Error::settings(format!("{name} never ends: it has no final loss"));
        }
        if horizon.is_none() && self.staggered {
            return Error::settings(format!("{name} never ends: chunks cannot start at different times of it"));
        }
        Ok(())
    }

    /// Checks that an unroll of a graph, whose steps are recorded one by one, ends in good time.
    fn check_graph(&self, name: &str, horizon: Option<usize>) -> Result<(), Error> {
        let interval = self.estimator.perturbation().and_then(|perturbation| perturbation.interval());
        let limits = [
            ("the truncation", self.truncation, 1 << 12),
            ("the number of chunks", self.chunks, 1 << 10),
            ("the horizon", horizon.unwrap_or(1), 1 << 20),
            ("the number of unrolls that a perturbation lasts", interval.unwrap_or(1), 1 << 20),
        ];
        match limits.into_iter().find(|(_, got, most)| got > most) {
            Some((what, got, most)) => {
                Error::settings(format!("{name} is a graph: {what} must be at most {most}, got {got}"))
            }
            None => Ok(()),
        }
    }

    fn check_particles(&self, parameters: usize, analytic: bool) -> Result<(), Error> {
        let Self { particles, sigma, chunks, .. } = *self;
        let pairs = self.pairs();
        if particles == 0 || !particles.is_multiple_of(2) || particles > 1 << 30 {
            return Error::settings(format!(
                "antithetic particles come in twos, up to 2^30, but there are {particles}"
            ));
        }
        if !(sigma > 0.0 && sigma.is_finite()) {
            return Error::settings(format!("the standard deviation sigma must be finite and above 0 but is {sigma}"));
        }
        if chunks == 0 || !pairs.is_multiple_of(chunks) {
            return Error::settings(format!("{pairs} antithetic pairs do not fall into {chunks} equal chunks"));
        }
        if analytic && chunks != 1 {
            return Error::settings("with an analytic part all particles are at one inner time: a single chunk");
        }
        if pairs as u64 * parameters.div_ceil(2) as u64 > 1 << 32 {
            return Error::settings(format!(
                "{pairs} perturbations of {parameters} parameters exceed the 2^33 numbers that an unroll can draw"
            ));
        }
        Ok(())
    }

    fn check_directions(&self, inner: &Inner<'_>) -> Result<(), Error> {
        let directions = self.particles;
        let drawn = match inner {
            Inner::Wgsl(problem) => problem.parameters().max(problem.states()),
            Inner::Graph(problem) => problem.parameters(),
        };
        if directions == 0 || directions > 1 << 30 || directions as u64 * drawn.div_ceil(2) as u64 > 1 << 32 {
            return Error::settings(format!(
                "{directions} random directions of {}: there must be at least one, and at most 2^33 numbers to draw",
                inner.name()
            ));
        }
        Ok(())
    }
}
