//! The diagonal covariance matrix of the separable CMA-ES (Ros and Hansen, "A simple modification in CMA-ES achieving
//! linear time and space complexity", PPSN 2008).

use nalgebra::{DMatrix, DVector};

use super::covariance::{Covariance, NoRoot};
use crate::data::{Checkpoint, Error};

/// C = diag(variances): every parameter has a step size of its own, and no parameter knows of another.
#[derive(Debug)]
pub(super) struct Separable {
    variances: DVector<f64>,
}

impl Separable {
    /// The identity.
    pub fn new(parameters: usize) -> Self {
        Self { variances: DVector::from_element(parameters, 1.0) }
    }
}

impl Covariance for Separable {
    fn refresh(&mut self, _: u32) -> Result<(), NoRoot> {
        match self.variances.iter().all(|variance| variance.is_finite()) {
            true => Ok(()),
            false => Err(NoRoot),
        }
    }

    fn transform(&self, normals: &DMatrix<f64>) -> DMatrix<f64> {
        let lengths = self.variances.map(f64::sqrt);
        DMatrix::from_fn(normals.nrows(), normals.ncols(), |row, column| lengths[row] * normals[(row, column)])
    }

    fn update(&mut self, decay: f64, rate: f64, path: &DVector<f64>, rates: &DVector<f64>, steps: &DMatrix<f64>) {
        self.variances.zip_apply(path, |variance, path| *variance = decay * *variance + rate * path * path);
        for (step, &rate) in steps.column_iter().zip(rates) {
            self.variances.zip_apply(&step, |variance, step| *variance += rate * step * step);
        }
        // Rounding may take what the weights leave.
        self.variances.apply(|variance| *variance = variance.max(f64::MIN_POSITIVE));
    }

    fn save(&self, checkpoint: &mut Checkpoint, prefix: &str) {
        let variances = self.variances.as_slice().to_vec();
        checkpoint.insert_f64(&format!("{prefix}covariance"), &[variances.len()], variances);
    }

    fn restore(&mut self, checkpoint: &Checkpoint, prefix: &str) -> Result<(), Error> {
        let variances = checkpoint.f64(&format!("{prefix}covariance"), &[self.variances.len()])?;
        self.variances.copy_from_slice(variances);
        Ok(())
    }
}
