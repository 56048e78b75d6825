//! The L2 coefficient of linear regression (Vicol et al., 2021).

use crate::description::own_problem;
use crate::inner_problem::{InnerProblem, Loss};
use crate::random::threefry::Random;
use crate::rollout::unroll::EpisodeRandom;

/// One outer parameter, the logarithm of the coefficient of `|w|^2 / 2`, in the training of a linear model without bias
/// by full-batch gradient descent (rate 0.001) on half the sum of the squared errors. The weights are drawn from the
/// standard normal distribution at the start; the loss of a step is half the sum of the squared errors on the validation
/// set after it. The problem never ends.
///
/// The sets enter by `X^T X`, `X^T y` and `|y|^2`, which give the same steps in exact arithmetic, however many rows there
/// are.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    features: usize,
    /// X^T X, X^T y of the training set; X^T X, X^T y, |y|^2 / 2 of the validation set.
    data: Vec<f32>,
}

const RATE: f64 = 1e-3;

/// An error of data that does not suit the problem.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RidgeError {
    /// Fewer than 5 rows, of which one in five is for validation.
    FewRows {
        /// Rows given.
        rows: usize,
    },
    /// A row has another number of features than the first, or there are none.
    Features {
        /// Index of the row, from 0.
        row: usize,
        /// Features of the first row.
        expected: usize,
        /// Features of this row.
        got: usize,
    },
    /// There are more or fewer targets than rows.
    Targets {
        /// Rows given.
        expected: usize,
        /// Targets given.
        got: usize,
    },
    /// A number is not finite.
    NotFinite {
        /// Index of the row, from 0.
        row: usize,
    },
    /// Gradient descent at the rate 0.001 would diverge under a penalty of 1 already: the largest eigenvalue of `X^T X`,
    /// rounded up, is past 1,999.
    Steep {
        /// The largest eigenvalue of `X^T X`, rounded up.
        eigenvalue: usize,
    },
}

impl std::fmt::Display for RidgeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FewRows { rows } => write!(formatter, "expected at least 5 rows of data, got {rows}"),
            Self::Features { row, expected, got } => {
                write!(formatter, "row {row}: expected {expected} features (at least 1), got {got}")
            }
            Self::Targets { expected, got } => {
                write!(formatter, "expected as many targets as rows, {expected}, got {got}")
            }
            Self::NotFinite { row } => write!(formatter, "row {row}: expected finite numbers, got one that is not"),
            Self::Steep { eigenvalue } => write!(
                formatter,
                "expected training data on which gradient descent at the rate 0.001 converges (X^T X below 1,999), \
                 got an eigenvalue of {eigenvalue}: take fewer rows or features"
            ),
        }
    }
}

impl std::error::Error for RidgeError {}

impl Ridge {
    /// The logarithms of the coefficient that the paper starts from, one run each.
    pub const STARTS: [f32; 6] = [5.0, 3.0, 1.0, -1.0, -3.0, -5.0];

