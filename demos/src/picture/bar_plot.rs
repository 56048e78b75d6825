//! Bars: side by side under their names, or in groups over categories.

use super::axis::Axis;
use super::canvas::{Canvas, FINE, Frame, picture, text_width};
use super::chart::{self, Around, Chart, Entry, LETTERS};
use super::colour::{BLACK, of_method, styles};
use crate::failure::Failure;

/// Horizontal bars, longest first if the caller sorts them.
#[derive(Debug, Clone, Default)]
pub struct BarPlot {
    pub title: String,
    /// The meaning of the length of a bar.
    pub label: String,
    pub bars: Vec<(String, f64)>,
}

/// Upright bars, one of each series over each category.
#[derive(Debug, Clone, Default)]
pub struct ColumnPlot {
    pub title: String,
    /// The name of the categories.
    pub x: String,
    /// The meaning of the height of a bar.
    pub y: String,
    pub categories: Vec<String>,
    pub series: Vec<Columns>,
}

/// The bars of one series.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    pub name: String,
    /// One for each category, from 0 up or down.
    pub heights: Vec<f64>,
    /// Half the length of the line through the end of each bar, a deviation say; empty for none.
    pub spreads: Vec<f64>,
}

impl Columns {
    fn low(&self, category: usize) -> f64 {
        self.heights[category] - self.spreads.get(category).copied().unwrap_or(0.0)
    }

    fn high(&self, category: usize) -> f64 {
        self.heights[category] + self.spreads.get(category).copied().unwrap_or(0.0)
    }
}

/// The share of a category's width that its bars take.
const FILLED: f64 = 0.8;

impl BarPlot {
    /// Returns the bytes of a PNG file of the plot, of a width in points, two pixels each; the height follows from the
    /// bars.
    ///
    /// # Errors
    /// The picture cannot be encoded.
    pub fn png(&self, width: u32) -> Result<Vec<u8>, Failure> {
        let size = (f64::from(width), 104.0 + 26.0 * self.bars.len().max(1) as f64);
        picture(size.0, size.1, FINE, |canvas| self.draw(canvas, size)).png()
    }

    fn draw(&self, canvas: &Canvas, size: (f64, f64)) {
        let longest = self.bars.iter().map(|bar| bar.1).filter(|length| length.is_finite()).fold(0.0, f64::max);
        let lengths = 0.0..if longest > 0.0 { 1.1 * longest } else { 1.0 };
        let count = self.bars.len().max(1) as f64;
        let marks = chart::marks(&Axis::default(), &lengths, false);
        let rows = self.bars.iter().enumerate().map(|(row, bar)| (row as f64 + 0.5, bar.0.clone()));
        let names: Vec<_> = rows.collect();
        let around = Around { title: &self.title, labels: [&self.label, ""], ..Around::default() };
        let chart = Chart::new(canvas, size, &around, [lengths, count..0.0], [&marks, &names]);
        for (row, (name, length)) in self.bars.iter().enumerate().filter(|(_, bar)| bar.1.is_finite()) {
            let (left, top) = chart.place((0.0, row as f64 + 0.15));
            let (right, bottom) = chart.place((*length, row as f64 + 0.85));
            canvas.rectangle(Frame { left, top, width: right - left, height: bottom - top }, of_method(name));
        }
    }
}

impl ColumnPlot {
    /// Returns the bytes of a PNG file of the plot, of a size in points, two pixels each.
    ///
    /// # Errors
    /// The picture cannot be encoded.
    pub fn png(&self, width: u32, height: u32) -> Result<Vec<u8>, Failure> {
        let size = (f64::from(width), f64::from(height));
        picture(size.0, size.1, FINE, |canvas| self.draw(canvas, size)).png()
    }

