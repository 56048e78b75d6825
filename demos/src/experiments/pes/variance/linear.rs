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

/// Measures one structure by `repeats` estimates of the whole inner problem, whose noise is drawn by `key`.
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
    let mut estimates = |estimator| -> Result<Vec<Vec<f64>>, Failure> {
        let settings = UnrollSettings::new(estimator, 2 * PAIRS, 1, SIGMA);
        let theta = vec![0.0; PARAMETERS];
        let mut frozen = FrozenTheta::new(&run.gpu(), Arc::new(problem.clone()), &theta, key, settings)?;
        let mut rows = Vec::with_capacity(repeats);
        for _ in 0..repeats {
            rows.push(frozen.next_gradient()?);
            run.advance(1);
        }
        Ok(rows)
    };
    let [persistent, reused, truncated] =
        [Estimator::PES, Estimator::NRES, Estimator::TRUNCATED_ES].map(&mut estimates);
    let (persistent, reused, truncated) = (persistent?, reused?, truncated?);
    let of_pair = |rows: &[Vec<f64>]| total_variance(rows) * PAIRS as f64 / norm;
    let bias = |mean: &[f64]| (squared_distance(mean, &truth) / norm).sqrt();
    Ok(Row {
        structure,
        unrolls: UNROLLS,
        persistent: [of_pair(&persistent), problem.persistent_variance() / norm],
        reused: [of_pair(&reused), problem.full_variance() / norm],
        truncated: [of_pair(&truncated), problem.truncated_variance() / norm],
        truncated_bias: [bias(&mean_row(&truncated)), bias(&seen)],
    })
}
