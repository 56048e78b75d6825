//! Shapes and texts in pictures other than plots, placed in pixels with the origin at the top left.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::failure::Failure;
use crate::picture::bitmap::{Area, Bitmap, Drawn, FONT};

/// A picture being drawn: some times as large as it will be, which smooths its edges.
pub(crate) struct Canvas<'a, 'b> {
    area: &'a Area<'b>,
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

/// A colour mixed with white: all of it at 1, none at 0.
pub(crate) fn tint(colour: RGBColor, share: f64) -> RGBColor {
    let mix = |value: u8| (255.0 - share * (255.0 - f64::from(value))).round() as u8;
    RGBColor(mix(colour.0), mix(colour.1), mix(colour.2))
}

/// Draws a picture of this size `scale` times as large, and reduces it.
pub(crate) fn picture(
    width: f64,
    height: f64,
    scale: u32,
    draw: impl FnOnce(&Canvas<'_, '_>) -> Drawn,
) -> Result<Bitmap, Failure> {
    let size = |length: f64| length.round() as u32 * scale;
    let large = Bitmap::draw(size(width), size(height), |area| draw(&Canvas { area, scale: scale.into() }))?;
    Ok(large.reduced(scale))
}

impl Canvas<'_, '_> {
    fn place(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    pub(crate) fn rectangle(&self, frame: Frame, colour: RGBColor) -> Drawn {
        let (left, top) = self.place((frame.left, frame.top));
        let (right, bottom) = self.place((frame.right(), frame.bottom()));
        if right > left && bottom > top {
            // The corner at the right and below is not painted.
            self.area.draw(&Rectangle::new([(left, top), (right, bottom)], colour.filled()))?;
        }
        Ok(())
    }

    pub(crate) fn disc(&self, centre: (f64, f64), radius: f64, colour: RGBColor) -> Drawn {
        let radius = (radius * self.scale).round() as i32;
        Ok(self.area.draw(&Circle::new(self.place(centre), radius, colour.filled()))?)
    }

    pub(crate) fn polygon(&self, corners: &[(f64, f64)], colour: RGBColor) -> Drawn {
        let corners: Vec<_> = corners.iter().map(|&corner| self.place(corner)).collect();
        Ok(self.area.draw(&Polygon::new(corners, colour))?)
    }

    pub(crate) fn line(&self, points: &[(f64, f64)], width: f64, colour: RGBColor) -> Drawn {
        let points: Vec<_> = points.iter().map(|&point| self.place(point)).collect();
        let width = (width * self.scale).round().max(1.0) as u32;
        Ok(self.area.draw(&PathElement::new(points, colour.stroke_width(width)))?)
    }

    pub(crate) fn dashes(&self, x: f64, top: f64, bottom: f64, width: f64, colour: RGBColor) -> Drawn {
        const DASH: f64 = 5.0;
        let mut y = top;
        while y < bottom {
            let height = DASH.min(bottom - y);
            self.rectangle(Frame { left: x - width / 2.0, top: y, width, height }, colour)?;
            y += 1.6 * DASH;
        }
        Ok(())
    }

    pub(crate) fn text(&self, text: &str, place: (f64, f64), size: f64, anchor: Anchor, colour: RGBColor) -> Drawn {
        let side = match anchor {
            Anchor::Left => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        let font = (FONT, size * self.scale).into_font();
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(side, VPos::Center));
        // The middle that plotters takes lies above that of the letters.
        Ok(self.area.draw_text(text, &style, self.place((place.0, place.1 + 0.14 * size)))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tint_lies_between_white_and_the_colour() {
        let colour = RGBColor(0, 100, 255);
        assert_eq!(tint(colour, 1.0), colour);
        assert_eq!(tint(colour, 0.0), WHITE);
        assert_eq!(tint(colour, 0.2), RGBColor(204, 224, 255));
    }

    #[test]
    fn a_rectangle_covers_its_frame_and_nothing_else() {
        let frame = Frame { left: 2.0, top: 1.0, width: 3.0, height: 2.0 };
        let bitmap = picture(10.0, 6.0, 2, |canvas| canvas.rectangle(frame, BLACK)).unwrap();
        let dark: Vec<usize> = (0..60).filter(|&pixel| bitmap.pixels[3 * pixel] == 0).collect();
        assert_eq!(dark, [12, 13, 14, 22, 23, 24]);
        assert_eq!(bitmap.pixels.iter().filter(|&&value| value == 255).count(), 3 * 54);
    }
}
