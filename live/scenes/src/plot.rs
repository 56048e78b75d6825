//! Curves in a frame with axes.

use std::collections::VecDeque;

use crate::panel::panel;
use crate::{Align, Area, Colour, Drawing, Paint};

/// A series of a plot.
#[derive(Debug, Clone)]
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    pub(crate) paint: Paint,
    /// Places along both axes; what is not finite leaves a gap.
    pub(crate) points: Vec<[f64; 2]>,
}

/// A plot.
#[derive(Debug, Clone)]
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    /// The name of the horizontal axis.
    pub(crate) across: &'a str,
    /// Least and greatest of each axis; none fits the series.
    pub(crate) ranges: [Option<[f64; 2]>; 2],
    pub(crate) series: Vec<Series<'a>>,
    /// Places along the horizontal axis that have a line of their own.
    pub(crate) marks: Vec<f64>,
}

impl<'a> Plot<'a> {
    /// Two shares from 0 to 1 over the steps: `moments` hold the step and both.
    pub(crate) fn of_shares(title: &'a str, names: [&'a str; 2], moments: &VecDeque<[f64; 3]>) -> Self {
        let of = |column: usize| moments.iter().map(|moment| [moment[0], moment[column]]).collect();
        let series = [(Colour::Blue, names[0], of(1)), (Colour::Orange, names[1], of(2))];
        Self {
            title,
            across: "step",
            ranges: [None, Some([0.0, 1.0])],
            series: series.map(|(colour, name, points)| Series { name, paint: colour.into(), points }).into(),
            marks: Vec::new(),
        }
    }

    /// Draws the plot into an area, with text of this size.
    pub(crate) fn draw(&self, drawing: &mut Drawing, area: Area, text: f32) {
        let rest = panel(drawing, area, text, Colour::Ink, self.title);
        let ranges = [0, 1].map(|axis| self.ranges[axis].unwrap_or_else(|| self.fitted(axis)));
        let inner = Area {
            min: [rest.min[0] + 3.2 * text, rest.min[1] + 0.4 * text],
            max: [rest.max[0] - 0.4 * text, rest.max[1] - 1.5 * text],
        };
        if inner.width() < text || inner.height() < text {
            return;
        }
        let small = 0.85 * text;
        for part in 0..=2 {
            let share = part as f32 / 2.0;
            let value = ranges[1][0] + f64::from(share) * (ranges[1][1] - ranges[1][0]);
            let y = inner.at([0.0, 1.0 - share])[1];
            let faint = Paint { colour: Colour::Muted, opacity: 0.35 };
            drawing.line(vec![[inner.min[0], y], [inner.max[0], y]], 1.0, faint);
            drawing.text([inner.min[0] - 0.3 * text, y], small, Align::Right, Colour::Muted, short(value));
        }
        let foot = inner.max[1] + 0.8 * text;
        drawing.text([inner.min[0], foot], small, Align::Left, Colour::Muted, short(ranges[0][0]));
        drawing.text([inner.centre()[0], foot], small, Align::Centre, Colour::Muted, self.across);
        drawing.text([inner.max[0], foot], small, Align::Right, Colour::Muted, short(ranges[0][1]));
        for mark in self.marks.iter().filter(|mark| (ranges[0][0]..=ranges[0][1]).contains(mark)) {
            let share = (mark - ranges[0][0]) / (ranges[0][1] - ranges[0][0]).max(1e-12);
            let [x, y] = inner.at([share as f32, 0.0]);
            drawing.line(vec![[x, y], [x, inner.max[1]]], 1.5, Colour::Purple);
        }
        for (index, series) in self.series.iter().enumerate() {
            self.curve(drawing, inner, ranges, series);
            let at = [inner.min[0] + 0.6 * text, inner.min[1] + (0.7 + 1.15 * index as f32) * text];
            drawing.line(vec![at, [at[0] + text, at[1]]], 3.0, series.paint);
            drawing.text([at[0] + 1.4 * text, at[1]], small, Align::Left, Colour::Ink, series.name);
        }
    }

    fn curve(&self, drawing: &mut Drawing, inner: Area, ranges: [[f64; 2]; 2], series: &Series<'_>) {
        let place = |point: &[f64; 2]| {
            let [x, y] = [0, 1].map(|axis| {
                let [least, greatest] = ranges[axis];
                ((point[axis] - least) / (greatest - least).max(1e-12)).clamp(0.0, 1.0) as f32
            });
            inner.at([x, 1.0 - y])
        };
        for part in series.points.split(|point| point.iter().any(|number| !number.is_finite())) {
            // More points than the plot has pixels show nothing more.
            let every = (part.len() / (2 * inner.width() as usize).max(2)).max(1);
            let last = part.len().saturating_sub(1);
            let shown = part.iter().enumerate().filter(|(index, _)| index % every == 0 || *index == last);
            drawing.line(shown.map(|(_, point)| place(point)).collect(), 2.0, series.paint);
        }
    }

    fn fitted(&self, axis: usize) -> [f64; 2] {
        let numbers = self.series.iter().flat_map(|series| &series.points).map(|point| point[axis]);
        let finite = numbers.filter(|number| number.is_finite());
        let [least, greatest] =
            finite.fold([f64::MAX, f64::MIN], |[least, greatest], number| [least.min(number), greatest.max(number)]);
        match greatest - least {
            span if span > 1e-9 => [least, greatest],
            _ if least <= greatest => [least - 0.5, least + 0.5],
            _ => [0.0, 1.0],
        }
    }
}

/// A number in as few characters as tell it.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e5 => format!("{value:.0e}"),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        size if size >= 0.01 => format!("{value:.2}"),
        _ => format!("{value:.0e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_axes_are_short() {
        let texts = [0.0, 1.0, 0.25, 12.34, 1234.5, 2.5e6, 0.0012].map(short);
        assert_eq!(texts, ["0", "1", "0.25", "12.3", "1234", "2e6", "1e-3"]);
    }

    #[test]
    fn a_gap_in_a_series_is_a_gap_in_its_curve() {
        let points = [1.0, 2.0, f64::NAN, 4.0, 5.0].iter().enumerate().map(|(x, y)| [x as f64, *y]).collect();
        let series = vec![Series { name: "score", paint: Colour::Blue.into(), points }];
        let plot = Plot { title: "Score", across: "step", ranges: [None, None], series, marks: vec![2.0] };
        let mut drawing = Drawing::default();
        plot.draw(&mut drawing, Area { min: [0.0, 0.0], max: [300.0, 200.0] }, 14.0);
        let curves = drawing.shapes.iter().filter(|shape| matches!(shape, crate::Shape::Line { width: 2.0, .. }));
        assert_eq!(curves.count(), 2);
    }
}
