//! A function of two numbers as colours, with paths over it, as a PNG image.

use std::ops::Range;

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, FINE, Frame, picture, text_width};
use super::chart::{Around, Chart, LETTERS, ROW, SAMPLE, marks};
use super::colour::{BLACK, COLOURS, Colour, WHITE};
use super::plot::Line;
use crate::failure::Failure;

/// Values over a rectangle of two axes. Dark is low.
#[derive(Debug, Clone, Default)]
pub struct HeatMap {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    /// The rectangle in x and y, from the outer edges of its cells.
    pub rectangle: [Range<f64>; 2],
    /// Cells in a row.
    pub columns: usize,
    /// Row by row from the lowest y on, each from the lowest x on: the value in the middle of each cell. Those that are
    /// not finite are left white.
    pub values: Vec<f64>,
    /// The name of the values, with their scale: from the one end of its range to the other where it has one, else from the
    /// lowest value to the highest.
    pub colours: Axis,
    /// Paths over the map, four at most: a small disc where one begins, a larger one where it ends, their names beside
    /// the map. Points outside the map are left out.
    pub paths: Vec<Line>,
    /// Points that crosses mark.
    pub marks: Vec<(f64, f64)>,
}

/// Paths that are drawn: the first ones. More could not be told apart on the colours of a map.
const PATHS: usize = 4;

/// Colours of paths: bright ones, which the map has none of, and white and black.
pub(super) const PATH_COLOURS: [Colour; PATHS] = [WHITE, Colour(255, 90, 60), Colour(255, 160, 230), BLACK];

/// Least room for the scale at the right.
const RIGHT: f64 = 150.0;

impl HeatMap {
    /// Returns the middles of the cells, in the order of the values: where these are to be taken.
    pub fn cells(x: &Axis, y: &Axis, rectangle: &[Range<f64>; 2], columns: usize, rows: usize) -> Vec<(f64, f64)> {
        let middle = |axis: &Axis, range: &Range<f64>, index: usize, count: usize| {
            let [low, high] = [axis.place(range.start), axis.place(range.end)];
            axis.value(low + (high - low) * (index as f64 + 0.5) / count as f64)
        };
        let rows = (0..rows).map(|row| middle(y, &rectangle[1], row, rows));
        rows.flat_map(|y| (0..columns).map(move |column| (middle(x, &rectangle[0], column, columns), y))).collect()
    }

    /// Returns the bytes of a PNG file of the map, of a size in points, two pixels each.
    ///
    /// # Errors
    /// The picture cannot be encoded.
    pub fn png(&self, width: u32, height: u32) -> Result<Vec<u8>, Failure> {
        let size = (f64::from(width), f64::from(height));
        picture(size.0, size.1, FINE, |canvas| _ = self.draw(canvas, size)).png()
    }

