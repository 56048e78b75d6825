//! A drawing in the form in which it crosses over to the script, once a frame: one array of numbers, and texts and pictures
//! beside it.

use fourfold_scenes::{Align, Area, Colour, Drawing, Paint, Picture, Shape, View};
use wasm_bindgen::prelude::*;

/// Shapes to paint. For each shape `numbers` has its kind and what the kind has; a colour is red, green and blue in one
/// number, and an opacity.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Painting {
    numbers: Vec<f32>,
    texts: Vec<String>,
    pictures: Vec<Picture>,
}

#[wasm_bindgen]
impl Painting {
    /// The shapes.
    pub fn numbers(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.numbers)
    }

    /// The texts that shapes name by their index.
    pub fn texts(&mut self) -> Vec<String> {
        std::mem::take(&mut self.texts)
    }

    /// The number that a picture shares with all of the same pixels at its place.
    pub fn version(&self, picture: usize) -> f64 {
        self.pictures[picture].version as f64
    }

    /// Columns and rows of a picture.
    pub fn size(&self, picture: usize) -> Vec<u32> {
        self.pictures[picture].size.map(|length| length as u32).to_vec()
    }

    /// The pixels of a picture, row by row: red, green, blue, alpha.
    pub fn pixels(&self, picture: usize) -> Vec<u8> {
        self.pictures[picture].rgba.to_vec()
    }
}

impl Painting {
    /// Puts a drawing into this form on its ground, in the colours for a light or a dark one.
    pub fn of(drawing: Drawing, view: View, dark: bool) -> Self {
        let mut painting = Self::default();
        let ground = Shape::Rectangle { area: view.area(), rounding: 0.0, paint: Colour::Ground.into() };
        painting.add(ground, dark);
        for shape in drawing.shapes {
            painting.add(shape, dark);
        }
        painting
    }

    fn add(&mut self, shape: Shape, dark: bool) {
        match shape {
            Shape::Line { points, width, paint } => {
                self.numbers.extend([0.0, width]);
                self.colour(paint, dark);
                self.points(&points);
            }
            Shape::Polygon { points, paint } => {
                self.numbers.push(1.0);
                self.colour(paint, dark);
                self.points(&points);
            }
            Shape::Circle { centre: [x, y], radius, ring, paint } => {
                self.numbers.extend([2.0, x, y, radius, ring.unwrap_or(0.0)]);
                self.colour(paint, dark);
            }
            Shape::Rectangle { area, rounding, paint } => {
                self.numbers.push(3.0);
                self.area(area);
                self.numbers.push(rounding);
                self.colour(paint, dark);
            }
            Shape::Text { at: [x, y], size, align, paint, text } => {
                let align = match align {
                    Align::Left => 0.0,
                    Align::Centre => 1.0,
                    Align::Right => 2.0,
                };
                self.numbers.extend([4.0, x, y, size, align]);
                self.colour(paint, dark);
                self.numbers.push(self.texts.len() as f32);
                self.texts.push(text);
            }
            Shape::Picture { area, picture } => {
                self.numbers.push(5.0);
                self.area(area);
                self.numbers.extend([f32::from(u8::from(picture.smooth)), self.pictures.len() as f32]);
                self.pictures.push(picture);
            }
        }
    }

    fn colour(&mut self, paint: Paint, dark: bool) {
        let [red, green, blue, _] = paint.rgba(dark).map(u32::from);
        // Twenty-four bits are exact in an `f32`.
        self.numbers.extend([(red << 16 | green << 8 | blue) as f32, paint.opacity]);
    }

    fn points(&mut self, points: &[[f32; 2]]) {
        self.numbers.push(points.len() as f32);
        self.numbers.extend(points.iter().flatten());
    }

    fn area(&mut self, area: Area) {
        self.numbers.extend([area.min[0], area.min[1], area.width(), area.height()]);
    }
}
