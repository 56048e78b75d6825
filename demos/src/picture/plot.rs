//! Plots as PNG images, drawn without any font or display of the system.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::failure::Failure;
use crate::picture::bitmap::{Area, Bitmap, Drawn, FONT};

/// Lines over a common axis.
#[derive(Debug, Clone, Default)]
pub struct LinePlot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
    /// Values of y that dashed lines mark.
    pub marks: Vec<f64>,
    /// The names of the lines stand at the lower left, not at the right.
    pub names_below: bool,
}

/// An axis and its scale.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    pub label: String,
    /// Logarithmic: values of 0 and below are left out.
    pub logarithmic: bool,
    /// The least range shown; the data widen it.
    pub range: Option<Range<f64>>,
}

/// One line of a plot.
#[derive(Debug, Clone, Default)]
pub struct Line {
    pub name: String,
    /// `(x, y)` in ascending x. Points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// Half the height of the band around each point, e.g. of an interval; empty for none.
    pub band: Vec<f64>,
    /// The lowest and the highest value at each point, where they are not as far from it; empty for none.
    pub extremes: Vec<(f64, f64)>,
}

/// Horizontal bars, longest first if the caller sorts them.
#[derive(Debug, Clone, Default)]
pub struct BarPlot {
    pub title: String,
    /// The meaning of the length of a bar.
    pub label: String,
    pub bars: Vec<(String, f64)>,
}

/// Colours that people with any kind of colour vision tell apart (Okabe and Ito 2008).
pub(crate) const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(60, 60, 60),
];

impl LinePlot {
    /// A plot of these lines.
    pub fn new(
        title: impl Into<String>,
        x: impl Into<Axis>,
        y: impl Into<Axis>,
        lines: impl IntoIterator<Item = Line>,
    ) -> Self {
        let lines = lines.into_iter().collect();
        Self { title: title.into(), x: x.into(), y: y.into(), lines, ..Self::default() }
    }

    /// The plot as the bytes of a PNG file of the given size in pixels.
    ///
    /// # Errors
    /// If the picture cannot be drawn or encoded.
    pub fn png(&self, width: u32, height: u32) -> Result<Vec<u8>, Failure> {
        png(width, height, |area| self.draw(area))
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        // The chart's own types differ with the kinds of its axes; logarithms as plain numbers keep one type.
        let points = |line: &Line| -> Vec<(f64, f64)> {
            line.points.iter().map(|&(x, y)| (self.x.place(x), self.y.place(y))).collect()
        };
        let finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
        let edges: Vec<(f64, f64)> =
            self.lines.iter().flat_map(|line| line.edges(&self.x, &self.y)).filter(finite).collect();
        let x_range = self.x.extent(edges.iter().map(|point| point.0), 0.0);
        let marks = self.marks.iter().map(|&value| self.y.place(value));
        let y_range = self.y.extent(edges.iter().map(|point| point.1).chain(marks.clone()), 0.05);
        let (left, right) = (x_range.start, x_range.end);
        let x_range = Ticked { ticks: self.x.ticks(&x_range, 10), range: x_range.into() };
        let y_range = Ticked { ticks: self.y.ticks(&y_range, 10), range: y_range.into() };

        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 24))
            .margin(16)
            // Half of the name of a mark at the end.
            .margin_right(36)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(x_range, y_range)?;
        chart
            .configure_mesh()
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .x_label_formatter(&|place| self.x.name(*place))
            .y_label_formatter(&|place| self.y.name(*place))
            .label_style((FONT, 15))
            .axis_desc_style((FONT, 17))
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.12))
            .draw()?;
        for mark in marks {
            chart.draw_series(DashedLineSeries::new([(left, mark), (right, mark)], 8, 6, BLACK.stroke_width(1)))?;
        }
        for (index, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            if !line.band.is_empty() || !line.extremes.is_empty() {
                let outline: Vec<_> = line.edges(&self.x, &self.y).filter(finite).collect();
                chart.draw_series([Polygon::new(outline, colour.mix(0.18))])?;
            }
            // Colours come again after the last, with dashes.
            let dashed = index >= COLOURS.len();
            chart.draw_series(std::iter::empty::<Circle<(f64, f64), i32>>())?.label(&line.name).legend(
                move |(x, y)| {
                    let gap = if dashed { 5 } else { 0 };
                    let piece = move |from, to| PathElement::new([(x + from, y), (x + to, y)], colour.stroke_width(3));
                    EmptyElement::at((0, 0)) + piece(0, 12 - gap) + piece(12, 24 - gap)
                },
            );
        }
        // The first lines lie above the others, and all above the bands.
        for (index, line) in self.lines.iter().enumerate().rev() {
            let style = COLOURS[index % COLOURS.len()].stroke_width(2);
            let kept = points(line).into_iter().filter(finite);
            if index < COLOURS.len() {
                chart.draw_series(LineSeries::new(kept, style))?;
            } else {
                chart.draw_series(DashedLineSeries::new(kept, 7, 5, style))?;
            }
        }
        if self.lines.iter().any(|line| !line.name.is_empty()) {
            let position = match self.names_below {
                true => SeriesLabelPosition::LowerLeft,
                false => SeriesLabelPosition::MiddleRight,
            };
            chart
                .configure_series_labels()
                .position(position)
                .label_font((FONT, 16))
                .background_style(WHITE.mix(0.85))
                .border_style(BLACK.mix(0.2))
                .legend_area_size(32)
                .margin(8)
                .draw()?;
        }
        Ok(())
    }
}

