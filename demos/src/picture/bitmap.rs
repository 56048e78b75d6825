//! Bitmaps, and the PNG files that they become.

use png::{BitDepth, ColorType, Decoder, Encoder};

use crate::failure::Failure;

/// Pixels of red, green and blue, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

impl Bitmap {
    /// Makes each pixel the mean of `factor` by `factor`, which smooths edges; what is left over at the right and below is
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

    /// Returns the bytes of a PNG file.
    ///
    /// # Errors
    /// The picture cannot be encoded.
    pub fn png(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let writer = encoder(&mut bytes, self.width, self.height).write_header();
        writer.and_then(|mut writer| writer.write_image_data(&self.pixels)).map_err(|error| failed(&error))?;
        Ok(bytes)
    }

    /// Reads a PNG file of this program.
    ///
    /// # Errors
    /// The bytes are no PNG file of red, green and blue.
    pub fn from_png(bytes: &[u8]) -> Result<Self, Failure> {
        let mut reader = Decoder::new(std::io::Cursor::new(bytes)).read_info().map_err(|error| failed(&error))?;
        let mut pixels = vec![0; reader.output_buffer_size().unwrap_or(0)];
        let info = reader.next_frame(&mut pixels).map_err(|error| failed(&error))?;
        match info.color_type {
            ColorType::Rgb => Ok(Self { width: info.width, height: info.height, pixels }),
            other => Err(failed(&format!("expected red, green and blue, got {other:?}"))),
        }
    }

    /// Puts pictures side by side and below each other on white, the same number in each row, all of them `width` pixels
    /// wide at most.
    pub fn sheet(pictures: &[Self], columns: usize, width: u32) -> Self {
        const GAP: u32 = 24;
        let reduced: Vec<Self> = pictures.iter().map(|one| one.reduced(one.width.div_ceil(width).max(1))).collect();
        let rows = || reduced.chunks(columns.max(1));
        let height = |row: &[Self]| row.iter().map(|one| one.height).max().unwrap_or(0) + GAP;
        let whole = (columns as u32 * (width + GAP) + GAP, rows().map(height).sum::<u32>() + GAP);
        let mut sheet = Self { width: whole.0, height: whole.1, pixels: vec![255; (whole.0 * whole.1 * 3) as usize] };
        let mut top = GAP;
        for row in rows() {
            for (column, picture) in row.iter().enumerate() {
                let left = GAP + column as u32 * (width + GAP) + (width - picture.width) / 2;
                for (y, line) in picture.pixels.chunks_exact(picture.width as usize * 3).enumerate() {
                    let first = ((top + y as u32) * sheet.width + left) as usize * 3;
                    sheet.pixels[first..first + line.len()].copy_from_slice(line);
                }
            }
            top += height(row);
        }
        sheet
    }

    /// Returns the smallest rectangle `(x, y, width, height)` outside which both are alike; one pixel where all is.
    pub(super) fn changed(&self, before: &Self) -> [u32; 4] {
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

    /// Returns the pixels of a rectangle.
    pub(super) fn cut(&self, [x, y, width, height]: [u32; 4]) -> Vec<u8> {
        let row = |row: u32| {
            let first = (row * self.width + x) as usize * 3;
            &self.pixels[first..first + width as usize * 3]
        };
        (y..y + height).flat_map(row).copied().collect()
    }
}

pub(super) fn encoder(bytes: &mut Vec<u8>, width: u32, height: u32) -> Encoder<'_, &mut Vec<u8>> {
    let mut encoder = Encoder::new(bytes, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder
}

pub(super) fn failed(error: &dyn std::fmt::Display) -> Failure {
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
    fn a_picture_comes_back_from_its_file_and_a_sheet_holds_all() {
        let mut picture = plain(4, 2, 9);
        picture.pixels[5] = 200;
        assert_eq!(Bitmap::from_png(&picture.png().unwrap()).unwrap(), picture);
        let sheet = Bitmap::sheet(&[plain(10, 4, 1), plain(20, 4, 2), plain(10, 6, 3)], 2, 10);
        assert_eq!((sheet.width, sheet.height), (2 * 34 + 24, 4 + 6 + 3 * 24));
        let count = |value: u8| sheet.pixels.iter().filter(|&&pixel| pixel == value).count();
        assert_eq!([1, 2, 3].map(count), [3 * 40, 3 * 20, 3 * 60]);
    }
}
