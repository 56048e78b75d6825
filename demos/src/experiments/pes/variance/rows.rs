//! Arithmetic on rows of numbers.

/// Returns the squared distance of two points.
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Returns the squared length of a vector.
pub fn squared_norm(a: &[f64]) -> f64 {
    a.iter().map(|a| a * a).sum()
}

/// Returns the mean of rows of equal length, of which there is at least one.
pub fn mean_row(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut mean = vec![0.0; rows[0].len()];
    for row in rows {
        mean.iter_mut().zip(row).for_each(|(mean, number)| *mean += number / rows.len() as f64);
    }
    mean
}

/// Returns the trace of the covariance of rows about their mean, with one degree of freedom less than there are rows.
pub fn total_variance(rows: &[Vec<f64>]) -> f64 {
    let mean = mean_row(rows);
    let sum: f64 = rows.iter().map(|row| squared_distance(row, &mean)).sum();
    sum / rows.len().saturating_sub(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_variance_is_that_of_all_numbers_together() {
        let rows = [vec![1.0, 0.0], vec![3.0, 4.0]];
        assert_eq!(mean_row(&rows), [2.0, 2.0]);
        assert_eq!(total_variance(&rows), 2.0 + 8.0);
    }
}
