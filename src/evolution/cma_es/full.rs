//! The full covariance matrix, and its eigendecomposition where it has changed enough.

use fourfold_shaders::Data;
use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::constants::Constants;
use super::covariance::{Covariance, NoRoot};
use crate::data::{Checkpoint, Error};

/// The largest condition number of C: past it the products of the update are rounding errors (Hansen's own code stops
/// there).
const CONDITION_LIMIT: f64 = 1e14;

/// C, and B diag(D^2) B^T which it was when it was last decomposed.
#[derive(Debug)]
pub(super) struct Full {
    /// Only the lower triangle is read: rounding may make the upper one differ.
    covariance: DMatrix<f64>,
    /// B: the eigenvectors are its columns.
    axes: DMatrix<f64>,
    /// D: the roots of the eigenvalues.
    lengths: DVector<f64>,
    /// The generation of the last decomposition.
    decomposed: u32,
    /// Generations between decompositions.
    gap: f64,
}

impl Full {
    /// The identity.
    pub fn new(parameters: usize, constants: &Constants) -> Self {
        Self {
            covariance: DMatrix::identity(parameters, parameters),
            axes: DMatrix::identity(parameters, parameters),
            lengths: DVector::from_element(parameters, 1.0),
            decomposed: 0,
            // In the meantime the matrix changes by about a tenth (appendix B.2 of the tutorial).
            gap: 1.0 / (10.0 * parameters as f64 * (constants.c_1 + constants.c_mu)),
        }
    }
}

impl Covariance for Full {
    fn refresh(&mut self, generation: u32) -> Result<(), NoRoot> {
        let since = generation - self.decomposed;
        if since == 0 || f64::from(since) < self.gap {
            return Ok(());
        }
        if !self.covariance.iter().all(|element| element.is_finite()) {
            return Err(NoRoot);
        }
        // The iterations of QR on a finite matrix are about two for each eigenvalue.
        let iterations = 100 * self.covariance.nrows();
        let decomposition = SymmetricEigen::try_new(self.covariance.clone(), f64::EPSILON, iterations).ok_or(NoRoot)?;
        let SymmetricEigen { eigenvectors, mut eigenvalues } = decomposition;
        let (largest, smallest) = (eigenvalues.max(), eigenvalues.min());
        if largest > CONDITION_LIMIT * smallest {
            let shift = (largest - CONDITION_LIMIT * smallest) / (CONDITION_LIMIT - 1.0);
            eigenvalues.add_scalar_mut(shift);
            (0..eigenvalues.len()).for_each(|index| self.covariance[(index, index)] += shift);
        }
        self.axes = eigenvectors;
        self.lengths = eigenvalues.map(f64::sqrt);
        self.decomposed = generation;
        Ok(())
    }

    fn transform(&self, normals: &DMatrix<f64>) -> DMatrix<f64> {
        let stretched = DMatrix::from_fn(normals.nrows(), normals.ncols(), |row, column| {
            self.lengths[row] * normals[(row, column)]
        });
        &self.axes * stretched
    }

    fn whiten(&self, normal: &DVector<f64>) -> DVector<f64> {
        &self.axes * normal
    }

    fn update(&mut self, decay: f64, rate: f64, path: &DVector<f64>, rates: &DVector<f64>, steps: &DMatrix<f64>) {
        let weighted =
            DMatrix::from_fn(steps.nrows(), steps.ncols(), |row, column| rates[column] * steps[(row, column)]);
        self.covariance.gemm(1.0, &weighted, &steps.transpose(), decay);
        self.covariance.ger(rate, path, path, 1.0);
    }

    fn save(&self, checkpoint: &mut Checkpoint, prefix: &str) {
        let n = self.lengths.len();
        checkpoint.insert_f64(&format!("{prefix}covariance"), &[n, n], self.covariance.as_slice().to_vec());
        checkpoint.insert_f64(&format!("{prefix}axes"), &[n, n], self.axes.as_slice().to_vec());
        checkpoint.insert_f64(&format!("{prefix}axis_lengths"), &[n], self.lengths.as_slice().to_vec());
        checkpoint.insert(&format!("{prefix}decomposed"), &[], Data::U32(vec![self.decomposed]));
    }

    fn restore(&mut self, checkpoint: &Checkpoint, prefix: &str) -> Result<(), Error> {
        let n = self.lengths.len();
        let covariance = checkpoint.f64(&format!("{prefix}covariance"), &[n, n])?;
        let axes = checkpoint.f64(&format!("{prefix}axes"), &[n, n])?;
        let lengths = checkpoint.f64(&format!("{prefix}axis_lengths"), &[n])?;
        self.decomposed = checkpoint.u32(&format!("{prefix}decomposed"), &[])?[0];
        self.covariance.copy_from_slice(covariance);
        self.axes.copy_from_slice(axes);
        self.lengths.copy_from_slice(lengths);
        Ok(())
    }
}
