//! `fourfold live SCENE --gif FILE`: what the window draws, as a film and without a window.

use std::str::FromStr;
use std::time::Duration;

use fourfold::Gpu;
use fourfold_scenes::{Align, Area, Drawing, Error, Paint, Picture, Shape, Stage, View};

use crate::failure::Failure;
use crate::picture::bitmap::Bitmap;
use crate::picture::canvas::{Anchor, Canvas, Frame, picture};
use crate::picture::colour::Colour;

/// Width and height of a film in points, and the height of its text.
const VIEW: View = View { size: [920.0, 560.0], text: 14.0 };

/// Milliseconds of a frame, and of the last one.
const FRAME: u16 = 40;
const REST: u16 = 2_500;

/// A key that is pressed before a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Press {
    frame: u64,
    key: char,
}

impl FromStr for Press {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(frame, key)| {
            let mut keys = key.chars();
            Some((frame.parse().ok()?, keys.next()?, keys.next().is_none()))
        });
        match parts {
            Some((frame, key, true)) => Ok(Self { frame, key }),
            _ => Err("expected FRAME:KEY, as in 60:s".into()),
        }
    }
}

/// Plays a scene for so many frames and draws each of them; `drawn` is called after each. Time goes on by frames and not by
/// a clock: the same seed and adapter give the same film.
///
/// # Errors
/// No such scene or key, or the device fails.
pub fn frames(
    gpu: &Gpu,
    scene: &str,
    seed: u32,
    count: u64,
    presses: &[Press],
    mut drawn: impl FnMut(),
) -> Result<Vec<(Bitmap, u16)>, Failure> {
    let mut stage = Stage::open(gpu, scene, seed).map_err(failure)?;
    let mut bitmaps = Vec::new();
    for frame in 0..count {
        for press in presses.iter().filter(|press| press.frame == frame) {
            if !stage.typed(press.key).map_err(failure)? {
                let keys: Vec<String> =
                    stage.controls().iter().filter_map(|control| control.key).map(String::from).collect();
                let (frame, key) = (press.frame, press.key);
                return Err(Failure::Input(format!("--press {frame}:{key}: expected one of {}", keys.join(" "))));
            }
        }
        answer(&mut stage, f64::from(FRAME) / 1_000.0 * frame as f64).map_err(failure)?;
        bitmaps.push((painted(&stage.drawing(VIEW)), if frame + 1 == count { REST } else { FRAME }));
        drawn();
    }
    Ok(bitmaps)
}

/// Frames of the stage at one time until the answer to the last one is there.
fn answer(stage: &mut Stage, now: f64) -> Result<(), Error> {
    loop {
        let before = stage.counts().unanswered;
        stage.frame(now)?;
        if stage.counts().unanswered == before {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Input(message) => Failure::Input(message),
        other => Failure::run(other),
    }
}

/// Paints a drawing on a light ground: a bitmap begins white, as that is.
fn painted(drawing: &Drawing) -> Bitmap {
    let [width, height] = VIEW.size.map(f64::from);
    picture(width, height, 1, |canvas| drawing.shapes.iter().for_each(|shape| paint(canvas, shape)))
}

fn paint(canvas: &Canvas, shape: &Shape) {
    let place = |[x, y]: [f32; 2]| (f64::from(x), f64::from(y));
    let places = |points: &[[f32; 2]]| points.iter().copied().map(place).collect::<Vec<_>>();
    let colour = |paint: &Paint| {
        let [red, green, blue] = paint.colour.rgb(false);
        (Colour(red, green, blue), f64::from(paint.opacity))
    };
    match shape {
        Shape::Line { points, width, paint } => {
            let (colour, share) = colour(paint);
            canvas.faint_line(&places(points), f64::from(*width), colour, share);
        }
        Shape::Polygon { points, paint } => {
            let (colour, share) = colour(paint);
            canvas.veil(&places(points), colour, share);
        }
        Shape::Circle { centre, radius, ring, paint } => {
            // A ring as the line around it.
            let corners: Vec<(f64, f64)> = (0..=48)
                .map(|corner| f64::from(corner) * std::f64::consts::TAU / 48.0)
                .map(|angle| {
                    let (x, y) = place(*centre);
                    (x + f64::from(*radius) * angle.cos(), y + f64::from(*radius) * angle.sin())
                })
                .collect();
            let (colour, share) = colour(paint);
            match ring {
                Some(width) => canvas.faint_line(&corners, f64::from(*width), colour, share),
                None => canvas.veil(&corners, colour, share),
            }
        }
        Shape::Rectangle { area, paint, .. } => {
            let (colour, share) = colour(paint);
            let [[left, top], [right, bottom]] = [area.min, area.max];
            canvas.veil(&places(&[[left, top], [right, top], [right, bottom], [left, bottom]]), colour, share);
        }
        Shape::Text { at, size, align, paint, text } => {
            let anchor = match align {
                Align::Left => Anchor::Left,
                Align::Centre => Anchor::Middle,
                Align::Right => Anchor::Right,
            };
            // A line is a quarter higher than its letters.
            canvas.text(text, place(*at), 0.95 * f64::from(*size), anchor, colour(paint).0);
        }
        Shape::Picture { area, picture } => cells(canvas, *area, picture),
    }
}

/// A picture as the rectangles of its pixels.
fn cells(canvas: &Canvas, area: Area, picture: &Picture) {
    for (index, pixel) in picture.rgba.chunks_exact(4).enumerate() {
        let &[red, green, blue, alpha] = pixel else { continue };
        if alpha > 0 {
            let Area { min: [left, top], max: [right, bottom] } = area.cell(index, picture.size);
            let [left, top, right, bottom] = [left, top, right, bottom].map(f64::from);
            canvas.rectangle(Frame { left, top, width: right - left, height: bottom - top }, Colour(red, green, blue));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_is_a_frame_and_a_key() {
        assert_eq!("60:s".parse(), Ok(Press { frame: 60, key: 's' }));
        assert_eq!("0:+".parse(), Ok(Press { frame: 0, key: '+' }));
        for text in ["s", "60:", "60:ss", "x:s", ""] {
            assert_eq!(text.parse::<Press>(), Err("expected FRAME:KEY, as in 60:s".into()), "{text}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_film_and_a_key_that_is_none_is_refused() {
        let gpu = Gpu::open().unwrap();
        let film = |presses: &[&str]| {
            let presses: Vec<Press> = presses.iter().map(|press| press.parse().unwrap()).collect();
            frames(&gpu, "neuron", 3, 12, &presses, || ())
        };
        let once = film(&["0:+", "4:s"]).unwrap();
        assert_eq!(once.len(), 12);
        assert_eq!(once, film(&["0:+", "4:s"]).unwrap());
        assert_ne!(once, film(&["0:+"]).unwrap());
        // Blue poles on a light ground.
        let has = |colour: [u8; 3]| once[11].0.pixels.chunks_exact(3).any(|pixel| pixel == colour);
        assert!(has([0, 114, 178]) && has([255; 3]));
        let failure = film(&["2:q"]).unwrap_err();
        assert_eq!(failure.code(), 2);
        assert!(failure.to_string().starts_with("--press 2:q: expected one of p . r"), "{failure}");
    }
}