    /// Makes the problem from rows of features and a target each. Features and targets are standardised over all rows
    /// (a feature that never changes becomes 0), then four fifths of the rows, in a random order of the seed, are for
    /// training and the others for validation.
    ///
    /// # Errors
    /// As [`RidgeError`] lists.
    pub fn new(features: &[Vec<f32>], targets: &[f32], seed: u32) -> Result<Self, RidgeError> {
        let rows = features.len();
        if rows < 5 {
            return Err(RidgeError::FewRows { rows });
        }
        if targets.len() != rows {
            return Err(RidgeError::Targets { expected: rows, got: targets.len() });
        }
        let count = features[0].len();
        for (row, (numbers, target)) in features.iter().zip(targets).enumerate() {
            if numbers.len() != count || count == 0 {
                return Err(RidgeError::Features { row, expected: count.max(1), got: numbers.len() });
            }
            if !numbers.iter().chain([target]).all(|number| number.is_finite()) {
                return Err(RidgeError::NotFinite { row });
            }
        }
        let column = |feature: usize| standardised(features.iter().map(|row| f64::from(row[feature])).collect());
        let columns: Vec<Vec<f64>> = (0..count).map(column).collect();
        let targets = standardised(targets.iter().copied().map(f64::from).collect());

        let mut order: Vec<usize> = (0..rows).collect();
        Random::new(seed, 0).shuffle(&mut order);
        let (training, validation) = order.split_at(rows * 4 / 5);
        let mut data = Vec::with_capacity(2 * count * (count + 1) + 1);
        for set in [training, validation] {
            let product = |a: &[f64], b: &[f64]| set.iter().map(|&row| a[row] * b[row]).sum::<f64>() as f32;
            for column in &columns {
                data.extend(columns.iter().map(|other| product(column, other)));
            }
            data.extend(columns.iter().map(|column| product(column, &targets)));
        }
        data.push(validation.iter().map(|&row| 0.5 * targets[row].powi(2)).sum::<f64>() as f32);
        let problem = Self { features: count, data };
        let eigenvalue = problem.largest_eigenvalue();
        // Room for a penalty of 1.
        if RATE * (eigenvalue + 1.0) > 2.0 {
            return Err(RidgeError::Steep { eigenvalue: eigenvalue.ceil() as usize });
        }
        Ok(problem)
    }

    /// Matrix and vector of a set, the number of which is 0 for training and 1 for validation.
    fn set(&self, set: usize) -> (&[f32], &[f32]) {
        let square = self.features * self.features;
        self.data[set * (square + self.features)..][..square + self.features].split_at(square)
    }

    /// Computes it by the power method, from a vector that is orthogonal to no eigenvector in practice.
    fn largest_eigenvalue(&self) -> f64 {
        let mut vector: Vec<f64> = (0..self.features).map(|i| 1.0 + 0.37 * (1.3 * i as f64).sin()).collect();
        let mut length = 0.0;
        for _ in 0..1_000 {
            let product = times(self.set(0).0, &vector);
            length = product.iter().map(|number| number * number).sum::<f64>().sqrt();
            if length == 0.0 {
                break;
            }
            vector = product.iter().map(|number| number / length).collect();
        }
        length
    }

    fn validation_loss(&self, weights: &[f64]) -> f64 {
        let (matrix, vector) = self.set(1);
        let products = times(matrix, weights);
        let terms = weights.iter().zip(&products).zip(vector);
        let sum: f64 = terms.map(|((weight, product), &target)| weight * (0.5 * product - f64::from(target))).sum();
        sum + f64::from(self.data[self.data.len() - 1])
    }

    /// Units of 2^-24 by which a step rounds the state and the loss, at weights below 4 and a coefficient below 150
    /// (the paper's largest): sums of as many products as features, relative to the sum of their magnitudes. Of those
    /// of a step the rate is left, and the coefficient errs by 24 units of its own.
    fn roundings(&self) -> (f64, f64) {
        let terms = (self.features + 2) as f64;
        let (row, _) = magnitudes(self.set(0).0, self.features);
        let (_, target) = magnitudes(self.set(0).1, self.features);
        let (_, quadratic) = magnitudes(self.set(1).0, self.features);
        let (_, linear) = magnitudes(self.set(1).1, self.features);
        let constant = f64::from(self.data[self.data.len() - 1]);
        let step = 4.0 + RATE * (terms * (4.0 * row + target) + 4.0 * 150.0 * 24.0);
        (step, terms * (8.0 * quadratic + 4.0 * linear + constant))
    }

    /// The gradient of the training loss with its penalty.
    fn training_gradient(&self, weights: &[f64], coefficient: f64) -> Vec<f64> {
        let (matrix, vector) = self.set(0);
        let products = times(matrix, weights);
        let terms = products.iter().zip(vector).zip(weights);
        terms.map(|((product, &target), weight)| product - f64::from(target) + coefficient * weight).collect()
    }

