//! Shapes and texts, placed in points with the origin at the top left.

use std::cell::RefCell;
use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, OutlineCurve};
use tiny_skia::{Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform};

use crate::picture::bitmap::Bitmap;
use crate::picture::colour::Colour;

/// A picture being drawn, some pixels to a point.
#[derive(Debug)]
pub(crate) struct Canvas {
    pixmap: RefCell<Pixmap>,
    scale: f64,
}

/// The part of a text that stands where it is put; it is centred vertically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Left,
    Middle,
    Right,
}

/// A part of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Frame {
    pub(crate) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// Dashes and the gaps between them, in points; none for a solid line.
pub(crate) const SOLID: &[f64] = &[];

/// Pixels to a point of a picture that stands still: those of screens today.
pub(crate) const FINE: u32 = 2;

/// Draws a picture of this size on white, `scale` pixels to a point.
pub(crate) fn picture(width: f64, height: f64, scale: u32, draw: impl FnOnce(&Canvas)) -> Bitmap {
    let [width, height] = [width, height].map(|length| length.round().max(1.0) as u32 * scale);
    let mut pixmap = Pixmap::new(width, height).expect("a picture has some thousand pixels a side");
    pixmap.fill(Color::WHITE);
    let canvas = Canvas { pixmap: RefCell::new(pixmap), scale: scale.into() };
    draw(&canvas);
    let pixmap = canvas.pixmap.into_inner();
    let pixels = pixmap.pixels().iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect();
    Bitmap { width, height, pixels }
}

impl Canvas {
    fn place(&self, (x, y): (f64, f64)) -> (f32, f32) {
        ((x * self.scale) as f32, (y * self.scale) as f32)
    }

    fn fill(&self, path: Option<Path>, colour: Colour, share: f64) {
        let paint = paint(colour, share);
        if let Some(path) = path {
            let mut pixmap = self.pixmap.borrow_mut();
            pixmap.fill_path(&path, &paint, FillRule::Winding, Transform::identity(), None);
        }
    }

    /// Fills a rectangle, whose edges are those of pixels.
    pub(crate) fn rectangle(&self, frame: Frame, colour: Colour) {
        let [left, top] = [frame.left, frame.top].map(|edge| (edge * self.scale).round() as f32);
        let [right, bottom] = [frame.right(), frame.bottom()].map(|edge| (edge * self.scale).round() as f32);
        if let Some(rectangle) = Rect::from_ltrb(left, top, right, bottom).filter(|_| right > left && bottom > top) {
            let mut pixmap = self.pixmap.borrow_mut();
            pixmap.fill_rect(rectangle, &paint(colour, 1.0), Transform::identity(), None);
        }
    }

    /// Fills a circle.
    pub(crate) fn disc(&self, centre: (f64, f64), radius: f64, colour: Colour) {
        let (x, y) = self.place(centre);
        self.fill(PathBuilder::from_circle(x, y, (radius * self.scale) as f32), colour, 1.0);
    }

    /// Fills a polygon.
    pub(crate) fn polygon(&self, corners: &[(f64, f64)], colour: Colour) {
        self.veil(corners, colour, 1.0);
    }

    /// Fills a polygon through which a share of what lies below shows.
    pub(crate) fn veil(&self, corners: &[(f64, f64)], colour: Colour, share: f64) {
        self.fill(self.path(corners), colour, share);
    }

    /// Draws a line through points.
    pub(crate) fn line(&self, points: &[(f64, f64)], width: f64, colour: Colour) {
        self.dashed(points, width, colour, SOLID);
    }

    /// Draws a line with dashes.
    pub(crate) fn dashed(&self, points: &[(f64, f64)], width: f64, colour: Colour, dashes: &[f64]) {
        let dashes = dashes.iter().map(|length| (length * self.scale) as f32).collect();
        self.stroke(points, width, StrokeDash::new(dashes, 0.0), &paint(colour, 1.0));
    }

    /// Draws a line through which a share of what lies below shows.
    pub(crate) fn faint_line(&self, points: &[(f64, f64)], width: f64, colour: Colour, share: f64) {
        self.stroke(points, width, None, &paint(colour, share));
    }

