//! Lines over common axes.

use std::ops::Range;

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, FINE, picture, text_width};
use super::chart::{self, Around, Chart, Entry, GREY, LETTERS, ROW, room};
use super::colour::{BLACK, Style, styles};
use crate::failure::Failure;
use crate::statistics::{average, extremes, mean, median};

/// Lines over common axes.
#[derive(Debug, Clone, Default)]
pub struct LinePlot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
    /// Grey dashed lines across the plot.
    pub levels: Vec<Level>,
}

/// One line of a plot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    pub name: String,
    /// `(x, y)` in ascending x. Points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// The lower and the upper edge of the band at each point; empty for none.
    pub band: Vec<(f64, f64)>,
    /// Points beside the line, as those of single seeds.
    pub dots: Vec<(f64, f64)>,
}

/// A value that a black dashed line marks.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    pub name: String,
    pub value: f64,
    /// A value of x, not of y.
    pub upright: bool,
}

/// The summary of several seeds in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// The mean, and a band of its 95 % interval.
    Interval,
    /// The mean, and a band from the least to the most.
    Range,
    /// The median, and a band from the least to the most.
    Median,
}

/// Places of a line, at most, that show points.
const DOTTED: usize = 40;

/// Seeds from which on a band is drawn; points show fewer.
const BAND: usize = 3;

impl Summary {
    /// Returns what a band means, for the label of an axis; nothing where there is none.
    pub fn in_words(self, seeds: usize) -> &'static str {
        match self {
            _ if seeds < BAND => "",
            Self::Interval => " (band: 95 % interval over seeds)",
            Self::Range | Self::Median => " (band: all seeds)",
        }
    }
}

impl Level {
    /// Returns a value of y.
    pub fn across(name: &str, value: f64) -> Self {
        Self { name: name.to_owned(), value, upright: false }
    }

    /// Returns a value of x.
    pub fn upright(name: &str, value: f64) -> Self {
        Self { name: name.to_owned(), value, upright: true }
    }
}

impl Line {
    /// Returns a line through points.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), points: points.into_iter().collect(), ..Self::default() }
    }

    /// Summarises the values of all seeds at each x: those of two seeds as points, of one as the line alone.
    pub fn of_seeds(
        name: impl Into<String>,
        summary: Summary,
        values: impl IntoIterator<Item = (f64, Vec<f64>)>,
    ) -> Self {
        let mut line = Self::new(name, []);
        for (x, values) in values {
            let centre = match summary {
                Summary::Median => median(&values),
                Summary::Interval | Summary::Range => average(&values),
            };
            let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
            if finite.is_empty() {
                continue;
            }
            line.points.push((x, centre));
            if values.len() >= BAND {
                let interval = mean(&values);
                line.band.push(match summary {
                    Summary::Interval => (centre - interval.half_width, centre + interval.half_width),
                    Summary::Range | Summary::Median => extremes(&finite),
                });
            } else if values.len() > 1 {
                line.dots.extend(finite.into_iter().map(|value| (x, value)));
            }
        }
        // So few points that those of a dense line do not blot it.
        let kept: Vec<f64> =
            line.points.iter().step_by(line.points.len().div_ceil(DOTTED).max(1)).map(|at| at.0).collect();
        line.dots.retain(|dot| kept.contains(&dot.0));
        line
    }

    /// Outlines the band: along the upper edge and back along the lower, in places on the axes.
    fn outline<'a>(&'a self, x: &'a Axis, y: &'a Axis) -> impl Iterator<Item = (f64, f64)> + 'a {
        let edges = || self.points.iter().zip(&self.band);
        let upper = edges().map(|(point, band)| (x.place(point.0), y.place(band.1)));
        upper.chain(edges().rev().map(|(point, band)| (x.place(point.0), y.place(band.0))))
    }

    /// Lists all that is drawn, in places on the axes.
    fn places<'a>(&'a self, x: &'a Axis, y: &'a Axis) -> impl Iterator<Item = (f64, f64)> + 'a {
        let points = self.points.iter().chain(&self.dots).map(|point| (x.place(point.0), y.place(point.1)));
        points.chain(self.outline(x, y)).filter(finite)
    }
}