    /// The weights at which training under `theta` settles: `(X^T X + exp(theta))^-1 X^T y`.
    pub fn settled(&self, theta: f64) -> Vec<f64> {
        let (matrix, vector) = self.set(0);
        let mut matrix: Vec<f64> = matrix.iter().copied().map(f64::from).collect();
        for i in 0..self.features {
            matrix[i * self.features + i] += theta.exp();
        }
        solve(matrix, vector.iter().copied().map(f64::from).collect())
    }

    /// The loss of a step under `theta` in the long run: that of the [settled](Self::settled) weights.
    pub fn settled_loss(&self, theta: f64) -> f64 {
        self.validation_loss(&self.settled(theta))
    }

    /// The `theta` at which the [settled loss](Self::settled_loss) is least, and that loss. It is sought from -10, or
    /// from 10 below the other end if that is lower, to the largest at which gradient descent converges, and is an end
    /// of that range where the loss falls towards it.
    pub fn optimum(&self) -> (f64, f64) {
        const CELLS: usize = 2_000;
        let last = (2.0 / RATE - self.largest_eigenvalue()).ln();
        let first = (last - 10.0).min(-10.0);
        let at = |cell: usize| first + (last - first) * cell as f64 / CELLS as f64;
        let losses: Vec<f64> = (0..=CELLS).map(|cell| self.settled_loss(at(cell))).collect();
        let best = (0..=CELLS).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).expect("a range of cells");
        // The golden section of the two cells about it.
        let (mut low, mut high) = (at(best.saturating_sub(1)), at((best + 1).min(CELLS)));
        let section = (5.0_f64.sqrt() - 1.0) / 2.0;
        for _ in 0..60 {
            let (left, right) = (high - section * (high - low), low + section * (high - low));
            if self.settled_loss(left) < self.settled_loss(right) {
                high = right;
            } else {
                low = left;
            }
        }
        let theta = 0.5 * (low + high);
        (theta, self.settled_loss(theta))
    }
}

/// The numbers less their mean, over their population deviation; 0 where all are equal.
fn standardised(mut numbers: Vec<f64>) -> Vec<f64> {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let deviation = (numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count).sqrt();
    // The mean of equal numbers may be a rounding error off.
    let scale = if deviation <= 1e-12 * mean.abs() { 0.0 } else { deviation.recip() };
    numbers.iter_mut().for_each(|number| *number = (*number - mean) * scale);
    numbers
}

/// A square matrix times a vector.
fn times(matrix: &[f32], vector: &[f64]) -> Vec<f64> {
    let rows = matrix.chunks_exact(vector.len());
    rows.map(|row| row.iter().zip(vector).map(|(&entry, number)| f64::from(entry) * number).sum()).collect()
}

/// The solution of a system whose matrix is symmetric and positive definite, by elimination.
fn solve(mut matrix: Vec<f64>, mut vector: Vec<f64>) -> Vec<f64> {
    let count = vector.len();
    for pivot in 0..count {
        for row in pivot + 1..count {
            let factor = matrix[row * count + pivot] / matrix[pivot * count + pivot];
            for column in pivot..count {
                matrix[row * count + column] -= factor * matrix[pivot * count + column];
            }
            vector[row] -= factor * vector[pivot];
        }
    }
    for row in (0..count).rev() {
        let known: f64 = (row + 1..count).map(|column| matrix[row * count + column] * vector[column]).sum();
        vector[row] = (vector[row] - known) / matrix[row * count + row];
    }
    vector
}

/// The largest sum of magnitudes of a row, and the sum of all.
fn magnitudes(matrix: &[f32], columns: usize) -> (f64, f64) {
    let sums = matrix.chunks_exact(columns).map(|row| row.iter().map(|&entry| f64::from(entry.abs())).sum::<f64>());
    sums.fold((0.0, 0.0), |(most, total): (f64, f64), sum| (most.max(sum), total + sum))
}

