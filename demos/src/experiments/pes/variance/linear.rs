//! Losses that are linear in the parameters at each unroll: the variance measured beside its closed form.

use std::sync::Arc;

use fourfold::evolution::problems::LinearLoss;
use fourfold::evolution::{Estimator, UnrollSettings};
use serde::{Deserialize, Serialize};

use super::frozen::FrozenTheta;
use super::rows::{mean_row, squared_distance, squared_norm, total_variance};
use crate::failure::Failure;
use crate::run::Run;

/// The dependence of each loss on the parameters of each unroll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Structure {
    /// Every loss feels all unrolls so far alike.
    Identical,
    /// Every loss feels all unrolls so far, each by a gradient of its own.
    Independent,
    /// Only the last loss counts, and feels all unrolls alike.
    LastIdentical,
    /// Only the last loss counts, and feels each unroll by a gradient of its own.
    LastIndependent,
    /// Every loss feels its own unroll alone, all alike.
    Memoryless,
}

/// Parameters of the losses.
pub const PARAMETERS: usize = 5;

/// Unrolls of an inner problem, of one step each.
pub const UNROLLS: usize = 16;

/// Antithetic pairs of one estimate.
pub const PAIRS: usize = 16;

/// A measured variance. Variances are those of one antithetic pair, in units of the squared length of the true gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub structure: Structure,
    pub unrolls: usize,
    /// The measured variance by PES, and its closed form.
    pub persistent: [f64; 2],
    /// The variance by NRES, and by a full unroll.
    pub reused: [f64; 2],
    /// The variance by truncated ES.
    pub truncated: [f64; 2],
    /// The distance of the mean of truncated ES from the gradient, relative to its length: measured, and exact.
    pub truncated_bias: [f64; 2],
}

impl Structure {
    pub const ALL: [Self; 5] =
        [Self::Identical, Self::Independent, Self::LastIdentical, Self::LastIndependent, Self::Memoryless];

    /// Returns the row label of tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Identical => "all losses feel all unrolls so far, alike",
            Self::Independent => "the same, by independent gradients",
            Self::LastIdentical => "only the last loss counts, gradients alike",
            Self::LastIndependent => "the same, by independent gradients",
            Self::Memoryless => "no memory, gradients alike",
        }
    }

    fn problem(self, unrolls: usize, parameters: usize) -> LinearLoss {
        const SEED: u32 = 4;
        let gradient: Vec<f32> = (0..parameters).map(|p| (1.7 * p as f32 + 0.4).sin()).collect();
        match self {
            Self::Identical => LinearLoss::identical(unrolls, &gradient),
            Self::Independent => LinearLoss::independent(unrolls, parameters, SEED),
            Self::LastIdentical => LinearLoss::last(unrolls, &gradient),
            Self::LastIndependent => LinearLoss::last_independent(unrolls, parameters, SEED),
            Self::Memoryless => LinearLoss::memoryless(unrolls, &gradient),
        }
    }
}

/// Measures one structure by `repeats` estimates of the whole inner problem, whose noise is drawn by `key`, in a stage
/// for each estimator.
///
/// # Errors
/// Out of memory, or the loss of the device.
pub fn measure(run: &mut Run, repeats: usize, key: u32, structure: Structure) -> Result<Row, Failure> {
    let problem = structure.problem(UNROLLS, PARAMETERS);
    let truth = problem.total_gradient();
    let norm = squared_norm(&truth);
    let mut seen = vec![0.0; PARAMETERS];
    for t in 0..UNROLLS {
        seen.iter_mut().zip(problem.gradient(t, t)).for_each(|(sum, &part)| *sum += f64::from(part));
    }
    // The losses are linear: any sigma gives the same, and this one rounds little.
    const SIGMA: f32 = 0.125;
    let bias = |mean: &[f64]| (squared_distance(mean, &truth) / norm).sqrt();
    // The variance and the bias of an estimator.
    let mut measured = |estimator: Estimator| {
        run.stage(&format!("linear losses: {structure:?}, {estimator}"), repeats as u64, |run| {
            let settings = UnrollSettings::new(estimator, 2 * PAIRS, 1, SIGMA);
            let theta = vec![0.0; PARAMETERS];
            let mut frozen = FrozenTheta::new(&run.gpu(), Arc::new(problem.clone()), &theta, key, settings)?;
            let rows = frozen.gradients(run, repeats)?;
            Ok([total_variance(&rows) * PAIRS as f64 / norm, bias(&mean_row(&rows))])
        })
    };
    let ([persistent, _], [reused, _]) = (measured(Estimator::PES)?, measured(Estimator::NRES)?);
    let [truncated, truncated_bias] = measured(Estimator::TRUNCATED_ES)?;
    Ok(Row {
        structure,
        unrolls: UNROLLS,
        persistent: [persistent, problem.persistent_variance() / norm],
        reused: [reused, problem.full_variance() / norm],
        truncated: [truncated, problem.truncated_variance() / norm],
        truncated_bias: [truncated_bias, bias(&seen)],
    })
}
