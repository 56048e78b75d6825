//! Bitmaps that are drawn without any font or display of the system, and the PNG files that they become.

use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use png::{BitDepth, BlendOp, ColorType, DisposeOp, Encoder};

use crate::failure::Failure;

/// The embedded font.
pub(crate) const FONT: &str = "sans-serif";

pub(crate) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Pixels of red, green and blue, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

impl Bitmap {
    /// Draws on white.
    pub(crate) fn draw(width: u32, height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<Self, Failure> {
        static FONTS: OnceLock<bool> = OnceLock::new();
        let registered =
            *FONTS.get_or_init(|| register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_ok());
        debug_assert!(registered, "the embedded font is a font");

        let mut pixels = vec![255; width as usize * height as usize * 3];
        {
            let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
            draw(&area).map_err(|error| failed(&error))?;
            area.present().map_err(|error| failed(&error))?;
        }
        Ok(Self { width, height, pixels })
    }

    /// Each pixel the mean of `factor` by `factor`, which smooths edges; what is left over at the right and below is
    /// cut off.
    pub fn reduced(&self, factor: u32) -> Self {
        let (width, height) = (self.width / factor, self.height / factor);
        let mut pixels = Vec::with_capacity(width as usize * height as usize * 3);
        for y in 0..height {
            for x in 0..width {
                let mut sums = [0; 3];
                for row in y * factor..(y + 1) * factor {
                    let first = (row * self.width + x * factor) as usize * 3;
                    for pixel in self.pixels[first..first + factor as usize * 3].chunks_exact(3) {
                        sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += u32::from(value));
                    }
                }
                pixels.extend(sums.map(|sum| ((sum + factor * factor / 2) / (factor * factor)) as u8));
            }
        }
        Self { width, height, pixels }
    }

    /// The bytes of a PNG file.
    ///
    /// # Errors
    /// If the picture cannot be drawn or encoded.
    pub fn png(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let writer = encoder(&mut bytes, self.width, self.height).write_header();
        writer.and_then(|mut writer| writer.write_image_data(&self.pixels)).map_err(|error| failed(&error))?;
        Ok(bytes)
    }

    /// The smallest rectangle `(x, y, width, height)` outside which both are alike; one pixel where all is.
    fn changed(&self, before: &Self) -> [u32; 4] {
        let row_length = self.width as usize * 3;
        let rows = || self.pixels.chunks_exact(row_length).zip(before.pixels.chunks_exact(row_length)).enumerate();
        let mut differing = rows().filter(|(_, (now, then))| now != then).map(|(y, _)| y);
        let Some(top) = differing.next() else { return [0, 0, 1, 1] };
        let bottom = differing.next_back().unwrap_or(top);
        let differs = |x: usize| {
            (top..=bottom).any(|y| {
                let first = y * row_length + x * 3;
                self.pixels[first..first + 3] != before.pixels[first..first + 3]
            })
        };
        let columns = || 0..self.width as usize;
        let left = columns().find(|&x| differs(x)).unwrap_or(0);
        let right = columns().rev().find(|&x| differs(x)).unwrap_or(left);
        [left as u32, top as u32, (right - left + 1) as u32, (bottom - top + 1) as u32]
    }

    fn cut(&self, [x, y, width, height]: [u32; 4]) -> Vec<u8> {
        let row = |row: u32| {
            let first = (row * self.width + x) as usize * 3;
            &self.pixels[first..first + width as usize * 3]
        };
        (y..y + height).flat_map(row).copied().collect()
    }
}

/// The bytes of an animated PNG file that plays again and again: `count` frames of one size, each with the milliseconds
/// that it stays. A viewer without animation shows the first.
///
/// # Errors
/// A frame that cannot be drawn, or no frame at all.
pub fn animation(
    count: usize,
    mut frames: impl Iterator<Item = Result<(Bitmap, u16), Failure>>,
) -> Result<Vec<u8>, Failure> {
    let Some(first) = frames.next() else { return Err(failed(&"an animation has at least one frame")) };
    let (mut shown, milliseconds) = first?;
    let mut bytes = Vec::new();
    let mut encoder = encoder(&mut bytes, shown.width, shown.height);
    let mut begin = || {
        encoder.set_animated(count as u32, 0)?;
        encoder.set_frame_delay(milliseconds, 1_000)?;
        encoder.set_blend_op(BlendOp::Source)?;
        encoder.set_dispose_op(DisposeOp::None)
    };
    begin().map_err(|error| failed(&error))?;
    let mut writer = encoder.write_header().map_err(|error| failed(&error))?;
    writer.write_image_data(&shown.pixels).map_err(|error| failed(&error))?;
    for frame in frames {
        let (frame, milliseconds) = frame?;
        let changed = frame.changed(&shown);
        let mut write = || {
            // The position first goes to the corner: position and size together must never reach past the edge.
            writer.set_frame_position(0, 0)?;
            writer.set_frame_dimension(changed[2], changed[3])?;
            writer.set_frame_position(changed[0], changed[1])?;
            writer.set_frame_delay(milliseconds, 1_000)?;
            writer.write_image_data(&frame.cut(changed))
        };
        write().map_err(|error| failed(&error))?;
        shown = frame;
    }
    writer.finish().map_err(|error| failed(&error))?;
    Ok(bytes)
}

fn encoder(bytes: &mut Vec<u8>, width: u32, height: u32) -> Encoder<'_, &mut Vec<u8>> {
    let mut encoder = Encoder::new(bytes, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::run(format!("cannot draw the picture: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: u32, height: u32, value: u8) -> Bitmap {
        Bitmap { width, height, pixels: vec![value; (width * height * 3) as usize] }
    }

    #[test]
    fn a_reduced_bitmap_holds_means() {
        let mut bitmap = plain(5, 2, 0);
        bitmap.pixels[0] = 255;
        bitmap.pixels[15] = 1;
        let reduced = bitmap.reduced(2);
        assert_eq!((reduced.width, reduced.height), (2, 1));
        assert_eq!(reduced.pixels, [64, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn only_what_changed_is_encoded_and_every_frame_decodes_to_what_was_drawn() {
        let mut frames = vec![plain(6, 4, 9); 3];
        frames[1].pixels[(6 + 2) * 3] = 77;
        frames[1].pixels[(2 * 6 + 4) * 3] = 78;
        assert_eq!(frames[1].changed(&frames[0]), [2, 1, 3, 2]);
        assert_eq!(frames[0].changed(&frames[0]), [0, 0, 1, 1]);

        let bytes = animation(3, frames.iter().map(|frame| Ok((frame.clone(), 40)))).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        assert_eq!(reader.info().animation_control().unwrap().num_frames, 3);
        let mut canvas = plain(6, 4, 0);
        for expected in &frames {
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            let control = *reader.info().frame_control().unwrap();
            assert_eq!((control.delay_num, control.delay_den), (40, 1_000));
            let (x, y) = (control.x_offset as usize, control.y_offset as usize);
            for (row, line) in pixels.chunks_exact(control.width as usize * 3).take(control.height as usize).enumerate()
            {
                let first = ((y + row) * 6 + x) * 3;
                canvas.pixels[first..first + line.len()].copy_from_slice(line);
            }
            assert_eq!(canvas, *expected);
        }
    }

    #[test]
    fn an_animation_of_nothing_is_an_error() {
        assert!(animation(0, std::iter::empty()).is_err());
    }
}
