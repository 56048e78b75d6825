//! The parts that plots share: title, axes with their marks, and names beside or below what they name.

use std::ops::Range;

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Frame, SOLID, text_width};
use super::colour::{BLACK, Colour, Style, tint};

pub(crate) const LETTERS: f64 = 14.0;
const TITLE: f64 = 19.0;
const MARGIN: f64 = 16.0;
/// The height of a row of names.
pub(crate) const ROW: f64 = 19.0;
/// The length of the piece of a line beside its name.
pub(crate) const SAMPLE: f64 = 22.0;

pub(crate) const GRID: Colour = Colour(226, 226, 226);
pub(crate) const GREY: Colour = Colour(110, 110, 110);

/// The surroundings of a plot: all that it shows besides its data.
#[derive(Debug, Default)]
pub(crate) struct Around<'a> {
    pub title: &'a str,
    /// Labels of the axes; the second stands above its axis.
    pub labels: [&'a str; 2],
    /// Room to keep free at the right.
    pub right: f64,
    /// Names in rows below.
    pub below: Vec<Entry>,
    /// Room to keep free above the frame.
    pub above: f64,
}

/// A name with a piece of what it names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub name: String,
    pub style: Style,
    /// A filled square instead of a line.
    pub filled: bool,
}

impl Entry {
    fn width(&self) -> f64 {
        SAMPLE + 6.0 + text_width(&self.name, LETTERS)
    }

    /// Draws it from its left end on.
    pub(crate) fn draw(&self, canvas: &Canvas, (x, y): (f64, f64)) {
        match self.filled {
            true => {
                let square = Frame { left: x + 4.0, top: y - 6.0, width: 14.0, height: 12.0 };
                canvas.rectangle(square, self.style.fill());
            }
            false => canvas.dashed(&[(x, y), (x + SAMPLE, y)], 2.4, self.style.colour, self.style.dashes()),
        }
        canvas.text(&self.name, (x + SAMPLE + 6.0, y), LETTERS, Anchor::Left, BLACK);
    }
}

impl Style {
    pub(crate) fn dashes(self) -> &'static [f64] {
        const DASHES: [&[f64]; 4] = [SOLID, &[7.0, 4.0], &[2.0, 3.0], &[9.0, 3.0, 2.0, 3.0]];
        DASHES[self.variant % DASHES.len()]
    }

    /// Returns the colour of an area: paler for each earlier one of the same colour.
    pub(crate) fn fill(self) -> Colour {
        tint(self.colour, [1.0, 0.5, 0.25][self.variant.min(2)])
    }
}

/// A plot being drawn: its frame, and the places at the edges of it.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    pub canvas: &'a Canvas,
    pub frame: Frame,
    x: Range<f64>,
    y: Range<f64>,
}

/// A mark on an axis: its place and its name.
pub(crate) type Mark = (f64, String);

impl<'a> Chart<'a> {
    /// Draws everything around the data; `x` and `y` are ranges of places.
    pub(crate) fn new(
        canvas: &'a Canvas,
        (width, height): (f64, f64),
        around: &Around<'_>,
        [x, y]: [Range<f64>; 2],
        marks: [&[Mark]; 2],
    ) -> Self {
        let widest = marks[1].iter().map(|mark| text_width(&mark.1, LETTERS)).fold(0.0, f64::max);
        let left = MARGIN + widest + 8.0;
        let rows = flow(&around.below, width - 2.0 * MARGIN);
        let named = |label: &str, room: f64| if label.is_empty() { 0.0 } else { room };
        let top = MARGIN + named(around.title, 26.0) + named(around.labels[1], 22.0) + around.above;
        let under = named(around.labels[0], 22.0) + if marks[0].is_empty() { 0.0 } else { 22.0 };
        let bottom = height - MARGIN - under - ROW * rows.len() as f64 - if rows.is_empty() { 0.0 } else { 6.0 };
        let right = width - around.right.max(MARGIN + 12.0);
        let frame = Frame { left, top, width: (right - left).max(1.0), height: (bottom - top).max(1.0) };
        let chart = Self { canvas, frame, x, y };
        canvas.text(around.title, (width / 2.0, MARGIN + 8.0), TITLE, Anchor::Middle, BLACK);
        let label = (MARGIN, top - around.above - 14.0);
        canvas.text(around.labels[1], label, LETTERS, Anchor::Left, GREY);
        let below = (frame.left + frame.width / 2.0, frame.bottom() + under - 9.0);
        canvas.text(around.labels[0], below, LETTERS, Anchor::Middle, GREY);
        for (at, name) in marks[1] {
            let y = chart.place((0.0, *at)).1;
            canvas.line(&[(frame.left, y), (frame.right(), y)], 0.8, GRID);
            canvas.text(name, (frame.left - 8.0, y), LETTERS, Anchor::Right, BLACK);
        }
        for (at, name) in marks[0] {
            let x = chart.place((*at, 0.0)).0;
            canvas.line(&[(x, frame.bottom()), (x, frame.bottom() + 4.0)], 0.8, GREY);
            canvas.text(name, (x, frame.bottom() + 14.0), LETTERS, Anchor::Middle, BLACK);
        }
        canvas.line(&[(frame.left, frame.bottom()), (frame.right(), frame.bottom())], 0.8, GREY);
        let first = frame.bottom() + under + ROW / 2.0 + 6.0;
        for (row, entries) in rows.iter().enumerate() {
            let whole: f64 = entries.iter().map(|entry| entry.width()).sum::<f64>() + GAP * (entries.len() - 1) as f64;
            let mut x = (width - whole) / 2.0;
            for entry in entries {
                entry.draw(canvas, (x, first + ROW * row as f64));
                x += entry.width() + GAP;
            }
        }
        chart
    }

