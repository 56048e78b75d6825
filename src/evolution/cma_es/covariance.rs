//! The interface of both forms of the covariance matrix.

use std::fmt::Debug;

use nalgebra::{DMatrix, DVector};

use crate::data::{Checkpoint, Error};

/// The covariance matrix C of the search distribution, for sigma = 1.
pub(super) trait Covariance: Debug + Send + Sync {
    /// Makes the root that [`Covariance::transform`] applies that of C as it is now, if C has changed enough since.
    ///
    /// # Errors
    /// C has no root: it is not finite.
    fn refresh(&mut self, generation: u32) -> Result<(), NoRoot>;

    /// The steps `y = A z` of normal deviates z, column by column, with a root A: `A A^T = C`.
    fn transform(&self, normals: &DMatrix<f64>) -> DMatrix<f64>;

    /// `C <- decay C + rate path path^T + sum of rates[k] y_k y_k^T`, with the columns y of `steps`.
    fn update(&mut self, decay: f64, rate: f64, path: &DVector<f64>, rates: &DVector<f64>, steps: &DMatrix<f64>);

    /// Adds the whole state to a checkpoint.
    fn save(&self, checkpoint: &mut Checkpoint, prefix: &str);

    /// Takes the whole state of a checkpoint, or none of it.
    fn restore(&mut self, checkpoint: &Checkpoint, prefix: &str) -> Result<(), Error>;
}

/// The matrix is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRoot;
