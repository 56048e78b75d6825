//! Pictures as plain shapes: the window paints them with egui, the page on a canvas.

use std::sync::Arc;

use crate::{Area, Paint};

/// Shapes in points from the upper left corner, the later ones over the earlier ones. The ground below them is the
/// painter's: it has the colour [`Ground`](crate::Colour::Ground).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawing {
    /// The shapes.
    pub shapes: Vec<Shape>,
    /// True if it is not what the scene last computed: something is still on its way, and another frame is worth drawing.
    pub is_waiting: bool,
}

/// A shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A line through points, with round joints and ends.
    Line {
        /// At least two.
        points: Vec<[f32; 2]>,
        /// Points.
        width: f32,
        /// Its colour.
        paint: Paint,
    },
    /// A filled convex polygon.
    Polygon {
        /// At least three corners.
        points: Vec<[f32; 2]>,
        /// Its colour.
        paint: Paint,
    },
    /// A circle: filled, or a ring of this width.
    Circle {
        /// The centre.
        centre: [f32; 2],
        /// The radius, to the middle of a ring.
        radius: f32,
        /// The width of a ring; none is a disc.
        ring: Option<f32>,
        /// Its colour.
        paint: Paint,
    },
    /// A filled rectangle.
    Rectangle {
        /// Where.
        area: Area,
        /// The radius of its corners.
        rounding: f32,
        /// Its colour.
        paint: Paint,
    },
    /// One line of text.
    Text {
        /// The middle of its height, at the end that `align` says.
        at: [f32; 2],
        /// The height of a line, in points.
        size: f32,
        /// Which end stands at `at`.
        align: Align,
        /// Its colour.
        paint: Paint,
        /// The text.
        text: String,
    },
    /// A picture, stretched over an area.
    Picture {
        /// Where.
        area: Area,
        /// The picture.
        picture: Picture,
    },
}

/// The end of a text that stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// The text begins there.
    Left,
    /// Its middle is there.
    Centre,
    /// It ends there.
    Right,
}

/// Rows of pixels from the top, each of red, green, blue and alpha.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Columns and rows.
    pub size: [usize; 2],
    /// Four bytes a pixel, alpha not multiplied in.
    pub rgba: Arc<[u8]>,
    /// The same number for the same pixels at the same place among the pictures of a drawing, so that a texture can be kept.
    pub version: u64,
    /// True if pixels are blended where the picture is larger than they are; false leaves squares.
    pub smooth: bool,
}

impl Drawing {
    /// Adds a line through points; one point or none draws nothing.
    pub fn line(&mut self, points: Vec<[f32; 2]>, width: f32, paint: impl Into<Paint>) {
        if points.len() > 1 {
            self.shapes.push(Shape::Line { points, width, paint: paint.into() });
        }
    }

    /// Adds a filled convex polygon.
    pub fn polygon(&mut self, points: Vec<[f32; 2]>, paint: impl Into<Paint>) {
        self.shapes.push(Shape::Polygon { points, paint: paint.into() });
    }

    /// Adds a disc.
    pub fn disc(&mut self, centre: [f32; 2], radius: f32, paint: impl Into<Paint>) {
        self.shapes.push(Shape::Circle { centre, radius, ring: None, paint: paint.into() });
    }

    /// Adds a ring.
    pub fn ring(&mut self, centre: [f32; 2], radius: f32, width: f32, paint: impl Into<Paint>) {
        self.shapes.push(Shape::Circle { centre, radius, ring: Some(width), paint: paint.into() });
    }

    /// Adds a filled rectangle.
    pub fn rectangle(&mut self, area: Area, rounding: f32, paint: impl Into<Paint>) {
        self.shapes.push(Shape::Rectangle { area, rounding, paint: paint.into() });
    }

    /// Adds the outline of a rectangle.
    pub fn outline(&mut self, area: Area, width: f32, paint: impl Into<Paint>) {
        let [[left, top], [right, bottom]] = [area.min, area.max];
        let corners = vec![[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
        self.line(corners, width, paint);
    }

    /// Adds a line of text.
    pub fn text(&mut self, at: [f32; 2], size: f32, align: Align, paint: impl Into<Paint>, text: impl Into<String>) {
        self.shapes.push(Shape::Text { at, size, align, paint: paint.into(), text: text.into() });
    }

    /// Adds a picture.
    pub fn picture(&mut self, area: Area, picture: Picture) {
        self.shapes.push(Shape::Picture { area, picture });
    }

    /// Returns the texts, for tests and for those who listen to a page.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.shapes.iter().filter_map(|shape| match shape {
            Shape::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
    }
}
