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

/// Returns the median, NaN counted as the largest; NaN where there are no values, or the middle ones are not finite.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().map(|&value| if value.is_nan() { f64::INFINITY } else { value }).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let (below, above) = (sorted[last / 2], sorted[sorted.len() / 2]);
    if above.is_finite() { 0.5 * (below + above) } else { f64::NAN }
}

/// Returns the arithmetic mean; NaN where there are no values.
pub fn average<T: Copy + Into<f64>>(values: &[T]) -> f64 {
    values.iter().map(|&value| value.into()).sum::<f64>() / values.len() as f64
}

/// Returns the mean and the standard deviation (of a value, not of the mean); the deviation of one value is 0. The values
/// are a sample whose mean is estimated, or, with `whole`, all there are.
pub fn spread(values: &[f64], whole: bool) -> (f64, f64) {
    let mean = average(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let degrees = if whole { values.len() } else { values.len().max(2) - 1 };
    (mean, (squares / degrees as f64).sqrt())
}

/// Returns the least and the highest value; infinities where there are none.
pub fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &value| (least.min(value), most.max(value)))
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
    let mean = average(values);
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

/// Names a number of things, as in `1 seed` and `3 seeds`.
pub fn counted(count: usize, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
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
    fn a_median_counts_what_is_not_finite_as_the_largest() {
        assert_eq!(median(&[f64::NAN, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[3.0, 1.0]), 2.0);
        assert!(median(&[f64::NAN, f64::NAN, 1.0]).is_nan());
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
    fn one_thing_is_no_plural() {
        assert_eq!([0, 1, 3].map(|count| counted(count, "seed")), ["0 seeds", "1 seed", "3 seeds"]);
    }

    #[test]
    fn one_value_says_nothing_about_its_spread() {
        assert_eq!(mean(&[2.0]), Mean { mean: 2.0, half_width: f64::INFINITY });
    }
}