    fn stroke(&self, points: &[(f64, f64)], width: f64, dash: Option<StrokeDash>, paint: &Paint) {
        let width = (width * self.scale).max(1.0) as f32;
        let stroke = Stroke { width, line_join: LineJoin::Round, dash, ..Stroke::default() };
        if let Some(path) = self.path(points) {
            self.pixmap.borrow_mut().stroke_path(&path, paint, &stroke, Transform::identity(), None);
        }
    }

    fn path(&self, points: &[(f64, f64)]) -> Option<Path> {
        let mut builder = PathBuilder::new();
        for (index, &point) in points.iter().enumerate() {
            let (x, y) = self.place(point);
            if index == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
        }
        builder.finish()
    }

    /// Draws a text on one line: outlines at exact places, so that letters keep their distances at every size.
    pub(crate) fn text(&self, text: &str, place: (f64, f64), size: f64, anchor: Anchor, colour: Colour) {
        let share = match anchor {
            Anchor::Left => 0.0,
            Anchor::Middle => 0.5,
            Anchor::Right => 1.0,
        };
        // The middle of the capitals stands at the middle.
        let baseline = place.1 + 0.31 * size;
        let left = place.0 - share * text_width(text, size);
        let mut builder = PathBuilder::new();
        set(text, size, |glyph, x| {
            let Some(outline) = font().outline(glyph) else { return };
            let unit = size / f64::from(font().height_unscaled());
            let at = |point: ab_glyph::Point| {
                self.place((left + x + unit * f64::from(point.x), baseline - unit * f64::from(point.y)))
            };
            let mut last = None;
            for curve in outline.curves {
                let [from, to] = match curve {
                    OutlineCurve::Line(a, b) | OutlineCurve::Quad(a, _, b) | OutlineCurve::Cubic(a, _, _, b) => [a, b],
                };
                if last != Some(from) {
                    let (x, y) = at(from);
                    builder.move_to(x, y);
                }
                let end = at(to);
                match curve {
                    OutlineCurve::Line(..) => builder.line_to(end.0, end.1),
                    OutlineCurve::Quad(_, b, _) => {
                        let b = at(b);
                        builder.quad_to(b.0, b.1, end.0, end.1);
                    }
                    OutlineCurve::Cubic(_, b, c, _) => {
                        let (b, c) = (at(b), at(c));
                        builder.cubic_to(b.0, b.1, c.0, c.1, end.0, end.1);
                    }
                }
                last = Some(to);
            }
        });
        self.fill(builder.finish(), colour, 1.0);
    }
}

fn paint(colour: Colour, share: f64) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(colour.0, colour.1, colour.2, (255.0 * share).round() as u8);
    paint
}

/// Returns the width of a text in points.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    set(text, size, |_, _| ())
}

/// Sets the letters of a text side by side, and returns its width.
fn set(text: &str, size: f64, mut each: impl FnMut(ab_glyph::GlyphId, f64)) -> f64 {
    let unit = size / f64::from(font().height_unscaled());
    let (mut x, mut before) = (0.0, None);
    for letter in text.chars() {
        let glyph = font().glyph_id(letter);
        x += before.map_or(0.0, |before| unit * f64::from(font().kern_unscaled(before, glyph)));
        each(glyph, x);
        x += unit * f64::from(font().h_advance_unscaled(glyph));
        before = Some(glyph);
    }
    x
}

/// The embedded font: pictures need none of the system.
fn font() -> &'static FontRef<'static> {
    static FONT: OnceLock<FontRef<'static>> = OnceLock::new();
    FONT.get_or_init(|| {
        FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).expect("the embedded font is a font")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::colour::BLACK;

    #[test]
    fn a_rectangle_covers_its_frame_and_nothing_else() {
        let frame = Frame { left: 2.0, top: 1.0, width: 3.0, height: 2.0 };
        let bitmap = picture(10.0, 6.0, 1, |canvas| canvas.rectangle(frame, BLACK));
        let dark: Vec<usize> = (0..60).filter(|&pixel| bitmap.pixels[3 * pixel] == 0).collect();
        assert_eq!(dark, [12, 13, 14, 22, 23, 24]);
        assert_eq!(bitmap.pixels.iter().filter(|&&value| value == 255).count(), 3 * 54);
    }
}