impl Line {
    /// A line without a band.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), points: points.into_iter().collect(), ..Self::default() }
    }

    /// The outline of the line with its band: along the upper edge and back along the lower, in places on the axes.
    fn edges<'a>(&'a self, x: &'a Axis, y: &'a Axis) -> impl Iterator<Item = (f64, f64)> + 'a {
        let edge = move |index: usize, sign: f64| {
            let (at, value) = self.points[index];
            let edge = match self.extremes.get(index) {
                Some(&(lowest, _)) if sign < 0.0 => lowest,
                Some(&(_, highest)) => highest,
                None => value + sign * self.band.get(index).copied().unwrap_or(0.0),
            };
            (x.place(at), y.place(edge))
        };
        let indices = 0..self.points.len();
        indices.clone().map(move |index| edge(index, 1.0)).chain(indices.rev().map(move |index| edge(index, -1.0)))
    }
}

impl<T: Into<String>> From<T> for Axis {
    fn from(label: T) -> Self {
        Self::new(label)
    }
}

impl Axis {
    /// An axis that begins and ends with the data.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// A logarithmic axis.
    pub fn logarithmic(label: &str) -> Self {
        Self { logarithmic: true, ..Self::new(label) }
    }

    /// An axis that shows at least a range.
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

    /// The value at a place.
    pub(crate) fn value(&self, place: f64) -> f64 {
        if self.logarithmic { 10f64.powf(place) } else { place }
    }

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

    /// Round values in a range of places, `most` at most: where marks stand.
    pub(crate) fn ticks(&self, range: &Range<f64>, most: usize) -> Vec<f64> {
        let decades = range.end - range.start;
        let inside = |place: &f64| (range.start..=range.end).contains(place);
        if !self.logarithmic {
            return round_values(range, most);
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
            let values = round_values(&(self.value(range.start)..self.value(range.end)), most);
            values.into_iter().map(f64::log10).filter(inside).collect()
        })
    }

    /// The range of places that holds the values and the least range, widened by `margin` of its length.
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

impl BarPlot {
    /// The plot as the bytes of a PNG file of the given width in pixels; the height follows from the bars.
    ///
    /// # Errors
    /// If the picture cannot be drawn or encoded.
    pub fn png(&self, width: u32) -> Result<Vec<u8>, Failure> {
        png(width, 110 + 28 * self.bars.len().max(1) as u32, |area| self.draw(area))
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        let longest = self.bars.iter().map(|bar| bar.1).filter(|length| length.is_finite()).fold(0.0, f64::max);
        let count = self.bars.len().max(1) as f64;
        let name = |place: &f64| {
            let row = self.bars.len() as f64 - place;
            self.bars.get(row.floor() as usize).map_or(String::new(), |bar| bar.0.clone())
        };
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 24))
            .margin(16)
            .margin_right(32)
            .x_label_area_size(48)
            .y_label_area_size(260)
            .build_cartesian_2d(0.0..(if longest > 0.0 { longest * 1.1 } else { 1.0 }), 0.0..count)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .y_labels(0)
            .x_desc(&self.label)
            .x_label_formatter(&|length| Axis::default().name(*length))
            .label_style((FONT, 15))
            .axis_desc_style((FONT, 17))
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.12))
            .draw()?;
        let rows: Vec<(f64, f64)> =
            (0..self.bars.len()).map(|row| count - row as f64).zip(self.bars.iter().map(|bar| bar.1)).collect();
        chart.draw_series(
            rows.iter()
                .filter(|(_, length)| length.is_finite())
                .map(|&(top, length)| Rectangle::new([(0.0, top - 0.15), (length, top - 0.85)], COLOURS[0].filled())),
        )?;
        // Names of rows stand beside their bars; the axis' own marks would fall between them.
        let left = chart.plotting_area().map_coordinate(&(0.0, 0.0)).0;
        let style = TextStyle::from((FONT, 15).into_font()).pos(plotters::style::text_anchor::Pos::new(
            plotters::style::text_anchor::HPos::Right,
            plotters::style::text_anchor::VPos::Center,
        ));
        for (top, _) in &rows {
            let centre = chart.plotting_area().map_coordinate(&(0.0, top - 0.5)).1;
            area.draw_text(&name(&(top - 0.5)), &style, (left - 8, centre))?;
        }
        Ok(())
    }
}

/// A range of places with marks of our own choice.
struct Ticked {
    range: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Ranged for Ticked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, pixels: (i32, i32)) -> i32 {
        self.range.map(place, pixels)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.range()
    }
}

