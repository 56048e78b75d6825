//! Moving pictures as files: animated PNG and GIF, of which each frame holds what has changed.

use std::collections::BTreeMap;
use std::path::Path;

use gif::Repeat;
use png::{BlendOp, DisposeOp};

use super::bitmap::{Bitmap, encoder, failed};
use crate::failure::Failure;

/// The kind of a film's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Shown by every program.
    Gif,
    /// An animated PNG: as many colours as there are.
    Apng,
}

impl Format {
    /// The kind that the name of a file asks for: an animated PNG if it ends in .png, or else a GIF.
    pub fn of(file: &Path) -> Self {
        let png = file.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("png"));
        if png { Self::Apng } else { Self::Gif }
    }

    /// Returns the bytes of a file that plays again and again: `count` frames of one size, each with the milliseconds that it
    /// stays.
    ///
    /// # Errors
    /// There is no frame, or one cannot be encoded.
    pub fn encode(self, count: usize, frames: impl Iterator<Item = (Bitmap, u16)>) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Gif => gif(frames),
            Self::Apng => animated_png(count, frames),
        }
    }
}

/// Returns the bytes of an animated PNG file that plays again and again: `count` frames of one size, each with the milliseconds
/// that it stays. A viewer without animation shows the first.
///
/// # Errors
/// There is no frame, or one cannot be encoded.
fn animated_png(count: usize, mut frames: impl Iterator<Item = (Bitmap, u16)>) -> Result<Vec<u8>, Failure> {
    let Some(first) = frames.next() else { return Err(failed(&"an animation has at least one frame")) };
    let (mut shown, milliseconds) = first;
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
    for (frame, milliseconds) in frames {
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

/// Returns the bytes of a GIF file that plays again and again: frames of one size, each with the milliseconds that it
/// stays, in steps of ten.
///
/// # Errors
/// There is no frame, or one cannot be encoded.
fn gif(frames: impl Iterator<Item = (Bitmap, u16)>) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut frames = frames.peekable();
    let Some((first, _)) = frames.peek() else { return Err(failed(&"an animation has at least one frame")) };
    let size = [first.width as u16, first.height as u16];
    let mut encoder = gif::Encoder::new(&mut bytes, size[0], size[1], &[]).map_err(|error| failed(&error))?;
    encoder.set_repeat(Repeat::Infinite).map_err(|error| failed(&error))?;
    let mut shown: Option<Bitmap> = None;
    for (frame, milliseconds) in frames {
        let [left, top, width, height] =
            shown.as_ref().map_or([0, 0, frame.width, frame.height], |shown| frame.changed(shown));
        let now = frame.cut([left, top, width, height]);
        let then = shown.as_ref().map(|shown| shown.cut([left, top, width, height]));
        let mut encoded = indexed(&now, then.as_deref());
        (encoded.width, encoded.height) = (width as u16, height as u16);
        (encoded.left, encoded.top, encoded.delay) = (left as u16, top as u16, milliseconds / 10);
        encoder.write_frame(&encoded).map_err(|error| failed(&error))?;
        shown = Some(frame);
    }
    drop(encoder);
    Ok(bytes)
}

/// Returns the pixels by their places in a palette: of more than 255 colours the most frequent ones, and the nearest of
/// them for others, so that flat areas keep theirs. Pixels that are as they were are left transparent, in long runs that
/// take little space.
fn indexed(now: &[u8], then: Option<&[u8]>) -> gif::Frame<'static> {
    const MOST: usize = 255;
    let pixels: Vec<[u8; 3]> = now.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    let same = |place: usize| then.is_some_and(|then| then[3 * place..3 * place + 3] == pixels[place]);
    let mut counts: BTreeMap<[u8; 3], usize> = BTreeMap::new();
    for (_, &pixel) in pixels.iter().enumerate().filter(|&(place, _)| !same(place)) {
        *counts.entry(pixel).or_default() += 1;
    }
    let mut colours: Vec<([u8; 3], usize)> = counts.into_iter().collect();
    colours.sort_by_key(|&(colour, count)| (std::cmp::Reverse(count), colour));
    let kept = &colours[..colours.len().min(MOST)];
    let distance = |a: [u8; 3], b: [u8; 3]| -> u32 {
        (0..3).map(|channel| u32::from(a[channel].abs_diff(b[channel])).pow(2)).sum()
    };
    let nearest = |colour: [u8; 3]| (0..kept.len()).min_by_key(|&place| distance(kept[place].0, colour)).unwrap_or(0);
    let places = colours
        .iter()
        .enumerate()
        .map(|(place, &(colour, _))| (colour, if place < MOST { place as u8 } else { nearest(colour) as u8 }));
    let places: BTreeMap<[u8; 3], u8> = places.collect();
    let transparent = kept.len() as u8;
    let index = |(place, pixel): (usize, &[u8; 3])| if same(place) { transparent } else { places[pixel] };
    let mut palette: Vec<u8> = kept.iter().flat_map(|&(colour, _)| colour).collect();
    palette.extend([0; 3]);
    gif::Frame {
        transparent: Some(transparent),
        buffer: pixels.iter().enumerate().map(index).collect::<Vec<u8>>().into(),
        palette: Some(palette),
        ..gif::Frame::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_films_kind_is_asked_for_by_the_end_of_its_name() {
        assert_eq!(Format::of(Path::new("a.PNG")), Format::Apng);
        assert_eq!([Format::of(Path::new("a.gif")), Format::of(Path::new("png"))], [Format::Gif; 2]);
    }

    fn plain(width: u32, height: u32, value: u8) -> Bitmap {
        Bitmap { width, height, pixels: vec![value; (width * height * 3) as usize] }
    }

    #[test]
    fn only_what_changed_is_encoded_and_every_frame_decodes_to_what_was_drawn() {
        let mut frames = vec![plain(6, 4, 9); 3];
        frames[1].pixels[(6 + 2) * 3] = 77;
        frames[1].pixels[(2 * 6 + 4) * 3] = 78;
        assert_eq!(frames[1].changed(&frames[0]), [2, 1, 3, 2]);
        assert_eq!(frames[0].changed(&frames[0]), [0, 0, 1, 1]);

        let bytes = animated_png(3, frames.iter().map(|frame| (frame.clone(), 40))).unwrap();
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
        assert!(animated_png(0, std::iter::empty()).is_err());
    }

    #[test]
    fn a_gif_has_every_frame_and_its_times() {
        let mut frames = vec![plain(6, 4, 9); 3];
        frames[1].pixels[(6 + 2) * 3] = 77;
        let bytes = gif(frames.iter().map(|frame| (frame.clone(), 40))).unwrap();
        let mut reader = gif::DecodeOptions::new().read_info(&bytes[..]).unwrap();
        assert_eq!((reader.width(), reader.height()), (6, 4));
        let mut sizes = Vec::new();
        while let Some(frame) = reader.read_next_frame().unwrap() {
            assert_eq!(frame.delay, 4);
            sizes.push((frame.left, frame.top, frame.width, frame.height));
        }
        assert_eq!(sizes, [(0, 0, 6, 4), (2, 1, 1, 1), (2, 1, 1, 1)]);
        assert!(gif(std::iter::empty()).is_err());
    }

    #[test]
    fn flat_colours_survive_in_a_gif_of_many_and_what_stays_is_transparent() {
        // 400 shades in single pixels, and a flat area.
        let mut now = vec![200; 3 * 1_000];
        for shade in 0..400 {
            now[3 * shade..3 * shade + 3].copy_from_slice(&[(shade / 2) as u8, (shade % 2) as u8, 7]);
        }
        let mut then = now.clone();
        then[3 * 999] = 0;
        let colour = |frame: &gif::Frame<'_>, place: usize| {
            let index = usize::from(frame.buffer[place]);
            frame.palette.as_ref().unwrap()[3 * index..3 * index + 3].to_vec()
        };
        let first = indexed(&now, None);
        assert_eq!((first.palette.as_ref().unwrap().len(), colour(&first, 999)), (3 * 256, vec![200; 3]));
        assert!(!first.buffer.contains(&first.transparent.unwrap()));
        assert!((0..400).all(|shade| colour(&first, shade)[0].abs_diff((shade / 2) as u8) < 80));
        let second = indexed(&now, Some(&then));
        let changed = second.buffer.iter().filter(|&&index| Some(index) != second.transparent).count();
        assert_eq!((changed, colour(&second, 999)), (1, vec![200; 3]));
    }
}
