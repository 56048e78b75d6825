//! The pictures of a [`Film`]: the cart on its track, the inputs with what the network attends to, and the frames of a
//! film that are made of both.

use super::scene::{Film, Scene};
use crate::picture::bitmap::Bitmap;
use crate::picture::canvas::{Anchor, Canvas, Frame, picture};
use crate::picture::colour::{BLACK, COLOURS, Colour, tint};

pub(crate) const INK: Colour = Colour(40, 40, 40);
pub(crate) const GREY: Colour = Colour(120, 120, 120);
pub(crate) const PALE: Colour = Colour(242, 242, 242);
pub(crate) const NOISE: Colour = BLACK;
const ALARM: Colour = Colour(190, 40, 40);
pub(crate) const SHUFFLE: Colour = Colour(30, 30, 30);

/// The dashes of a line that marks a shuffle.
pub(crate) const DASHES: [f64; 2] = [5.0, 3.0];

/// Steps for which a shuffle is pointed out.
const NEWS: usize = 60;

/// The colour of what an input is wired to: noise is black.
pub(crate) fn colour(source: usize) -> Colour {
    if source < 5 { COLOURS[source] } else { NOISE }
}

/// The cart in the scene of a step, after `trail` earlier ones that fade.
pub(crate) fn cart(canvas: &Canvas, film: &Film, index: usize, frame: Frame, trail: &[usize]) {
    // Room for a pole that points outwards at the end of the track.
    let metre = frame.width / (2.0 * (film.track + film.pole + 0.08));
    let (middle, ground) = (frame.left + frame.width / 2.0, frame.top + frame.height / 2.0);
    let place = |metres: f64| middle + metre * metres;
    let (thickness, wheel) = ((0.03 * metre).max(1.0), 0.055 * metre);
    let track = [(place(-film.track), ground + 0.2 * metre), (place(film.track), ground + 0.2 * metre)];
    canvas.line(&track, thickness / 2.0, INK);
    for mark in -2..=2 {
        let height = if mark == 0 { 0.07 } else { 0.04 } * metre;
        let left = place(f64::from(mark)) - thickness / 4.0;
        canvas.rectangle(Frame { left, top: track[0].1, width: thickness / 2.0, height }, INK);
    }
    for (x, y) in track {
        let post = Frame { left: x - thickness, top: y - 0.16 * metre, width: 2.0 * thickness, height: 0.2 * metre };
        canvas.rectangle(post, INK);
    }

    let pole = |scene: &Scene, share: f64| {
        // Positive angles lean to the left.
        let tip =
            (place(scene.position - film.pole * scene.angle.sin()), ground - metre * film.pole * scene.angle.cos());
        let colour = tint(COLOURS[1], share);
        canvas.line(&[(place(scene.position), ground), tip], 0.075 * metre, colour);
        canvas.disc(tip, 0.06 * metre, colour)
    };
    for (age, &step) in trail.iter().enumerate() {
        pole(&film.scenes[step], 0.12 + 0.28 * (age + 1) as f64 / (trail.len() + 1) as f64);
    }

    let scene = &film.scenes[index];
    let x = place(scene.position);
    let body = Frame { left: x - 0.2 * metre, top: ground - 0.1 * metre, width: 0.4 * metre, height: 0.2 * metre };
    canvas.rectangle(body, COLOURS[0]);
    for side in [-0.12, 0.12] {
        canvas.disc((x + side * metre, ground + 0.145 * metre), wheel, INK);
    }
    pole(scene, 1.0);
    canvas.disc((x, ground), 0.045 * metre, INK);

    // The force, as an arrow from the side of the cart that it points to.
    let reach = 0.5 * metre * scene.action;
    if reach.abs() > 0.04 * metre {
        let (from, head) = (x + 0.24 * metre * reach.signum(), 0.05 * metre);
        let to = from + reach;
        let neck = if reach.abs() > 2.0 * head { to - 1.6 * head * reach.signum() } else { from };
        canvas.line(&[(from, ground), (neck, ground)], 0.035 * metre, INK);
        canvas.polygon(&[(neck, ground - head), (to, ground), (neck, ground + head)], INK);
    }
}

/// The attention to one input slot over the whole episode, as far as it has come: its height is the attention, its
/// colour what the slot is wired to.
pub(crate) fn ribbon(canvas: &Canvas, film: &Film, slot: usize, frame: Frame, until: usize) {
    canvas.rectangle(frame, PALE);
    // Two to a pixel, each as high as the strongest of its steps.
    let columns = (2.0 * frame.width).round() as usize;
    let width = frame.width / columns as f64;
    for column in 0..columns {
        let (from, to) = (column * film.scenes.len() / columns, (column + 1) * film.scenes.len() / columns);
        if from > until {
            break;
        }
        let steps = &film.scenes[from..to.max(from + 1)];
        let channel = steps[0].channels[slot];
        let attention = steps.iter().map(|scene| scene.channels[slot].attention).fold(0.0, f64::max);
        let height = attention.min(1.0) * frame.height;
        let left = frame.left + column as f64 * width;
        let bar = Frame { left, top: frame.bottom() - height, width, height };
        canvas.rectangle(bar, tint(colour(channel.source), 0.5));
    }
}

/// The place of a step on the axis of a frame.
pub(crate) fn along(film: &Film, frame: Frame, step: usize) -> f64 {
    frame.left + frame.width * step as f64 / film.scenes.len() as f64
}

const WIDTH: f64 = 720.0;
const HEAD: f64 = 268.0;