fn finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

impl LinePlot {
    /// Returns a plot of these lines.
    pub fn new(
        title: impl Into<String>,
        x: impl Into<Axis>,
        y: impl Into<Axis>,
        lines: impl IntoIterator<Item = Line>,
    ) -> Self {
        let lines = lines.into_iter().collect();
        Self { title: title.into(), x: x.into(), y: y.into(), lines, ..Self::default() }
    }

    /// Returns the bytes of a PNG file of the plot, of a size in points, two pixels each.
    ///
    /// # Errors
    /// The picture cannot be encoded.
    pub fn png(&self, width: u32, height: u32) -> Result<Vec<u8>, Failure> {
        let size = (f64::from(width), f64::from(height));
        picture(size.0, size.1, FINE, |canvas| self.draw(canvas, size)).png()
    }

    fn ranges(&self) -> [Range<f64>; 2] {
        let places: Vec<(f64, f64)> = self.lines.iter().flat_map(|line| line.places(&self.x, &self.y)).collect();
        let levels = |upright: bool, axis: &Axis| -> Vec<f64> {
            self.levels.iter().filter(|level| level.upright == upright).map(|level| axis.place(level.value)).collect()
        };
        let x = places.iter().map(|place| place.0).chain(levels(true, &self.x));
        let y = places.iter().map(|place| place.1).chain(levels(false, &self.y));
        [self.x.extent(x, 0.0), self.y.extent(y, 0.05)]
    }

    fn draw(&self, canvas: &Canvas, size: (f64, f64)) {
        let [x, y] = self.ranges();
        let styles = styles(self.lines.iter().map(|line| line.name.as_str()));
        // The lines that have a name, with their last point; then the levels.
        let dashed = Style { colour: BLACK, variant: 1 };
        let named =
            self.lines.iter().zip(&styles).filter(|(line, _)| !line.name.is_empty()).filter_map(|(line, style)| {
                let last = line.points.iter().rev().map(|point| (self.x.place(point.0), self.y.place(point.1)));
                let end = last.into_iter().find(finite)?;
                Some((Entry { name: line.name.clone(), style: *style, filled: false }, end))
            });
        let across = self.levels.iter().filter(|level| !level.upright && !level.name.is_empty());
        let across = across.map(|level| {
            (Entry { name: level.name.clone(), style: dashed, filled: false }, (x.end, self.y.place(level.value)))
        });
        let names: Vec<(Entry, (f64, f64))> = named.chain(across).collect();
        let beside = room(names.iter().map(|name| &name.0));
        // Beside their ends where all lines end together and the names find room; else in rows below.
        let at_ends = names.iter().all(|(_, end)| end.0 > x.end - 0.03 * (x.end - x.start))
            && ROW * names.len() as f64 <= 0.75 * size.1
            && beside <= 0.36 * size.0;
        let upright: Vec<&Level> = self.levels.iter().filter(|level| level.upright).collect();
        let around = Around {
            title: &self.title,
            labels: [&self.x.label, &self.y.label],
            right: if at_ends && !names.is_empty() { beside } else { 0.0 },
            below: if at_ends { Vec::new() } else { names.iter().map(|name| name.0.clone()).collect() },
            above: ROW * upright.len() as f64,
        };
        let whole = |axis: usize| {
            let points = self.lines.iter().flat_map(|line| &line.points).map(|point| [point.0, point.1][axis]);
            points.filter(|value| value.is_finite()).all(|value| value.fract() == 0.0)
        };
        let marks = [chart::marks(&self.x, &x, whole(0)), chart::marks(&self.y, &y, whole(1))];
        let chart = Chart::new(canvas, size, &around, [x, y], [&marks[0], &marks[1]]);
        self.draw_levels(&chart);
        self.draw_lines(&chart, &styles);
        if at_ends {
            let ends: Vec<_> = names.into_iter().map(|(entry, end)| (entry, chart.place(end))).collect();
            chart.names_at_ends(&ends);
        }
    }

