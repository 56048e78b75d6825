//! A picture as shapes in the units of its world, for files and terminals alike.

use crate::picture::canvas::{Anchor, Canvas, Frame};
use crate::picture::colour::{BLACK, COLOURS, Colour};

/// The colour of what matters little, of the 256 that terminals have.
pub const DIM: u8 = 245;

/// The role of a shape, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// The part that stands still.
    Ground,
    /// The part that is steered.
    Body,
    /// The parts that move with it.
    Limb,
    /// Where it shall go.
    Goal,
    /// The action, as a force.
    Action,
    /// A shade of grey, 0 for white and 255 for black.
    Grey(u8),
}

impl Ink {
    pub(crate) fn colour(self) -> Colour {
        match self {
            Ink::Ground => Colour(194, 194, 194),
            Ink::Body => COLOURS[0],
            Ink::Limb => COLOURS[1],
            Ink::Goal => COLOURS[2],
            Ink::Action => Colour(40, 40, 40),
            Ink::Grey(shade) => Colour(255 - shade, 255 - shade, 255 - shade),
        }
    }

    /// Returns the colour of the 256 that terminals have.
    pub(super) fn terminal(self) -> u8 {
        match self {
            Ink::Ground => DIM,
            Ink::Body => 25,
            Ink::Limb => 196,
            Ink::Goal => 29,
            Ink::Action => 250,
            Ink::Grey(shade) => 232 + (f64::from(shade) / 255.0 * 23.0) as u8,
        }
    }
}

/// A shape: x to the right, y up.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Line {
        points: Vec<(f64, f64)>,
        width: f64,
    },
    Disc {
        centre: (f64, f64),
        radius: f64,
    },
    Polygon(Vec<(f64, f64)>),
    /// Squares of grey row by row, `pixel` wide each, the first at the top left.
    Picture {
        corner: (f64, f64),
        pixel: f64,
        columns: usize,
        greys: Vec<u8>,
    },
}

/// Shapes, those in front last, and labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// Left, bottom, right, top.
    bounds: [f64; 4],
    pub(super) shapes: Vec<(Ink, Shape)>,
    pub(super) labels: Vec<((f64, f64), String)>,
}

/// The place of a drawing in a picture whose origin is at the top left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    /// Points of a unit.
    pub scale: f64,
    origin: (f64, f64),
}

impl Fit {
    pub(super) fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.origin.0 + self.scale * x, self.origin.1 - self.scale * y)
    }
}

impl Drawing {
    /// Returns an empty drawing within left, bottom, right and top.
    pub fn new(bounds: [f64; 4]) -> Self {
        Self { bounds, shapes: Vec::new(), labels: Vec::new() }
    }

    /// Adds a line.
    pub fn line(&mut self, ink: Ink, width: f64, points: &[(f64, f64)]) {
        self.shapes.push((ink, Shape::Line { points: points.to_vec(), width }));
    }

    /// Adds a disc.
    pub fn disc(&mut self, ink: Ink, centre: (f64, f64), radius: f64) {
        self.shapes.push((ink, Shape::Disc { centre, radius }));
    }

    /// Adds a rectangle around its middle.
    pub fn block(&mut self, ink: Ink, (x, y): (f64, f64), [width, height]: [f64; 2]) {
        let (w, h) = (width / 2.0, height / 2.0);
        self.polygon(ink, &[(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)]);
    }

    /// Adds a polygon.
    pub fn polygon(&mut self, ink: Ink, corners: &[(f64, f64)]) {
        self.shapes.push((ink, Shape::Polygon(corners.to_vec())));
    }

    /// Adds a picture of greys row by row, whose top left corner is given, with pixels of this width.
    pub fn picture(&mut self, corner: (f64, f64), pixel: f64, columns: usize, greys: Vec<u8>) {
        self.shapes.push((Ink::Ground, Shape::Picture { corner, pixel, columns, greys }));
    }

    /// Adds a label around its middle.
    pub fn label(&mut self, place: (f64, f64), text: impl Into<String>) {
        self.labels.push((place, text.into()));
    }

    /// Returns height by width.
    pub(super) fn aspect(&self) -> f64 {
        let [left, bottom, right, top] = self.bounds;
        (top - bottom) / (right - left)
    }

    /// Fits it into the middle of left, top, width and height.
    pub(super) fn fit(&self, [x, y, width, height]: [f64; 4]) -> Fit {
        let [left, bottom, right, top] = self.bounds;
        let scale = (width / (right - left)).min(height / (top - bottom));
        let origin = (x + width / 2.0 - scale * (left + right) / 2.0, y + height / 2.0 + scale * (bottom + top) / 2.0);
        Fit { scale, origin }
    }

    /// Draws it into a frame.
    pub(super) fn paint(&self, canvas: &Canvas, frame: Frame) {
        let fit = self.fit([frame.left, frame.top, frame.width, frame.height]);
        let places = |points: &[(f64, f64)]| points.iter().map(|&point| fit.place(point)).collect::<Vec<_>>();
        for (ink, shape) in &self.shapes {
            match shape {
                Shape::Line { points, width } => {
                    canvas.line(&places(points), (width * fit.scale).max(1.0), ink.colour())
                }
                Shape::Disc { centre, radius } => canvas.disc(fit.place(*centre), radius * fit.scale, ink.colour()),
                Shape::Polygon(corners) => canvas.polygon(&places(corners), ink.colour()),
                Shape::Picture { corner, pixel, columns, greys } => {
                    for (index, &grey) in greys.iter().enumerate() {
                        let (row, column) = ((index / columns) as f64, (index % columns) as f64);
                        let (left, top) = fit.place((corner.0 + pixel * column, corner.1 - pixel * row));
                        let side = pixel * fit.scale;
                        canvas.rectangle(Frame { left, top, width: side, height: side }, Colour(grey, grey, grey));
                    }
                }
            }
        }
        for (place, text) in &self.labels {
            canvas.text(text, fit.place(*place), 14.0, Anchor::Middle, BLACK);
        }
    }
}