    fn draw<'a>(&self, canvas: &'a Canvas, size: (f64, f64)) -> Chart<'a> {
        let around = Around {
            title: &self.title,
            labels: [&self.x.label, &self.y.label],
            right: self.room(),
            ..Around::default()
        };
        let ranges = [0, 1].map(|axis| self.places(axis));
        let ticks = [marks(&self.x, &ranges[0], false), marks(&self.y, &ranges[1], false)];
        let chart = Chart::new(canvas, size, &around, ranges, [&ticks[0], &ticks[1]]);
        self.draw_values(&chart);
        self.draw_scale(&chart);
        self.draw_paths(&chart);
        for (x, y) in self.marks.iter().map(|&mark| self.place(&chart, mark)).filter(|&place| holds(chart.frame, place))
        {
            for (width, colour) in [(4.0, WHITE), (2.0, BLACK)] {
                canvas.line(&[(x - 8.0, y - 8.0), (x + 8.0, y + 8.0)], width, colour);
                canvas.line(&[(x - 8.0, y + 8.0), (x + 8.0, y - 8.0)], width, colour);
            }
        }
        chart
    }

    /// Returns the room at the right, for the scale and the names of paths.
    fn room(&self) -> f64 {
        let names = self.paths.iter().take(PATHS).map(|path| SAMPLE + 10.0 + text_width(&path.name, LETTERS));
        names.chain([text_width(&self.colours.label, LETTERS)]).fold(RIGHT, |room, width| room.max(width + 40.0))
    }

    fn draw_paths(&self, chart: &Chart<'_>) {
        let (canvas, map) = (chart.canvas, chart.frame);
        let paths = || self.paths.iter().take(PATHS).zip(PATH_COLOURS);
        let places = |path: &Line| path.points.iter().map(|&point| self.place(chart, point)).collect::<Vec<_>>();
        for (path, colour) in paths() {
            for piece in inside(&places(path), map) {
                canvas.line(piece, 4.0, edge(colour));
                canvas.line(piece, 2.2, colour);
            }
        }
        // Ends above all lines.
        for (path, colour) in paths() {
            let places = places(path);
            let ends = [places.first(), places.last()].map(|place| place.copied().filter(|&place| holds(map, place)));
            for (place, radius) in ends.into_iter().zip([3.0, 5.0]) {
                let Some(place) = place else { continue };
                canvas.disc(place, radius + 1.4, edge(colour));
                canvas.disc(place, radius, colour);
            }
        }
        // Names beside the map, the last at its lower edge.
        let named: Vec<_> = paths().filter(|(path, _)| !path.name.is_empty()).collect();
        for (row, (path, colour)) in named.iter().rev().enumerate() {
            let (x, y) = (map.right() + 20.0, map.bottom() - ROW * (row as f64 + 0.5));
            for (width, colour, radius) in [(4.0, edge(*colour), 6.4), (2.2, *colour, 5.0)] {
                canvas.line(&[(x, y), (x + SAMPLE, y)], width, colour);
                canvas.disc((x + SAMPLE, y), radius, colour);
            }
            canvas.text(&path.name, (x + SAMPLE + 10.0, y), LETTERS, Anchor::Left, BLACK);
        }
    }

    /// Returns the places of both ends of the colours.
    fn scale(&self) -> Range<f64> {
        match &self.colours.range {
            Some(range) => self.colours.place(range.start)..self.colours.place(range.end),
            None => self.colours.extent(self.values.iter().map(|&value| self.colours.place(value)), 0.0),
        }
    }

    fn places(&self, axis: usize) -> Range<f64> {
        let (axis, range) = ([&self.x, &self.y][axis], &self.rectangle[axis]);
        axis.place(range.start)..axis.place(range.end)
    }

    fn draw_values(&self, chart: &Chart<'_>) {
        let map = chart.frame;
        let columns = self.columns.max(1);
        let rows = self.values.len().div_ceil(columns).max(1);
        let (width, height) = (map.width / columns as f64, map.height / rows as f64);
        let scale = self.scale();
        for (index, &value) in self.values.iter().enumerate() {
            let place = self.colours.place(value);
            if place.is_finite() {
                let (left, up) = (map.left + width * (index % columns) as f64, (index / columns + 1) as f64);
                let frame = Frame { left, top: map.bottom() - height * up, width, height };
                chart.canvas.rectangle(frame, colour(place, &scale));
            }
        }
    }

    fn draw_scale(&self, chart: &Chart<'_>) {
        const PIECES: usize = 256;
        let (canvas, map, scale) = (chart.canvas, chart.frame, self.scale());
        let bar = Frame { left: map.right() + 20.0, top: map.top, width: 16.0, height: 0.5 * map.height };
        for piece in 0..PIECES {
            let height = bar.height / PIECES as f64;
            let frame = Frame { top: bar.bottom() - height * (piece + 1) as f64, height, ..bar };
            let place = scale.start + (scale.end - scale.start) * (piece as f64 + 0.5) / PIECES as f64;
            canvas.rectangle(frame, colour(place, &scale));
        }
        for (place, name) in marks(&self.colours, &scale, false) {
            let y = bar.bottom() - bar.height * (place - scale.start) / (scale.end - scale.start);
            canvas.line(&[(bar.right(), y), (bar.right() + 4.0, y)], 0.8, BLACK);
            canvas.text(&name, (bar.right() + 8.0, y), LETTERS, Anchor::Left, BLACK);
        }
        canvas.text(&self.colours.label, (bar.left, bar.bottom() + 16.0), LETTERS, Anchor::Left, BLACK);
    }

    /// Returns the place of a point in the picture.
    fn place(&self, chart: &Chart<'_>, (x, y): (f64, f64)) -> (f64, f64) {
        chart.place((self.x.place(x), self.y.place(y)))
    }
}

/// Returns the colour of a place on the scale, or of the end that it lies beyond.
fn colour(place: f64, scale: &Range<f64>) -> Colour {
    let share = (place - scale.start) / (scale.end - scale.start);
    let colorous::Color { r, g, b } = colorous::VIRIDIS.eval_continuous(share.clamp(0.0, 1.0));
    Colour(r, g, b)
}

