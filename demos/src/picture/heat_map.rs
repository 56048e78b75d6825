//! A function of two numbers as colours, with paths over it, as a PNG image.

use std::ops::Range;

use plotters::style::RGBColor;
use plotters::style::colors::colormaps::ViridisRGB;

use crate::failure::Failure;
use crate::picture::bitmap::Drawn;
use crate::picture::canvas::{Anchor, Canvas, Frame, picture};
use crate::picture::plot::{Axis, COLOURS, Line};

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
    /// Paths over the map: a ring where one begins, a disc where it ends. Points outside the map are left out.
    pub paths: Vec<Line>,
    /// Points that crosses mark.
    pub marks: Vec<(f64, f64)>,
}

/// Colours of paths beyond those of plots.
const MORE: [RGBColor; 4] =
    [RGBColor(240, 240, 240), RGBColor(160, 20, 40), RGBColor(190, 130, 255), RGBColor(140, 90, 40)];

const BLACK: RGBColor = RGBColor(0, 0, 0);
const WHITE: RGBColor = RGBColor(255, 255, 255);
const LETTERS: f64 = 14.0;
/// The margins of the map: on the right for the scale and the names of the paths.
const LEFT: f64 = 76.0;
const TOP: f64 = 48.0;
const RIGHT: f64 = 290.0;
const BOTTOM: f64 = 64.0;

impl HeatMap {
    /// The middles of the cells, in the order of the values: where these are to be taken.
    pub fn cells(x: &Axis, y: &Axis, rectangle: &[Range<f64>; 2], columns: usize, rows: usize) -> Vec<(f64, f64)> {
        let middle = |axis: &Axis, range: &Range<f64>, index: usize, count: usize| {
            let [low, high] = [axis.place(range.start), axis.place(range.end)];
            axis.value(low + (high - low) * (index as f64 + 0.5) / count as f64)
        };
        let rows = (0..rows).map(|row| middle(y, &rectangle[1], row, rows));
        rows.flat_map(|y| (0..columns).map(move |column| (middle(x, &rectangle[0], column, columns), y))).collect()
    }

    /// The map as the bytes of a PNG file of the given size in pixels.
    ///
    /// # Errors
    /// The picture cannot be drawn.
    pub fn png(&self, width: u32, height: u32) -> Result<Vec<u8>, Failure> {
        let size = (f64::from(width), f64::from(height));
        picture(size.0, size.1, 2, |canvas| self.draw(canvas, size))?.png()
    }

    fn draw(&self, canvas: &Canvas<'_, '_>, (width, height): (f64, f64)) -> Drawn {
        let side = |length: f64, free: f64| (length - free).max(1.0);
        let (width, height) = (side(width, LEFT + RIGHT), side(height, TOP + BOTTOM));
        let map = Frame { left: LEFT, top: TOP, width, height };
        canvas.text(&self.title, (map.left + 0.5 * width, 18.0), 18.0, Anchor::Middle, BLACK)?;
        self.draw_values(canvas, map)?;
        self.draw_axes(canvas, map)?;
        let bar = Frame { left: map.right() + 24.0, top: map.top, width: 18.0, height: 0.4 * height };
        self.draw_scale(canvas, bar)?;
        self.draw_paths(canvas, map)?;
        self.draw_names(canvas, (bar.left, bar.bottom() + 46.0))?;
        for (x, y) in self.marks.iter().map(|&mark| self.place(map, mark)).filter(|&place| holds(map, place)) {
            for (width, colour) in [(4.0, WHITE), (2.0, BLACK)] {
                canvas.line(&[(x - 8.0, y - 8.0), (x + 8.0, y + 8.0)], width, colour)?;
                canvas.line(&[(x - 8.0, y + 8.0), (x + 8.0, y - 8.0)], width, colour)?;
            }
        }
        Ok(())
    }