    fn draw_levels(&self, chart: &Chart<'_>) {
        let dashes = [4.0, 3.0];
        let frame = chart.frame;
        for level in self.levels.iter().filter(|level| !level.upright) {
            let y = chart.place((0.0, self.y.place(level.value))).1;
            chart.canvas.dashed(&[(frame.left, y), (frame.right(), y)], 1.2, BLACK, &dashes);
        }
        for (row, level) in self.levels.iter().filter(|level| level.upright).enumerate() {
            let x = chart.place((self.x.place(level.value), 0.0)).0;
            let top = frame.top - ROW * row as f64 - 2.0;
            chart.canvas.dashed(&[(x, top), (x, frame.bottom())], 1.2, BLACK, &dashes);
            let half = text_width(&level.name, LETTERS) / 2.0;
            let middle = x.min(frame.right() - half).max(frame.left + half);
            chart.canvas.text(&level.name, (middle, top - 9.0), LETTERS, Anchor::Middle, GREY);
        }
    }

    fn draw_lines(&self, chart: &Chart<'_>, styles: &[Style]) {
        let place = |point: &(f64, f64)| chart.place((self.x.place(point.0), self.y.place(point.1)));
        for (line, style) in self.lines.iter().zip(styles) {
            let outline: Vec<_> =
                line.outline(&self.x, &self.y).filter(finite).map(|place| chart.place(place)).collect();
            chart.canvas.veil(&outline, style.colour, 0.18);
        }
        // The first lines lie above the others, and all above the bands.
        for (line, style) in self.lines.iter().zip(styles).rev() {
            let points: Vec<_> = line.points.iter().map(place).filter(finite).collect();
            chart.canvas.dashed(&points, 2.0, style.colour, style.dashes());
            let alone = if points.len() == 1 { points } else { Vec::new() };
            for point in line.dots.iter().map(place).filter(finite).chain(alone) {
                chart.canvas.disc(point, 2.4, style.colour);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::picture::colour::{COLOURS, Colour};

    pub(crate) fn decoded(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    pub(crate) fn pixels_of(bytes: &[u8], colour: Colour) -> usize {
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
    fn a_plot_is_a_png_of_the_size_asked_for_with_its_line_and_text_in_it() {
        let bytes = plot(vec![line(&[(0.0, 1.0), (10.0, 3.0)])]).png(640, 400).unwrap();
        let (width, height, pixels) = decoded(&bytes);
        assert_eq!((width, height), (2 * 640, 2 * 400));
        assert!(pixels_of(&bytes, COLOURS[0]) > 500);
        // The caption, in the topmost 40 rows: without a font they would stay white.
        assert!(pixels[..1_280 * 3 * 80].iter().any(|&value| value < 100));
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
    }

    #[test]
    fn a_band_surrounds_its_line() {
        let with = Line { band: vec![(0.5, 1.5), (1.5, 2.5)], ..line(&[(0.0, 1.0), (1.0, 2.0)]) };
        let x = Axis::new("x");
        let y = Axis::new("y");
        let edges: Vec<_> = with.outline(&x, &y).collect();
        assert_eq!(edges, [(0.0, 1.5), (1.0, 2.5), (1.0, 1.5), (0.0, 0.5)]);
    }

    #[test]
    fn extremes_lie_at_their_own_distances() {
        let line = Line { band: vec![(0.5, 3.0)], ..line(&[(0.0, 1.0)]) };
        let (x, y) = (Axis::new("x"), Axis::new("y"));
        assert_eq!(line.outline(&x, &y).collect::<Vec<_>>(), [(0.0, 3.0), (0.0, 0.5)]);
    }

    #[test]
    fn fewer_than_three_seeds_are_points_and_three_are_a_band() {
        let of = |values: &[f64]| Line::of_seeds("SAM", Summary::Median, [(1.0, values.to_vec())]);
        assert_eq!(of(&[4.0]), line(&[(1.0, 4.0)]));
        assert_eq!(of(&[4.0, 2.0]).dots, [(1.0, 4.0), (1.0, 2.0)]);
        assert!(of(&[4.0, 2.0]).band.is_empty());
        let three = of(&[5.0, 1.0, 2.0]);
        assert_eq!((three.points, three.band, three.dots), (vec![(1.0, 2.0)], vec![(1.0, 5.0)], vec![]));
        assert!(of(&[f64::NAN]).points.is_empty());
    }
}
