//! Samples taken turn and turn about, and the table made of them.

use std::time::Duration;

use serde_json::json;

use fourfold_peers_work::{Half, Measure, Row};

/// The samples of one row: the same number from each library.
pub struct Samples {
    name: &'static str,
    measure: Option<Measure>,
    burn: Vec<Duration>,
    fourfold: Vec<Duration>,
}

/// Runs row `index` `rounds` times in both halves after `warm_up` untimed runs: burn, Fourfold, burn, Fourfold, so
/// that whatever else the machine does meets both alike.
pub fn interleave(
    index: usize,
    row: &Row,
    burn: &mut Half,
    fourfold: &mut Half,
    (warm_up, rounds): (usize, usize),
) -> Result<Samples, String> {
    for _ in 0..warm_up {
        burn.run(index)?;
        fourfold.run(index)?;
    }
    let mut samples = Samples { measure: Some(row.measure), ..Samples::whole(row.name) };
    for _ in 0..rounds {
        samples.push(burn.run(index)?, fourfold.run(index)?);
    }
    Ok(samples)
}

/// The largest difference as a share of the largest value; an error where lengths differ or a value is not finite.
pub fn disagreement(burn: &[f32], fourfold: &[f32]) -> Result<f32, String> {
    if burn.len() != fourfold.len() {
        return Err(format!("burn returned {} values and Fourfold {}", burn.len(), fourfold.len()));
    }
    if !burn.iter().chain(fourfold).all(|value| value.is_finite()) {
        return Err("a result is not finite".into());
    }
    let scale = burn.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    Ok(burn.iter().zip(fourfold).fold(0.0, |worst: f32, (b, f)| worst.max((b - f).abs())) / scale)
}

impl Samples {
    /// A row without samples yet, whose times stand as they are.
    pub fn whole(name: &'static str) -> Self {
        Self { name, measure: None, burn: Vec::new(), fourfold: Vec::new() }
    }

    /// Adds one sample of each library.
    pub fn push(&mut self, burn: Duration, fourfold: Duration) {
        self.burn.push(burn);
        self.fourfold.push(fourfold);
    }

    /// Two JSON lines, one for each library.
    pub fn json_lines(&self) -> String {
        let line = |library: &str, samples: &[Duration]| {
            let milliseconds: Vec<f64> = samples.iter().map(|sample| sample.as_secs_f64() * 1e3).collect();
            json!({
                "work": self.name,
                "library": library,
                "minimum_ms": self.per_unit(minimum(samples)) * 1e3,
                "median_ms": self.per_unit(median(samples)) * 1e3,
                "samples_ms": milliseconds,
            })
        };
        format!("{}\n{}\n", line("burn", &self.burn), line("fourfold", &self.fourfold))
    }

    /// A row of the table that [`TABLE_HEAD`] opens.
    pub fn table_row(&self) -> String {
        let cell = |samples| {
            let (least, middle) = (minimum(samples), median(samples));
            let rate = match self.measure {
                Some(Measure::Flops(flops)) => format!(", {:.2} GFLOP/s", flops / least / 1e9),
                Some(Measure::Bytes(bytes)) => format!(", {:.2} GB/s", bytes / least / 1e9),
                Some(Measure::Steps(_)) | None => String::new(),
            };
            format!("{} / {}{rate}", time(self.per_unit(least)), time(self.per_unit(middle)))
        };
        format!(
            "| {} | {} | {} | {:.2} / {:.2} |",
            self.name,
            cell(&self.burn),
            cell(&self.fourfold),
            minimum(&self.burn) / minimum(&self.fourfold),
            median(&self.burn) / median(&self.fourfold),
        )
    }

    /// A sample of training steps counts for one step.
    fn per_unit(&self, seconds: f64) -> f64 {
        match self.measure {
            Some(Measure::Steps(steps)) => seconds / steps as f64,
            _ => seconds,
        }
    }
}

/// The head of the table; times are minimum / median.
pub const TABLE_HEAD: &str = "| work | burn | Fourfold | burn / Fourfold (minima / medians) |\n|---|---|---|---|";

fn time(seconds: f64) -> String {
    if seconds >= 1.0 { format!("{seconds:.2} s") } else { format!("{:.3} ms", seconds * 1e3) }
}

fn minimum(samples: &[Duration]) -> f64 {
    samples.iter().min().map_or(f64::NAN, Duration::as_secs_f64)
}

fn median(samples: &[Duration]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort();
    match sorted.len() {
        0 => f64::NAN,
        count => (sorted[(count - 1) / 2] + sorted[count / 2]).as_secs_f64() / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_samples_lies_between_the_middle_two() {
        let samples = [4, 1, 2, 100].map(Duration::from_secs);
        assert_eq!(median(&samples), 3.0);
        assert_eq!(minimum(&samples), 1.0);
    }

    #[test]
    fn results_that_are_not_finite_never_agree() {
        assert!(disagreement(&[1.0, f32::NAN], &[1.0, f32::NAN]).is_err());
        assert_eq!(disagreement(&[1.0, 4.0], &[1.0, 3.0]), Ok(0.25));
    }
}
