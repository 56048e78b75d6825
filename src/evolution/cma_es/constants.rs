//! The constants of the strategy: weights, learning rates and damping, from the numbers of parameters and members.

use super::Form;

/// Table 1 of the tutorial, with the two small changes of pycma: `mu_eff + 3` in the denominator of `c_sigma`, and a
/// lower `c_1` for fewer than six members.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constants {
    /// Weights of the members, best first: positive ones with the sum 1, then at most one zero, then negative ones.
    pub weights: Vec<f64>,
    /// mu, the number of positive weights.
    pub parents: usize,
    /// The variance-effective number of parents.
    pub mu_eff: f64,
    /// Learning rate of the path that adapts sigma.
    pub c_sigma: f64,
    /// Damping of sigma.
    pub d_sigma: f64,
    /// Learning rate of the path of the rank-one update.
    pub c_c: f64,
    /// Learning rate of the rank-one update.
    pub c_1: f64,
    /// Learning rate of the rank-mu update.
    pub c_mu: f64,
    /// The mean length of a vector of standard normal deviates, to the order 1/n^2.
    pub chi: f64,
}

impl Constants {
    pub fn new(parameters: usize, members: usize, form: Form) -> Self {
        let n = parameters as f64;
        let middle = (members as f64 + 1.0) / 2.0;
        let mut weights: Vec<f64> = (1..=members).map(|rank| (middle / rank as f64).ln()).collect();
        let parents = members / 2;
        let (positive, negative) = weights.split_at_mut(parents);
        let mu_eff = effective_count(positive);
        let mu_eff_negative = effective_count(negative);

        let mut c_1 = (members as f64 / 6.0).min(1.0) * 2.0 / ((n + 1.3).powi(2) + mu_eff);
        let mut c_mu = 2.0 * (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / ((n + 2.0).powi(2) + mu_eff);
        if form == Form::Separable {
            // n numbers are learned faster than n^2 (Ros and Hansen 2008, section 3).
            let faster = (n + 2.0) / 3.0;
            c_1 = (faster * c_1).min(1.0);
            c_mu *= faster;
        }
        let c_mu = c_mu.min(1.0 - c_1);

        scale_to_sum(positive, 1.0);
        // Equations 50 to 53: no decay of C, a rate that respects the number of samples, and C stays positive definite.
        let no_decay = if c_mu > 0.0 { 1.0 + c_1 / c_mu } else { 0.0 };
        let samples = 1.0 + 2.0 * mu_eff_negative / (mu_eff + 2.0);
        let definite = if c_mu > 0.0 { (1.0 - c_1 - c_mu) / (n * c_mu) } else { 0.0 };
        scale_to_sum(negative, no_decay.min(samples).min(definite));

        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 3.0);
        Self {
            weights,
            parents,
            mu_eff,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            c_c: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            c_1,
            c_mu,
            chi: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
        }
    }
}

/// `(sum w)^2 / sum w^2`.
fn effective_count(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    sum * sum / squares
}

/// Scales weights, all of one sign, so that their magnitudes have this sum.
fn scale_to_sum(weights: &mut [f64], magnitude: f64) {
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight *= magnitude / sum.abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(got: f64, expected: f64) {
        assert!((got - expected).abs() <= 1e-13 * expected.abs(), "{got} instead of {expected}");
    }

    /// The values of pycma 4.5.0: `sp` and `adapt_sigma` of a `CMAEvolutionStrategy` with
    /// `AdaptSigma=CMAAdaptSigmaCSA`.
    #[test]
    fn ten_members_of_ten_parameters_have_the_constants_of_pycma() {
        let constants = Constants::new(10, 10, Form::Full);
        assert_eq!(constants.parents, 5);
        assert_close(constants.mu_eff, 3.1672992814107017);
        assert_close(constants.c_1, 0.015283824524751714);
        assert_close(constants.c_mu, 0.02355177665041747);
        assert_close(constants.c_c, 0.29499038303562225);
        assert_close(constants.c_sigma, 0.3196142529106334);
        assert_close(constants.d_sigma, 1.3196142529106334);
        let weights = [
            0.45627264690340597,
            0.2707530970017852,
            0.16223111715866978,
            0.08523354710016448,
            0.025509591835974777,
            -0.08001260758087224,
            -0.22176416099914653,
            -0.34455494178482093,
            -0.45286408637842196,
            -0.5497499176973853,
        ];
        for (got, expected) in constants.weights.iter().zip(weights) {
            assert_close(*got, expected);
        }
    }

    /// The values of pycma 4.5.0, as above.
    #[test]
    fn a_population_of_256_for_913_parameters_has_the_constants_of_pycma() {
        let constants = Constants::new(913, 256, Form::Full);
        assert_eq!(constants.parents, 128);
        assert_close(constants.mu_eff, 66.85779557916017);
        assert_close(constants.c_1, 2.392312024560029e-06);
        assert_close(constants.c_mu, 0.00015555568131176415);
        assert_close(constants.c_c, 0.004441197650572385);
        assert_close(constants.c_sigma, 0.07005875711509713);
        assert_close(constants.d_sigma, 1.0700587571150972);
        assert_close(constants.weights[0], 0.0387998095069943);
        assert_close(constants.weights[1], 0.03326142970451702);
        assert_close(constants.weights[255], -0.01419775632659694);
        assert_close(constants.weights[128..].iter().sum(), -1.0153791362963172);
    }

    /// Holds for the smallest populations, the longest vectors and many more members than parameters.
    #[test]
    fn rates_and_weights_keep_the_covariance_positive_definite() {
        for form in [Form::Full, Form::Separable] {
            for parameters in [1, 2, 10, 5_000] {
                for members in [2, 3, 5, 10, 4_096] {
                    let constants = Constants::new(parameters, members, form);
                    let positive: f64 = constants.weights[..constants.parents].iter().sum();
                    let negative: f64 = constants.weights[constants.parents..].iter().sum();
                    assert_close(positive, 1.0);
                    let left = 1.0 - constants.c_1 - constants.c_mu * (positive + negative);
                    // The decay leaves at least as much of C as negative weights can take from one direction.
                    let taken = -negative * constants.c_mu * parameters as f64;
                    assert!(constants.c_1 > 0.0 && constants.c_mu >= 0.0, "{constants:?}");
                    assert!(left + 1e-12 >= taken, "{parameters} {members} {form:?}: {left} {taken}");
                    assert!(constants.weights.iter().all(|weight| weight.is_finite()), "{constants:?}");
                }
            }
        }
    }
}