    fn draw_paths(&self, canvas: &Canvas<'_, '_>, map: Frame) -> Drawn {
        let places = |path: &Line| path.points.iter().map(|&point| self.place(map, point)).collect::<Vec<_>>();
        for (index, path) in self.paths.iter().enumerate() {
            for piece in inside(&places(path), map) {
                for (width, colour) in [(3.6, WHITE), (2.2, path_colour(index))] {
                    // One by one: where a line of many points turns sharply, its corner grows to a spike.
                    piece.windows(2).try_for_each(|pair| canvas.line(pair, width, colour))?;
                }
            }
        }
        // Ends above all lines.
        for (index, path) in self.paths.iter().enumerate() {
            let places = places(path);
            let ends = [places.first(), places.last()].map(|place| place.copied().filter(|&place| holds(map, place)));
            for (place, radii) in ends.into_iter().zip([[7.0, 5.6, 3.0, 1.6], [6.0, 4.6, 0.0, 0.0]]) {
                let Some(place) = place else { continue };
                for (radius, colour) in radii.into_iter().zip([WHITE, path_colour(index), WHITE, path_colour(index)]) {
                    if radius > 0.0 {
                        canvas.disc(place, radius, colour)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn draw_names(&self, canvas: &Canvas<'_, '_>, (x, y): (f64, f64)) -> Drawn {
        for (index, path) in self.paths.iter().enumerate().filter(|(_, path)| !path.name.is_empty()) {
            let y = y + 22.0 * index as f64;
            canvas.line(&[(x, y), (x + 26.0, y)], 5.0, BLACK)?;
            canvas.line(&[(x + 1.0, y), (x + 25.0, y)], 3.6, path_colour(index))?;
            canvas.text(&path.name, (x + 36.0, y), LETTERS, Anchor::Left, BLACK)?;
        }
        Ok(())
    }

    /// The places of both ends of the colours.
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

    fn draw_values(&self, canvas: &Canvas<'_, '_>, map: Frame) -> Drawn {
        let columns = self.columns.max(1);
        let rows = self.values.len().div_ceil(columns).max(1);
        let (width, height) = (map.width / columns as f64, map.height / rows as f64);
        let scale = self.scale();
        for (index, &value) in self.values.iter().enumerate() {
            let place = self.colours.place(value);
            if place.is_finite() {
                let (left, up) = (map.left + width * (index % columns) as f64, (index / columns + 1) as f64);
                let frame = Frame { left, top: map.bottom() - height * up, width, height };
                canvas.rectangle(frame, colour(place, &scale))?;
            }
        }
        Ok(())
    }

    fn draw_axes(&self, canvas: &Canvas<'_, '_>, map: Frame) -> Drawn {
        let corners = [
            (map.left, map.top),
            (map.right(), map.top),
            (map.right(), map.bottom()),
            (map.left, map.bottom()),
            (map.left, map.top),
        ];
        canvas.line(&corners, 1.0, BLACK)?;
        for tick in ticks(&self.x, &self.places(0)) {
            let x = map.left + map.width * tick.0;
            canvas.line(&[(x, map.bottom()), (x, map.bottom() + 5.0)], 1.0, BLACK)?;
            canvas.text(&tick.1, (x, map.bottom() + 16.0), LETTERS, Anchor::Middle, BLACK)?;
        }
        for tick in ticks(&self.y, &self.places(1)) {
            let y = map.bottom() - map.height * tick.0;
            canvas.line(&[(map.left - 5.0, y), (map.left, y)], 1.0, BLACK)?;
            canvas.text(&tick.1, (map.left - 9.0, y), LETTERS, Anchor::Right, BLACK)?;
        }
        canvas.text(&self.x.label, (map.left + 0.5 * map.width, map.bottom() + 42.0), 15.0, Anchor::Middle, BLACK)?;
        // Above the axis: letters cannot be turned.
        canvas.text(&self.y.label, (8.0, map.top - 18.0), 15.0, Anchor::Left, BLACK)
    }

    fn draw_scale(&self, canvas: &Canvas<'_, '_>, bar: Frame) -> Drawn {
        const PIECES: usize = 256;
        let scale = self.scale();
        for piece in 0..PIECES {
            let height = bar.height / PIECES as f64;
            let frame = Frame { top: bar.bottom() - height * (piece + 1) as f64, height, ..bar };
            canvas.rectangle(
                frame,
                colour(scale.start + (scale.end - scale.start) * (piece as f64 + 0.5) / PIECES as f64, &scale),
            )?;
        }
        for tick in ticks(&self.colours, &scale) {
            let y = bar.bottom() - bar.height * tick.0;
            canvas.line(&[(bar.right(), y), (bar.right() + 5.0, y)], 1.0, BLACK)?;
            canvas.text(&tick.1, (bar.right() + 9.0, y), LETTERS, Anchor::Left, BLACK)?;
        }
        canvas.text(&self.colours.label, (bar.left, bar.bottom() + 18.0), LETTERS, Anchor::Left, BLACK)
    }

    /// Returns the place of a point in the picture.
    fn place(&self, map: Frame, (x, y): (f64, f64)) -> (f64, f64) {
        let (x, y) = (share(self.x.place(x), &self.places(0)), share(self.y.place(y), &self.places(1)));
        (map.left + map.width * x, map.bottom() - map.height * y)
    }
}

/// The colour of a place on the scale, or of the end that it lies beyond.
fn colour(place: f64, scale: &Range<f64>) -> RGBColor {
    ViridisRGB::get_color_normalized(place.clamp(scale.start, scale.end), scale.start, scale.end)
}

fn path_colour(index: usize) -> RGBColor {
    // The first colour of plots is near the colours of the map, and comes last.
    let mut colours = COLOURS[1..].iter().chain(&MORE).chain(&COLOURS[..1]);
    *colours.nth(index % (COLOURS.len() + MORE.len())).unwrap_or(&BLACK)
}

/// Returns the share of a range before a place: 0 at the first, 1 at the last.
fn share(place: f64, range: &Range<f64>) -> f64 {
    (place - range.start) / (range.end - range.start)
}

/// Shares and names of round values.
fn ticks(axis: &Axis, range: &Range<f64>) -> Vec<(f64, String)> {
    axis.ticks(range, 10).into_iter().map(|place| (share(place, range), axis.name(place))).collect()
}

fn holds(map: Frame, (x, y): (f64, f64)) -> bool {
    (map.left..=map.right()).contains(&x) && (map.top..=map.bottom()).contains(&y)
}

/// The pieces of a path that lie in the map.
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
    fn at(map: &HeatMap, (x, y): (f64, f64)) -> RGBColor {
        let (width, height) = (700.0, 500.0);
        let bitmap = picture(width, height, 1, |canvas| map.draw(canvas, (width, height))).unwrap();
        let x = LEFT + (width - LEFT - RIGHT) * x;
        let y = height - BOTTOM - (height - TOP - BOTTOM) * y;
        let first = 3 * (y as usize * bitmap.width as usize + x as usize);
        RGBColor(bitmap.pixels[first], bitmap.pixels[first + 1], bitmap.pixels[first + 2])
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
        let brightness = |colour: RGBColor| u32::from(colour.0) + u32::from(colour.1) + u32::from(colour.2);
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
        assert_eq!(at(&map, (0.4, 0.5)), path_colour(0));
        assert_ne!(at(&map, (0.9, 0.5)), path_colour(0));
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