    /// Returns the point of a pair of places.
    pub(crate) fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |range: &Range<f64>, place: f64| (place - range.start) / (range.end - range.start);
        let Frame { left, width, height, .. } = self.frame;
        (left + width * share(&self.x, x), self.frame.bottom() - height * share(&self.y, y))
    }

    /// Draws names at the right of the frame, each at the height of what it names, or as near as others leave room,
    /// with a line from the point that it names.
    pub(crate) fn names_at_ends(&self, names: &[(Entry, (f64, f64))]) {
        let heights: Vec<f64> = names.iter().map(|name| name.1.1).collect();
        let places = apart(&heights, ROW - 2.0, self.frame.top + 4.0..self.frame.bottom());
        for ((entry, end), y) in names.iter().zip(places) {
            let x = self.frame.right() + LEADER;
            self.canvas.line(&[(end.0 + 1.0, end.1), (x - 1.0, y)], 0.8, tint(entry.style.colour, 0.6));
            entry.draw(self.canvas, (x, y));
        }
    }
}

/// The length of the line from an end to its name.
const LEADER: f64 = 16.0;
const GAP: f64 = 20.0;

/// Returns the room that names at the ends take.
pub(crate) fn room<'a>(entries: impl Iterator<Item = &'a Entry>) -> f64 {
    entries.map(Entry::width).fold(0.0, f64::max) + LEADER + MARGIN
}

/// Breaks names into rows of a width.
fn flow(entries: &[Entry], width: f64) -> Vec<Vec<&Entry>> {
    let mut rows: Vec<Vec<&Entry>> = Vec::new();
    let mut used = f64::INFINITY;
    for entry in entries {
        if used + GAP + entry.width() > width {
            rows.push(Vec::new());
            used = -GAP;
        }
        used += GAP + entry.width();
        rows.last_mut().expect("the first name begins a row").push(entry);
    }
    rows
}

/// Moves heights until they are `gap` apart at least, within a range where they fit.
fn apart(heights: &[f64], gap: f64, range: Range<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]));
    // Neighbours that are too near form a block about the mean of where they want to be.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    let clamped = |middle: f64, count: usize| {
        let half = gap * (count - 1) as f64 / 2.0;
        middle.min(range.end - half).max(range.start + half)
    };
    for &index in &order {
        let mut block = (clamped(heights[index], 1), 1);
        while let Some(&(middle, count)) = blocks.last() {
            let least = gap * (count + block.1) as f64 / 2.0;
            if block.0 - middle >= least {
                break;
            }
            blocks.pop();
            let both = count + block.1;
            block = (clamped((middle * count as f64 + block.0 * block.1 as f64) / both as f64, both), both);
        }
        blocks.push(block);
    }
    let places = blocks.into_iter().flat_map(|(middle, count)| {
        (0..count).map(move |index| middle + gap * (index as f64 - (count - 1) as f64 / 2.0))
    });
    let mut moved = vec![0.0; heights.len()];
    for (index, place) in order.into_iter().zip(places) {
        moved[index] = place;
    }
    moved
}

/// Returns the marks of an axis over a range of places.
pub(crate) fn marks(axis: &Axis, range: &Range<f64>, whole: bool) -> Vec<Mark> {
    axis.ticks(range, 9, whole).into_iter().map(|place| (place, axis.name(place))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::colour::styles;

    #[test]
    fn names_keep_their_distance_and_their_order() {
        assert_eq!(apart(&[10.0, 50.0], 10.0, 0.0..100.0), [10.0, 50.0]);
        assert_eq!(apart(&[50.0, 50.0, 50.0], 10.0, 0.0..100.0), [40.0, 50.0, 60.0]);
        assert_eq!(apart(&[99.0, 98.0, 10.0], 10.0, 0.0..100.0), [100.0, 90.0, 10.0]);
        let many = apart(&[1.0, 2.0, 3.0, 30.0, 31.0], 10.0, 0.0..100.0);
        assert!(many.windows(2).all(|pair| pair[1] - pair[0] >= 10.0 - 1e-9), "{many:?}");
    }

    #[test]
    fn names_below_are_broken_into_rows_that_fit() {
        let names: Vec<String> = (0..9).map(|name| format!("estimator {name}")).collect();
        let styles = styles(names.iter().map(String::as_str));
        let entries: Vec<Entry> =
            names.into_iter().zip(styles).map(|(name, style)| Entry { name, style, filled: false }).collect();
        let rows = flow(&entries, 300.0);
        assert_eq!(rows.iter().map(Vec::len).sum::<usize>(), 9);
        let width = |row: &Vec<&Entry>| row.iter().map(|entry| entry.width() + GAP).sum::<f64>() - GAP;
        assert!(rows.len() > 2 && rows.iter().all(|row| width(row) <= 300.0));
    }
}