impl InnerProblem for Ridge {
    own_problem!("ridge.wgsl", "ridge_tangent.wgsl");

    fn states(&self) -> usize {
        self.features
    }

    fn parameters(&self) -> usize {
        1
    }

    fn horizon(&self) -> Option<usize> {
        None
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("FEATURES", self.features)]
    }

    fn data(&self) -> &[f32] {
        &self.data
    }

    /// Two products of a matrix with a vector in a step; a step of the derivative has three.
    fn iterations(&self) -> usize {
        3 * self.features * (self.features + 1) + 3 * self.features
    }

    /// The roundings of the state and of the loss.
    fn rounding(&self) -> f64 {
        let (step, loss) = self.roundings();
        step + loss
    }

    /// The state shrinks in the directions of the eigenvectors, and so grows by the root of the features at most. The loss
    /// magnifies its errors by its slope, at weights below 4; they are smaller than the loss's own.
    fn growth(&self) -> f64 {
        let (_, quadratic) = magnitudes(self.set(1).0, self.features);
        let (_, linear) = magnitudes(self.set(1).1, self.features);
        let (step, loss) = self.roundings();
        (self.features as f64).sqrt() + (4.0 * quadratic + linear) * step / (step + loss)
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        state.iter_mut().for_each(|weight| *weight = random.normal());
    }

    fn step(&self, state: &mut [f64], parameters: &[f64], _: u32, _: &mut EpisodeRandom) -> Loss {
        let gradient = self.training_gradient(state, parameters[0].exp());
        state.iter_mut().zip(gradient).for_each(|(weight, slope)| *weight -= RATE * slope);
        Loss { value: self.validation_loss(state), done: false }
    }

    fn tangent(
        &self,
        state: &[f64],
        tangent: &mut [f64],
        parameters: &[f64],
        parameter_tangent: &[f64],
        _: u32,
        _: &mut EpisodeRandom,
    ) -> f64 {
        let coefficient = parameters[0].exp();
        let gradient = self.training_gradient(state, coefficient);
        let next: Vec<f64> = state.iter().zip(gradient).map(|(weight, slope)| weight - RATE * slope).collect();
        let bent = times(self.set(0).0, tangent);
        for ((along, bent), weight) in tangent.iter_mut().zip(bent).zip(state) {
            *along -= RATE * (bent + coefficient * *along + coefficient * parameter_tangent[0] * weight);
        }
        let (matrix, vector) = self.set(1);
        let terms = times(matrix, &next).into_iter().zip(vector).zip(&*tangent);
        terms.map(|((product, &target), along)| along * (product - f64::from(target))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner_problem::problems::tests::after;

    /// Rows whose targets are a linear function of the first features and noise.
    fn rows(count: usize, features: usize) -> (Vec<Vec<f32>>, Vec<f32>) {
        let mut random = Random::new(3, 0);
        let rows: Vec<Vec<f32>> = (0..count).map(|_| (0..features).map(|_| random.normal()).collect()).collect();
        let targets = rows.iter().map(|row| 2.0 * row[0] - row[1] + 3.0 * random.normal()).collect();
        (rows, targets)
    }

    fn sample() -> Ridge {
        let (rows, targets) = rows(60, 4);
        Ridge::new(&rows, &targets, 1).unwrap()
    }

    #[test]
    fn training_settles_at_the_closed_form() {
        let problem = sample();
        for theta in [-3.0, 1.0, 4.0] {
            let (weights, loss) = after(&problem, &[theta], 3_000);
            for (weight, expected) in weights.iter().zip(problem.settled(theta)) {
                assert!((weight - expected).abs() < 1e-9, "{weight}, {expected}");
            }
            assert!((loss - problem.settled_loss(theta)).abs() < 1e-9);
        }
    }

    /// One feature, worked by hand: standardised, x and y are the same +-1 of five rows, so that four are for training and
    /// `X^T X = X^T y`, whichever they are.
    #[test]
    fn one_feature_that_is_the_target_is_learned_up_to_the_penalty() {
        let values = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0_f32];
        let rows: Vec<Vec<f32>> = values.iter().map(|&value| vec![5.0 * value + 2.0]).collect();
        let problem = Ridge::new(&rows, &values, 0).unwrap();
        assert_eq!(problem.data(), [8.0, 8.0, 2.0, 2.0, 1.0]);
        for theta in [-2.0, 0.0, 2.0_f64] {
            let weight = 8.0 / (8.0 + theta.exp());
            assert!((problem.settled(theta)[0] - weight).abs() < 1e-14);
            assert!((problem.settled_loss(theta) - (1.0 - weight).powi(2)).abs() < 1e-14);
        }
        // Nothing to gain from a penalty.
        assert!(problem.optimum().0 < -9.9);
    }

    #[test]
    fn the_loss_is_half_the_squared_error_of_the_validation_rows() {
        let (rows, targets) = rows(60, 4);
        let problem = Ridge::new(&rows, &targets, 1).unwrap();
        let columns: Vec<Vec<f64>> =
            (0..4).map(|feature| standardised(rows.iter().map(|row| f64::from(row[feature])).collect())).collect();
        let targets = standardised(targets.iter().copied().map(f64::from).collect());
        let mut order: Vec<usize> = (0..60).collect();
        Random::new(1, 0).shuffle(&mut order);
        let weights = [0.3, -0.7, 1.1, 0.2];
        let error = |row: usize| (0..4).map(|i| columns[i][row] * weights[i]).sum::<f64>() - targets[row];
        let expected: f64 = order[48..].iter().map(|&row| 0.5 * error(row).powi(2)).sum();
        assert!((problem.validation_loss(&weights) - expected).abs() < 1e-5 * expected);
        for (i, slope) in problem.training_gradient(&weights, 2.0).into_iter().enumerate() {
            let expected: f64 = order[..48].iter().map(|&row| error(row) * columns[i][row]).sum();
            assert!((slope - expected - 2.0 * weights[i]).abs() < 1e-4, "{slope}, {expected}");
        }
    }

    #[test]
    fn the_optimum_is_where_the_settled_loss_is_flat() {
        let (rows, targets) = rows(30, 12);
        let problem = Ridge::new(&rows, &targets, 2).unwrap();
        let (theta, loss) = problem.optimum();
        assert!(theta > -9.0 && theta < 6.0, "{theta}");
        for off in [-0.01, 0.01] {
            let beside = problem.settled_loss(theta + off);
            assert!(beside > loss && beside < loss + 1e-3, "{loss}, {beside}");
        }
    }

    #[test]
    fn what_does_not_suit_is_named() {
        let (mut rows, targets) = rows(20, 3);
        assert_eq!(Ridge::new(&rows[..4], &targets[..4], 0), Err(RidgeError::FewRows { rows: 4 }));
        assert_eq!(Ridge::new(&rows, &targets[..19], 0), Err(RidgeError::Targets { expected: 20, got: 19 }));
        rows[7].pop();
        assert_eq!(Ridge::new(&rows, &targets, 0), Err(RidgeError::Features { row: 7, expected: 3, got: 2 }));
        rows[7].push(f32::NAN);
        assert_eq!(Ridge::new(&rows, &targets, 0), Err(RidgeError::NotFinite { row: 7 }));
        let same: Vec<Vec<f32>> = (0..3_000).map(|row| vec![row as f32]).collect();
        let steep = Ridge::new(&same, &vec![1.0; 3_000], 0).unwrap_err();
        assert!(matches!(steep, RidgeError::Steep { eigenvalue: 2_300..2_500 }), "{steep}");
    }
}
