//! Summaries of repeated measurements.

/// The quantile of unsorted values, interpolated between neighbours; NaN where there are none.
pub fn quantile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = quantile.clamp(0.0, 1.0) * sorted.len().saturating_sub(1) as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    match (sorted.get(below), sorted.get(above)) {
        (Some(below), Some(above)) => below + (above - below) * position.fract(),
        _ => f64::NAN,
    }
}

/// The median; NaN where there are no values.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// A mean over independent runs with the half-width of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    pub mean: f64,
    /// The interval is `mean - half_width ..= mean + half_width`; infinite for a single value.
    pub half_width: f64,
}

/// The mean and its 95 % interval by Student's distribution: the values are taken for independent and normal.
pub fn mean(values: &[f64]) -> Mean {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return Mean { mean, half_width: f64::INFINITY };
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Mean { mean, half_width: student_97_5(values.len() - 1) * (variance / count).sqrt() }
}

/// The 97.5 % quantile of Student's distribution.
fn student_97_5(degrees: usize) -> f64 {
    const TABLE: [f64; 10] = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281];
    match TABLE.get(degrees - 1) {
        Some(quantile) => *quantile,
        // Cornish-Fisher expansion about the normal quantile z, right to 4 digits from 11 degrees on.
        None => {
            let (z, n) = (1.959_964_f64, degrees as f64);
            let first = (z.powi(3) + z) / 4.0;
            let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
            let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
            z + first / n + second / n.powi(2) + third / n.powi(3)
        }
    }
}

impl std::fmt::Display for Mean {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = formatter.precision().unwrap_or(2);
        write!(formatter, "{:.digits$} ± {:.digits$}", self.mean, self.half_width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_interval_of_five_values_uses_four_degrees_of_freedom() {
        // Deviation sqrt(2.5), so 2.7764 * sqrt(2.5 / 5) = 1.9632.
        let mean = mean(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(mean.mean, 3.0);
        assert!((mean.half_width - 1.9632).abs() < 1e-4, "{mean:?}");
        assert_eq!(format!("{mean:.1}"), "3.0 ± 2.0");
    }

    #[test]
    fn quantiles_beyond_the_table_agree_with_published_ones() {
        assert!((student_97_5(11) - 2.2010).abs() < 2e-4);
        assert!((student_97_5(30) - 2.0423).abs() < 1e-4);
        assert!((student_97_5(1000) - 1.9623).abs() < 1e-4);
    }

    #[test]
    fn one_value_says_nothing_about_its_spread() {
        assert_eq!(mean(&[2.0]), Mean { mean: 2.0, half_width: f64::INFINITY });
    }
}
