//! Pictures of dots in a terminal, two by four to a character.

use console::style;

use super::drawing::{DIM, Drawing, Shape};

/// A picture of dots.
#[derive(Debug)]
pub struct Dots {
    columns: usize,
    rows: usize,
    cells: Vec<(u8, u8)>,
    letters: Vec<Option<char>>,
}

impl Dots {
    /// Returns an empty picture of so many characters.
    pub fn new(columns: usize, rows: usize) -> Self {
        Self { columns, rows, cells: vec![(0, DIM); columns * rows], letters: vec![None; columns * rows] }
    }

    /// Sets the dot at a place, the origin at the top left.
    pub fn set(&mut self, x: f64, y: f64, colour: u8) {
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if x < 0.0 || y < 0.0 || x >= 2.0 * self.columns as f64 {
            return;
        }
        let (x, y) = (x as usize, y as usize);
        if let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2) {
            *cell = (cell.0 | BITS[y % 4][x % 2], colour);
        }
    }

    /// Draws shapes and labels, as large as they fit.
    pub fn draw(&mut self, drawing: &Drawing) {
        let (width, height) = (2.0 * self.columns as f64, 4.0 * self.rows as f64);
        let fit = drawing.fit([0.0, 0.0, width, height]);
        for (ink, shape) in &drawing.shapes {
            let covers: Box<dyn Fn(f64, f64) -> bool> = match shape {
                Shape::Line { points, width } => {
                    let points: Vec<(f64, f64)> = points.iter().map(|&point| fit.place(point)).collect();
                    let reach = (0.5 * width * fit.scale).max(0.6);
                    Box::new(move |x, y| points.windows(2).any(|pair| distance((x, y), pair[0], pair[1]) <= reach))
                }
                Shape::Disc { centre, radius } => {
                    let (centre, radius) = (fit.place(*centre), (radius * fit.scale).max(1.0));
                    Box::new(move |x, y| (x - centre.0).hypot(y - centre.1) <= radius)
                }
                Shape::Polygon(corners) => {
                    let corners: Vec<(f64, f64)> = corners.iter().map(|&point| fit.place(point)).collect();
                    Box::new(move |x, y| is_inside(&corners, (x, y)))
                }
                Shape::Picture { corner, pixel, columns, greys } => {
                    let ((left, top), side, common) = (fit.place(*corner), pixel * fit.scale, commonest(greys));
                    // What differs from most of it.
                    Box::new(move |x, y| {
                        let (column, row) = (((x - left) / side).floor(), ((y - top) / side).floor());
                        let is_there = column >= 0.0 && row >= 0.0 && column < *columns as f64;
                        let grey = is_there.then(|| greys.get(row as usize * columns + column as usize)).flatten();
                        grey.is_some_and(|grey| grey.abs_diff(common) > 24)
                    })
                }
            };
            for y in 0..4 * self.rows {
                for x in 0..2 * self.columns {
                    let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
                    if covers(x, y) {
                        self.set(x, y, ink.terminal());
                    }
                }
            }
        }
        for (place, text) in &drawing.labels {
            let (x, y) = fit.place(*place);
            let (row, column) = ((y / 4.0) as usize, (x / 2.0 - text.chars().count() as f64 / 2.0).round().max(0.0));
            for (offset, letter) in text.chars().enumerate().filter(|_| row < self.rows) {
                let column = column as usize + offset;
                if column < self.columns {
                    self.letters[row * self.columns + column] = Some(letter);
                }
            }
        }
    }

    /// Returns the lines of characters.
    pub fn lines(&self, coloured: bool) -> Vec<String> {
        let character = |(&(dots, colour), letter): (&(u8, u8), &Option<char>)| match (letter, dots) {
            (Some(letter), _) => letter.to_string(),
            (None, 0) => " ".to_owned(),
            (None, dots) => {
                painted(&char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ').to_string(), colour, coloured)
            }
        };
        let rows = self.cells.chunks(self.columns).zip(self.letters.chunks(self.columns));
        rows.map(|(cells, letters)| cells.iter().zip(letters).map(character).collect()).collect()
    }
}

/// The grey of the most pixels, in steps of 16.
fn commonest(greys: &[u8]) -> u8 {
    let mut counts = [0; 16];
    greys.iter().for_each(|grey| counts[usize::from(grey / 16)] += 1);
    let most = (0..16).max_by_key(|&step| counts[step]).unwrap_or_default();
    16 * most as u8 + 8
}

/// Paints a text in one of the 256 colours that terminals have.
pub fn painted(text: &str, colour: u8, coloured: bool) -> String {
    style(text).color256(colour).force_styling(coloured).to_string()
}

/// Returns the character of a share, from an empty to a full cell.
pub fn level(share: f64) -> char {
    [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][(share.clamp(0.0, 1.0) * 8.0).round() as usize]
}

/// The distance of a point from a stretch of a line.
fn distance(point: (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (x, y) = (to.0 - from.0, to.1 - from.1);
    let length = x * x + y * y;
    let along = if length == 0.0 { 0.0 } else { ((point.0 - from.0) * x + (point.1 - from.1) * y) / length };
    let along = along.clamp(0.0, 1.0);
    (point.0 - from.0 - along * x).hypot(point.1 - from.1 - along * y)
}

/// True if a ray from the point crosses the polygon's edges an odd number of times.
fn is_inside(corners: &[(f64, f64)], (x, y): (f64, f64)) -> bool {
    let before = corners.iter().cycle().skip(corners.len().saturating_sub(1));
    let crossed = |(&a, &b): (&(f64, f64), &(f64, f64))| {
        (a.1 > y) != (b.1 > y) && x < (b.0 - a.0) * (y - a.1) / (b.1 - a.1) + a.0
    };
    corners.iter().zip(before).filter(|&pair| crossed(pair)).count() % 2 == 1
}