    fn draw(&self, canvas: &Canvas, size: (f64, f64)) {
        let ends = self.series.iter().flat_map(|series| {
            let ends = |(index, height): (usize, &f64)| [series.low(index), series.high(index), *height];
            series.heights.iter().enumerate().flat_map(ends)
        });
        let (lowest, highest) = ends
            .filter(|end| end.is_finite())
            .fold((0.0, 0.0), |(low, high): (f64, f64), end| (low.min(end), high.max(end)));
        let heights = 1.08 * lowest..if highest > 0.0 { 1.08 * highest } else { 1.0 };
        let styles = styles(self.series.iter().map(|series| series.name.as_str()));
        let entry = |(series, style): (&Columns, &_)| Entry { name: series.name.clone(), style: *style, filled: true };
        let around = Around {
            title: &self.title,
            labels: [&self.x, &self.y],
            below: self.series.iter().zip(&styles).map(entry).collect(),
            ..Around::default()
        };
        let count = self.categories.len().max(1) as f64;
        let names = self.categories.iter().enumerate().map(|(at, name)| (at as f64 + 0.5, name.clone()));
        let room = size.0 / count - 8.0;
        let names: Vec<_> = names.map(|(at, name)| (at, shortened(name, room))).collect();
        let marks = chart::marks(&Axis::default(), &heights, false);
        let chart = Chart::new(canvas, size, &around, [0.0..count, heights], [&names, &marks]);
        let bar = FILLED / self.series.len().max(1) as f64;
        for (index, (series, style)) in self.series.iter().zip(&styles).enumerate() {
            for (category, &height) in series.heights.iter().enumerate().filter(|(_, height)| height.is_finite()) {
                let left = category as f64 + (1.0 - FILLED) / 2.0 + bar * index as f64;
                let (corners, middle) = ([(left, 0.0), (left + 0.92 * bar, height)], left + 0.46 * bar);
                let [a, b] = corners.map(|corner| chart.place(corner));
                let (top, height) = (a.1.min(b.1), (a.1 - b.1).abs());
                canvas.rectangle(Frame { left: a.0, top, width: b.0 - a.0, height }, style.fill());
                if series.spreads.get(category).is_some_and(|spread| spread.is_finite()) {
                    let ends = [series.low(category), series.high(category)].map(|end| chart.place((middle, end)));
                    canvas.line(&ends, 1.4, BLACK);
                }
            }
        }
        let zero = chart.place((0.0, 0.0)).1;
        canvas.line(&[(chart.frame.left, zero), (chart.frame.right(), zero)], 0.8, BLACK);
    }
}

/// Cuts a name that is wider than its room.
fn shortened(mut name: String, room: f64) -> String {
    while text_width(&name, LETTERS) > room && name.chars().count() > 4 {
        let kept = name.trim_end_matches('…').chars().count() - 1;
        name = name.chars().take(kept).collect::<String>() + "…";
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::plot::tests::pixels_of;
    use super::*;
    use crate::picture::colour::COLOURS;

    /// Pixels of a colour in a plot of two series over three categories.
    fn pixels(heights: [[f64; 3]; 2]) -> [usize; 2] {
        let series = |index: usize| Columns {
            name: format!("series {index}"),
            heights: heights[index].to_vec(),
            ..Columns::default()
        };
        let plot = ColumnPlot {
            title: "Steps".into(),
            x: "steps".into(),
            y: "paths".into(),
            categories: vec!["1".into(), "2".into(), "never".into()],
            series: vec![series(0), series(1)],
        };
        let bytes = plot.png(600, 400).unwrap();
        [0, 1].map(|index| pixels_of(&bytes, COLOURS[index]))
    }

    #[test]
    fn bars_are_as_large_as_their_numbers() {
        // The legend of a series, besides its bars.
        let legend = pixels([[0.0; 3], [0.0; 3]]);
        let [first, second] = pixels([[1.0, 2.0, 3.0], [1.0, f64::NAN, 0.5]]);
        let ratio = (first - legend[0]) as f64 / (second - legend[1]) as f64;
        assert!((3.8..4.2).contains(&ratio), "{ratio}");
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let bars = |value| BarPlot { bars: vec![("a".into(), 1.0), ("b".into(), value)], ..BarPlot::default() };
        let short = pixels_of(&bars(0.25).png(600).unwrap(), COLOURS[0]);
        let long = pixels_of(&bars(1.0).png(600).unwrap(), COLOURS[0]);
        assert!((short as f64 / long as f64 - 0.625).abs() < 0.02, "{short} {long}");
        BarPlot::default().png(500).unwrap();
    }

    #[test]
    fn a_name_without_room_is_cut() {
        assert_eq!(shortened("swing-up medium".into(), 1e3), "swing-up medium");
        let cut = shortened("swing-up medium".into(), 60.0);
        assert!(cut.ends_with('…') && text_width(&cut, LETTERS) <= 60.0, "{cut}");
    }
}