/// The height of the row of an input.
fn row(film: &Film) -> f64 {
    if film.inputs() > 12 { 19.0 } else { 27.0 }
}

/// Draws one frame of the animation, a pixel to a point: a film has many.
pub fn frame(film: &Film, index: usize) -> Bitmap {
    let height = HEAD + row(film) * film.inputs() as f64 + 18.0;
    picture(WIDTH, height, 1, |canvas| {
        heading(canvas, film, &film.scenes[index]);
        let trail: Vec<usize> = [15, 10, 5].into_iter().filter_map(|back| index.checked_sub(back)).collect();
        cart(canvas, film, index, Frame { left: 20.0, top: 48.0, width: WIDTH - 40.0, height: 184.0 }, &trail);
        inputs(canvas, film, index)
    })
}

fn heading(canvas: &Canvas, film: &Film, scene: &Scene) {
    canvas.text(&format!("step {}", scene.step), (24.0, 24.0), 20.0, Anchor::Left, INK);
    canvas.text(&format!("score {:.0}", scene.score), (WIDTH - 24.0, 24.0), 20.0, Anchor::Right, INK);
    let (sign, back) = match scene.since_shuffle {
        _ if film.fell && scene.step + 1 == film.scenes.len() => ("the cart left the track", ALARM),
        Some(since) if since < NEWS && film.forgets => ("inputs shuffled, memory cleared", SHUFFLE),
        Some(since) if since < NEWS => ("inputs shuffled", SHUFFLE),
        _ => return,
    };
    let width = 24.0 + 9.0 * sign.len() as f64;
    canvas.rectangle(Frame { left: (WIDTH - width) / 2.0, top: 9.0, width, height: 30.0 }, back);
    canvas.text(sign, (WIDTH / 2.0, 24.0), 18.0, Anchor::Middle, Colour(255, 255, 255))
}

fn inputs(canvas: &Canvas, film: &Film, index: usize) {
    let scene = &film.scenes[index];
    let ribbons = Frame { left: 306.0, top: HEAD, width: 390.0, height: row(film) * film.inputs() as f64 };
    let small = if film.inputs() > 12 { 13.0 } else { 15.0 };
    for (text, x) in [("input", 24.0), ("attention", 176.0), ("attention over the episode", ribbons.left)] {
        canvas.text(text, (x, HEAD - 14.0), 13.0, Anchor::Left, GREY);
    }
    for (slot, channel) in scene.channels.iter().enumerate() {
        let top = HEAD + row(film) * slot as f64;
        let (middle, bar) = (top + row(film) / 2.0, row(film) - 5.0);
        if let Some(since) = scene.since_shuffle.filter(|&since| since < NEWS) {
            let share = 0.35 * (1.0 - since as f64 / NEWS as f64);
            let behind = Frame { left: 16.0, top, width: 274.0, height: row(film) - 1.0 };
            canvas.rectangle(behind, tint(COLOURS[4], share));
        }
        canvas.text(&format!("{}", slot + 1), (40.0, middle), small, Anchor::Right, GREY);
        canvas.disc((54.0, middle), 5.0, colour(channel.source));
        canvas.text(&film.sources[channel.source], (66.0, middle), small, Anchor::Left, INK);
        canvas.text(&format!("{:+.2}", channel.value), (166.0, middle), small, Anchor::Right, GREY);
        let whole = Frame { left: 176.0, top: top + 2.0, width: 108.0, height: bar };
        canvas.rectangle(whole, PALE);
        let filled = Frame { width: whole.width * channel.attention.min(1.0), ..whole };
        canvas.rectangle(filled, colour(channel.source));
        ribbon(canvas, film, slot, Frame { top: top + 2.0, height: bar, ..ribbons }, index);
    }
    for shuffle in film.shuffles().into_iter().filter(|&shuffle| shuffle <= index) {
        let x = along(film, ribbons, shuffle);
        canvas.dashed(&[(x, ribbons.top), (x, ribbons.bottom())], 1.5, SHUFFLE, &DASHES);
    }
    let now = along(film, ribbons, index + 1);
    canvas.rectangle(Frame { left: now - 0.5, width: 1.0, ..ribbons }, GREY)
}

#[cfg(test)]
mod tests {
    use super::super::scene::tests::film;
    use super::*;

    fn pixels_of(bitmap: &Bitmap, colour: Colour) -> usize {
        bitmap.pixels.chunks_exact(3).filter(|pixel| **pixel == [colour.0, colour.1, colour.2]).count()
    }

    #[test]
    fn a_shuffle_is_pointed_out_for_a_while() {
        let film = film(200, &[100], 0);
        let dark = |index: usize| pixels_of(&frame(&film, index), SHUFFLE);
        assert!(dark(100) > dark(99) + 1_000);
        assert!(dark(100 + NEWS - 1) > dark(100 + NEWS) + 1_000);
    }

    #[test]
    fn bars_of_attention_are_as_long_as_it() {
        let film = film(50, &[], 0);
        // Source s has the attention (s + 1) / 5; spin is drawn in no other place in its full colour but its dot.
        let full = pixels_of(&frame(&film, 0), colour(4)) as f64;
        assert!((full / (108.0 * 22.0) - 1.0).abs() < 0.06, "{full}");
    }

    #[test]
    fn many_noise_channels_find_room() {
        let bitmap = frame(&film(20, &[10], 27), 15);
        assert_eq!((bitmap.width, bitmap.height), (720, (HEAD + 32.0 * 19.0 + 18.0) as u32));
    }
}