/// Multiples of 1, 2 or 5 times a power of ten in a range, `most` at most.
fn round_values(range: &Range<f64>, most: usize) -> Vec<f64> {
    let least = (range.end - range.start) / most as f64;
    if !(least > 0.0 && least.is_finite()) {
        return Vec::new();
    }
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|&step| step >= least);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((range.start / step).ceil() as i64, (range.end / step).floor() as i64);
    (first..=last).map(|index| index as f64 * step).collect()
}

/// Draws on a white bitmap and encodes it.
fn png(width: u32, height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<Vec<u8>, Failure> {
    Bitmap::draw(width, height, draw)?.png()
}

/// As many digits as tell neighbouring marks apart: without zeros at the end.
fn plain(decimal: &str) -> &str {
    decimal.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    fn pixels_of(bytes: &[u8], colour: RGBColor) -> usize {
        let near = |pixel: &&[u8]| pixel[0] == colour.0 && pixel[1] == colour.1 && pixel[2] == colour.2;
        decoded(bytes).2.chunks_exact(3).filter(near).count()
    }

    fn plot(lines: Vec<Line>) -> LinePlot {
        LinePlot::new("Accuracy", "epoch", "accuracy / %", lines)
    }

    fn line(points: &[(f64, f64)]) -> Line {
        Line::new("SAM", points.to_vec())
    }

    #[test]
    fn neighbouring_marks_have_different_names() {
        let axis = Axis::new("steps");
        let names: Vec<String> = (0..5).map(|mark| axis.name(8e8 + 2e8 * f64::from(mark))).collect();
        assert_eq!(names, ["8e8", "1e9", "1.2e9", "1.4e9", "1.6e9"]);
        assert_eq!([0.0, 12.5, -3.0, 1.05e-4].map(|value| axis.name(value)), ["0", "12.5", "-3", "1.05e-4"]);
    }

    #[test]
    fn a_plot_is_a_png_of_the_size_asked_for_with_its_line_and_text_in_it() {
        let bytes = plot(vec![line(&[(0.0, 1.0), (10.0, 3.0)])]).png(640, 400).unwrap();
        let (width, height, pixels) = decoded(&bytes);
        assert_eq!((width, height), (640, 400));
        assert!(pixels_of(&bytes, COLOURS[0]) > 500);
        // The caption, in the topmost 40 rows: without a font they would stay white.
        assert!(pixels[..640 * 3 * 40].iter().any(|&value| value < 100));
    }

    #[test]
    fn points_that_are_not_finite_are_left_out() {
        let bytes = plot(vec![line(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 2.0)])]).png(300, 200);
        assert!(pixels_of(&bytes.unwrap(), COLOURS[0]) > 100);
    }

    #[test]
    fn a_plot_of_nothing_and_one_of_a_single_value_can_be_drawn() {
        plot(vec![]).png(300, 200).unwrap();
        plot(vec![line(&[(1.0, 0.0)])]).png(300, 200).unwrap();
        BarPlot::default().png(500).unwrap();
    }

    #[test]
    fn a_band_surrounds_its_line() {
        let with = Line { band: vec![0.5, 0.5], ..line(&[(0.0, 1.0), (1.0, 2.0)]) };
        let x = Axis::new("x");
        let y = Axis::new("y");
        let edges: Vec<_> = with.edges(&x, &y).collect();
        assert_eq!(edges, [(0.0, 1.5), (1.0, 2.5), (1.0, 1.5), (0.0, 0.5)]);
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
        assert_eq!(linear.ticks(&(-5.2..5.2), 10), [-4.0, -2.0, 0.0, 2.0, 4.0]);
        let axis = Axis { logarithmic: true, ..Axis::default() };
        let names = |from: f64, to: f64| -> Vec<String> {
            axis.ticks(&(from.log10()..to.log10()), 10).into_iter().map(|place| axis.name(place)).collect()
        };
        assert_eq!(names(1e-13, 1e14).first().unwrap(), "1e-12");
        assert_eq!(names(0.9, 5e4), ["1", "10", "100", "1000", "10000"]);
        assert_eq!(names(500.0, 2600.0), ["500", "600", "800", "1000", "2000"]);
        assert_eq!(names(14.0, 15.0), ["14", "14.2", "14.4", "14.6", "14.8", "15"][..names(14.0, 15.0).len()]);
        assert!(linear.ticks(&(1.0..1.0), 10).is_empty());
    }

    #[test]
    fn extremes_lie_at_their_own_distances() {
        let line = Line { extremes: vec![(0.5, 3.0)], ..line(&[(0.0, 1.0)]) };
        let (x, y) = (Axis::new("x"), Axis::new("y"));
        assert_eq!(line.edges(&x, &y).collect::<Vec<_>>(), [(0.0, 3.0), (0.0, 0.5)]);
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let bars = |value| BarPlot { bars: vec![("a".into(), 1.0), ("b".into(), value)], ..BarPlot::default() };
        let short = pixels_of(&bars(0.25).png(600).unwrap(), COLOURS[0]);
        let long = pixels_of(&bars(1.0).png(600).unwrap(), COLOURS[0]);
        assert!((short as f64 / long as f64 - 0.625).abs() < 0.02, "{short} {long}");
    }
}