/// Returns the colour at the edges of a path: dark around bright ones.
pub(super) fn edge(colour: Colour) -> Colour {
    if colour == BLACK { WHITE } else { COLOURS[7] }
}

fn holds(map: Frame, (x, y): (f64, f64)) -> bool {
    (map.left..=map.right()).contains(&x) && (map.top..=map.bottom()).contains(&y)
}

/// Cuts a path into the pieces that lie in the map.
fn inside(places: &[(f64, f64)], map: Frame) -> impl Iterator<Item = &[(f64, f64)]> {
    places.split(move |&place| !holds(map, place)).filter(|piece| piece.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: Vec<f64>, columns: usize, points: &[(f64, f64)]) -> HeatMap {
        let paths = vec![Line::new("PES", points.to_vec())];
        HeatMap { rectangle: [0.0..4.0, 0.0..4.0], columns, values, paths, ..HeatMap::default() }
    }

    /// The colour at a place between the lower left corner of the map, (0, 0), and the upper right one, (1, 1).
    fn at(map: &HeatMap, (x, y): (f64, f64)) -> Colour {
        let mut place = (0.0, 0.0);
        let bitmap = picture(700.0, 500.0, 1, |canvas| {
            let frame = map.draw(canvas, (700.0, 500.0)).frame;
            place = (frame.left + frame.width * x, frame.bottom() - frame.height * y);
        });
        let first = 3 * (place.1 as usize * bitmap.width as usize + place.0 as usize);
        Colour(bitmap.pixels[first], bitmap.pixels[first + 1], bitmap.pixels[first + 2])
    }

    #[test]
    fn cells_are_taken_in_their_middles_from_the_lowest_row_on() {
        let (linear, logarithmic) = (Axis::default(), Axis { logarithmic: true, ..Axis::default() });
        let cells = HeatMap::cells(&linear, &logarithmic, &[0.0..4.0, 1.0..100.0], 2, 1);
        assert_eq!(cells.iter().map(|cell| cell.0).collect::<Vec<_>>(), [1.0, 3.0]);
        assert!(cells.iter().all(|cell| (cell.1 - 10.0).abs() < 1e-9), "{cells:?}");
    }

    #[test]
    fn low_is_dark_and_what_is_not_finite_white() {
        let map = sample(vec![0.0, f64::NAN, 1.0, 0.5], 2, &[]);
        let [low, middle, high] = [0.0, 0.5, 1.0].map(|place| colour(place, &(0.0..1.0)));
        let quarters = [(0.2, 0.2), (0.7, 0.2), (0.2, 0.7), (0.7, 0.7)].map(|place| at(&map, place));
        assert_eq!(quarters, [low, WHITE, high, middle]);
        let brightness = |colour: Colour| u32::from(colour.0) + u32::from(colour.1) + u32::from(colour.2);
        assert!(brightness(low) < brightness(high));
    }

    #[test]
    fn a_range_of_the_colours_is_the_whole_scale() {
        let colours = Axis { logarithmic: true, range: Some(1.0..100.0), ..Axis::default() };
        let map = HeatMap { colours, ..sample(vec![10.0, 1e9], 2, &[]) };
        assert_eq!([(0.2, 0.5), (0.7, 0.5)].map(|place| at(&map, place)), [0.5, 1.0].map(|at| colour(at, &(0.0..1.0))));
    }

    #[test]
    fn a_path_lies_over_the_map_and_points_outside_are_left_out() {
        let map = sample(vec![1.0; 16], 4, &[(0.0, 2.0), (3.0, 2.0), (90.0, 3.0)]);
        assert_eq!(at(&map, (0.4, 0.5)), PATH_COLOURS[0]);
        assert_ne!(at(&map, (0.9, 0.5)), PATH_COLOURS[0]);
        sample(vec![], 4, &[(9.0, 9.0)]).png(500, 400).unwrap();
    }

    #[test]
    fn paths_are_cut_where_they_leave_the_map() {
        let map = Frame { left: 0.0, top: 0.0, width: 10.0, height: 10.0 };
        let places = [(1.0, 1.0), (2.0, 2.0), (11.0, 2.0), (3.0, 3.0), (4.0, 4.0), (f64::NAN, 1.0), (5.0, 5.0)];
        let pieces: Vec<usize> = inside(&places, map).map(<[_]>::len).collect();
        assert_eq!(pieces, [2, 2]);
    }
}
