//! The scale of an axis and the marks on it.

use std::ops::Range;

/// An axis and its scale.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    pub label: String,
    /// Logarithmic: values of 0 and below are left out.
    pub logarithmic: bool,
    /// The least range shown; the data widen it.
    pub range: Option<Range<f64>>,
}

impl<T: Into<String>> From<T> for Axis {
    fn from(label: T) -> Self {
        Self::new(label)
    }
}

impl Axis {
    /// Returns an axis that begins and ends with the data.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// Returns a logarithmic axis.
    pub fn logarithmic(label: &str) -> Self {
        Self { logarithmic: true, ..Self::new(label) }
    }

    /// Returns an axis that shows at least a range.
    pub fn within(label: &str, range: Range<f64>) -> Self {
        Self { range: Some(range), ..Self::new(label) }
    }

    /// Returns the place of a value: its logarithm on a logarithmic axis, where values of 0 and below have no place.
    pub(crate) fn place(&self, value: f64) -> f64 {
        match self.logarithmic {
            true if value <= 0.0 => f64::NAN,
            true => value.log10(),
            false => value,
        }
    }

    /// Returns the value at a place.
    pub(crate) fn value(&self, place: f64) -> f64 {
        if self.logarithmic { 10f64.powf(place) } else { place }
    }

    /// Returns the name of a mark.
    pub(crate) fn name(&self, place: f64) -> String {
        let value = self.value(place);
        match value.abs() {
            0.0 => "0".to_owned(),
            size if !(1e-3..1e5).contains(&size) => {
                let text = format!("{value:.3e}");
                let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
                format!("{}e{power}", plain(digits))
            }
            _ => plain(&format!("{value:.3}")).to_owned(),
        }
    }

    /// Returns round values in a range of places, `most` at most: where marks stand. Those of counts are whole.
    pub(crate) fn ticks(&self, range: &Range<f64>, most: usize, whole: bool) -> Vec<f64> {
        let decades = range.end - range.start;
        let inside = |place: &f64| (range.start..=range.end).contains(place);
        if !self.logarithmic {
            return round_values(range, most, if whole { 1.0 } else { 0.0 });
        }
        if decades > 2.5 {
            // Whole powers of ten.
            let stride = (decades / most as f64).ceil();
            let first = (range.start / stride).ceil() as i64;
            let last = (range.end / stride).floor() as i64;
            return (first..=last).map(|index| index as f64 * stride).collect();
        }
        let powers = range.start.floor() as i32..=range.end.ceil() as i32;
        let in_decades = |digits: &'static [f64]| -> Vec<f64> {
            let all = powers.clone().flat_map(|power| digits.iter().map(move |digit| f64::from(power) + digit.log10()));
            all.filter(inside).collect()
        };
        let fits = |ticks: &Vec<f64>| (3..=most).contains(&ticks.len());
        let sevenths: &[&[f64]] = &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0], &[1.0, 2.0, 5.0]];
        sevenths.iter().map(|digits| in_decades(digits)).find(fits).unwrap_or_else(|| {
            let values = round_values(&(self.value(range.start)..self.value(range.end)), most, 0.0);
            values.into_iter().map(f64::log10).filter(inside).collect()
        })
    }

    /// Returns the range of places that holds the values and the least range, widened by `margin` of its length.
    pub(crate) fn extent(&self, places: impl Iterator<Item = f64>, margin: f64) -> Range<f64> {
        let least = self.range.iter().flat_map(|range| [self.place(range.start), self.place(range.end)]);
        let places: Vec<f64> = places.chain(least).filter(|place| place.is_finite()).collect();
        let low = places.iter().copied().fold(f64::INFINITY, f64::min);
        let high = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            return 0.0..1.0;
        }
        let length = if high > low { (high - low) * margin } else { low.abs().max(1.0) * 0.5 };
        low - length..high + length
    }
}

/// Returns multiples of 1, 2 or 5 times a power of ten in a range, `most` at most and `least` apart at least.
fn round_values(range: &Range<f64>, most: usize, least: f64) -> Vec<f64> {
    let least = ((range.end - range.start) / most as f64).max(if range.end > range.start { least } else { 0.0 });
    if !(least > 0.0 && least.is_finite()) {
        return Vec::new();
    }
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|&step| step >= least);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((range.start / step).ceil() as i64, (range.end / step).floor() as i64);
    (first..=last).map(|index| index as f64 * step).collect()
}

/// As many digits as tell neighbouring marks apart: without zeros at the end.
fn plain(decimal: &str) -> &str {
    decimal.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_marks_have_different_names() {
        let axis = Axis::new("steps");
        let names: Vec<String> = (0..5).map(|mark| axis.name(8e8 + 2e8 * f64::from(mark))).collect();
        assert_eq!(names, ["8e8", "1e9", "1.2e9", "1.4e9", "1.6e9"]);
        assert_eq!([0.0, 12.5, -3.0, 1.05e-4].map(|value| axis.name(value)), ["0", "12.5", "-3", "1.05e-4"]);
    }

    #[test]
    fn a_logarithmic_axis_leaves_out_zero_and_names_its_marks_by_value() {
        let axis = Axis { logarithmic: true, ..Axis::default() };
        assert!(axis.place(0.0).is_nan());
        assert_eq!(axis.place(1000.0), 3.0);
        assert_eq!(axis.name(2.0), "100");
        assert_eq!(axis.name(-5.0), "1e-5");
    }

    #[test]
    fn marks_stand_at_round_values() {
        let linear = Axis::default();
        assert_eq!(linear.ticks(&(-5.2..5.2), 10, false), [-4.0, -2.0, 0.0, 2.0, 4.0]);
        let axis = Axis { logarithmic: true, ..Axis::default() };
        let names = |from: f64, to: f64| -> Vec<String> {
            axis.ticks(&(from.log10()..to.log10()), 10, false).into_iter().map(|place| axis.name(place)).collect()
        };
        assert_eq!(names(1e-13, 1e14).first().unwrap(), "1e-12");
        assert_eq!(names(0.9, 5e4), ["1", "10", "100", "1000", "10000"]);
        assert_eq!(names(500.0, 2600.0), ["500", "600", "800", "1000", "2000"]);
        assert_eq!(names(14.0, 15.0), ["14", "14.2", "14.4", "14.6", "14.8", "15"][..names(14.0, 15.0).len()]);
        assert!(linear.ticks(&(1.0..1.0), 10, false).is_empty());
    }

    #[test]
    fn counts_have_whole_marks() {
        assert_eq!(Axis::default().ticks(&(1.0..3.0), 10, true), [1.0, 2.0, 3.0]);
        assert_eq!(Axis::default().ticks(&(1.0..3.0), 5, false), [1.0, 1.5, 2.0, 2.5, 3.0]);
        assert!(Axis::default().ticks(&(1.0..1.0), 10, true).is_empty());
    }
}
