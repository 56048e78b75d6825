//! The full covariance matrix, and its Cholesky factor where it has changed enough.

use fourfold_shaders::Data;
use nalgebra::{Cholesky, DMatrix, DVector};

use super::constants::Constants;
use super::covariance::{Covariance, NoRoot};
use crate::data::{Checkpoint, Error};

/// C, and the triangular root of what it was when it was last factored.
///
/// The tutorial takes the symmetric root, from an eigendecomposition. The lower triangular A with `A A^T = C` costs a
/// twelfth of it and serves as well (Krause, Arbones and Igel, "CMA-ES with optimal covariance update and storage
/// complexity", NeurIPS 2016): both give steps of the same distribution, and both change smoothly with C, so that the
/// whitened steps of several generations add up to a path.
#[derive(Debug)]
pub(super) struct Full {
    /// Only the lower triangle is read: rounding may make the upper one differ.
    covariance: DMatrix<f64>,
    /// A.
    factor: DMatrix<f64>,
    /// The generation of the last factorisation.
    factored: u32,
    /// Generations between factorisations.
    gap: f64,
}

impl Full {
    /// The identity.
    pub fn new(parameters: usize, constants: &Constants) -> Self {
        Self {
            covariance: DMatrix::identity(parameters, parameters),
            factor: DMatrix::identity(parameters, parameters),
            factored: 0,
            // In the meantime the matrix changes by about a tenth (appendix B.2 of the tutorial).
            gap: 1.0 / (10.0 * parameters as f64 * (constants.c_1 + constants.c_mu)),
        }
    }

    /// The factor of C, whose diagonal grows by what it takes where rounding has left C without one.
    fn factor(&mut self) -> Result<DMatrix<f64>, NoRoot> {
        if !self.covariance.iter().all(|element| element.is_finite()) {
            return Err(NoRoot);
        }
        let largest = self.covariance.diagonal().amax();
        // The last shift is larger than n times the largest element, which bounds the magnitude of every eigenvalue.
        for exponent in -15..6 {
            if let Some(cholesky) = Cholesky::new(self.covariance.clone()) {
                return Ok(cholesky.unpack());
            }
            let shift = largest * 10_f64.powi(exponent);
            (0..self.covariance.nrows()).for_each(|index| self.covariance[(index, index)] += shift);
        }
        Err(NoRoot)
    }
}

impl Covariance for Full {
    fn refresh(&mut self, generation: u32) -> Result<(), NoRoot> {
        let since = generation - self.factored;
        if since > 0 && f64::from(since) >= self.gap {
            self.factor = self.factor()?;
            self.factored = generation;
        }
        Ok(())
    }

    fn transform(&self, normals: &DMatrix<f64>) -> DMatrix<f64> {
        &self.factor * normals
    }

    fn update(&mut self, decay: f64, rate: f64, path: &DVector<f64>, rates: &DVector<f64>, steps: &DMatrix<f64>) {
        let weighted =
            DMatrix::from_fn(steps.nrows(), steps.ncols(), |row, column| rates[column] * steps[(row, column)]);
        self.covariance.gemm(1.0, &weighted, &steps.transpose(), decay);
        self.covariance.ger(rate, path, path, 1.0);
    }

    fn save(&self, checkpoint: &mut Checkpoint, prefix: &str) {
        let n = self.covariance.nrows();
        // Column after column, the transposed matrices: C is its own.
        checkpoint.insert_f64(&format!("{prefix}covariance"), &[n, n], self.covariance.as_slice().to_vec());
        checkpoint.insert_f64(&format!("{prefix}transposed_factor"), &[n, n], self.factor.as_slice().to_vec());
        checkpoint.insert(&format!("{prefix}factored"), &[], Data::U32(vec![self.factored]));
    }

    fn restore(&mut self, checkpoint: &Checkpoint, prefix: &str) -> Result<(), Error> {
        let n = self.covariance.nrows();
        let covariance = checkpoint.f64(&format!("{prefix}covariance"), &[n, n])?;
        let factor = checkpoint.f64(&format!("{prefix}transposed_factor"), &[n, n])?;
        self.factored = checkpoint.u32(&format!("{prefix}factored"), &[])?[0];
        self.covariance.copy_from_slice(covariance);
        self.factor.copy_from_slice(factor);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evolution::cma_es::Form;

    fn factored(elements: &[f64]) -> Result<DMatrix<f64>, NoRoot> {
        let mut full = Full::new(2, &Constants::new(2, 6, Form::Full));
        full.covariance.copy_from_slice(elements);
        full.refresh(10)?;
        Ok(&full.factor * full.factor.transpose())
    }

    #[test]
    fn the_factor_is_a_root_of_the_lower_triangle() {
        let product = factored(&[4.0, 2.0, -77.0, 10.0]).unwrap();
        assert!((product - DMatrix::from_row_slice(2, 2, &[4.0, 2.0, 2.0, 10.0])).amax() < 1e-14);
    }

    #[test]
    fn a_matrix_that_rounding_left_without_a_root_has_one_after_a_small_shift() {
        let elements = [1.0, 1.0, 1.0, 1.0 - 1e-15];
        let product = factored(&elements).unwrap();
        assert!((product - DMatrix::from_row_slice(2, 2, &elements)).amax() < 1e-13);
        let product = factored(&[1.0, 3.0, 3.0, 1.0]).unwrap();
        assert!(product.iter().all(|element| element.is_finite()));
    }

    #[test]
    fn a_matrix_that_is_not_finite_has_no_factor() {
        assert_eq!(factored(&[1.0, f64::NAN, 0.0, 1.0]), Err(NoRoot));
    }

    #[test]
    fn the_factor_waits_until_the_matrix_has_changed_by_a_tenth() {
        let constants = Constants::new(10, 10, Form::Full);
        let mut full = Full { gap: 2.5, ..Full::new(10, &constants) };
        full.covariance *= 4.0;
        for generation in 0..3 {
            full.refresh(generation).unwrap();
            assert_eq!(full.factor[(0, 0)], 1.0);
        }
        full.refresh(3).unwrap();
        assert_eq!(full.factor[(0, 0)], 2.0);
    }
}
