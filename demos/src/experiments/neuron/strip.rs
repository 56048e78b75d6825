//! A whole episode in one picture: stills of the cart, and under them the attention to every input over time.

use super::scene::Film;
use super::stage::{DASHES, GREY, INK, PALE, SHUFFLE, along, cart, ribbon};
use crate::animation::Animation;
use crate::picture::bitmap::Bitmap;
use crate::picture::canvas::{Anchor, Canvas, FINE, Frame, picture};
use crate::picture::colour::{COLOURS, tint};

const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 24.0;
const COLUMNS: usize = 4;
const STILLS: usize = 8;
const STILL: (f64, f64) = (279.0, 118.0);
const GAP: f64 = 12.0;
const TOP: f64 = 84.0;
/// The left edge of the rows over time.
const LEFT: f64 = 120.0;

/// Draws the picture of an episode.
pub fn strip(film: &Film) -> Bitmap {
    let stills = film.stills(STILLS);
    let lines = stills.len().div_ceil(COLUMNS) as f64;
    let row = if film.inputs() > 12 { 24.0 } else { 38.0 };
    let rows = Frame {
        left: LEFT,
        top: TOP + lines * (STILL.1 + GAP) + 40.0,
        width: WIDTH - MARGIN - LEFT,
        height: row * film.inputs() as f64,
    };
    let curves = [60.0, 84.0];
    let height = rows.bottom() + curves.iter().map(|curve| curve + 10.0).sum::<f64>() + 54.0;
    picture(WIDTH, height, FINE, |canvas| {
        heading(canvas, film);
        for (index, &step) in stills.iter().enumerate() {
            let left = MARGIN + (index % COLUMNS) as f64 * (STILL.0 + GAP);
            let top = TOP + (index / COLUMNS) as f64 * (STILL.1 + GAP);
            still(canvas, film, step, Frame { left, top, width: STILL.0, height: STILL.1 });
        }
        canvas.text("attention", (MARGIN, rows.top - 16.0), 15.0, Anchor::Left, GREY);
        for slot in 0..film.inputs() {
            let frame = Frame { top: rows.top + row * slot as f64, height: row - 5.0, ..rows };
            slot_row(canvas, film, slot, frame);
        }
        let upright = Frame { top: rows.bottom() + 5.0, height: curves[0], ..rows };
        let cosines = film.scenes.iter().map(|scene| scene.angle.cos());
        curve(canvas, film, "pole", ["up", "down"], upright, cosines.map(|cosine| (cosine + 1.0) / 2.0));
        let score = Frame { top: upright.bottom() + 10.0, height: curves[1], ..rows };
        let most = film.scenes.iter().map(|scene| scene.score).fold(1.0, f64::max);
        let scores = film.scenes.iter().map(|scene| scene.score.max(0.0) / most);
        curve(canvas, film, "score", [&format!("{most:.0}"), "0"], score, scores);

        for shuffle in film.shuffles() {
            let x = along(film, rows, shuffle);
            canvas.dashed(&[(x, rows.top - 8.0), (x, score.bottom())], 2.0, SHUFFLE, &DASHES);
            let (text, side) =
                if x > WIDTH - 200.0 { ("shuffled ", Anchor::Right) } else { (" shuffled", Anchor::Left) };
            canvas.text(text, (x, rows.top - 16.0), 15.0, side, INK);
        }
        for &step in &stills {
            let (x, y) = (along(film, rows, step), score.bottom());
            canvas.polygon(&[(x, y + 2.0), (x - 4.0, y + 9.0), (x + 4.0, y + 9.0)], COLOURS[0]);
        }
        axis(canvas, film, score)
    })
}

fn heading(canvas: &Canvas, film: &Film) {
    let steps = film.scenes.len();
    let title = format!("One episode of an attention neuron: a score of {:.0} in {steps} steps", film.score());
    canvas.text(&title, (MARGIN, 28.0), 26.0, Anchor::Left, INK);
    let shuffles = film.shuffles();
    let list = shuffles.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let memory = if film.forgets { "memory cleared" } else { "memory kept" };
    let mut line = match shuffles.len() {
        0 => "inputs never shuffled".to_owned(),
        1 => format!("inputs shuffled at step {list}, {memory}"),
        _ => format!("inputs shuffled at steps {list}, {memory}"),
    };
    line += if film.fell { "; the cart left the track" } else { "" };
    canvas.text(&line, (MARGIN, 58.0), 17.0, Anchor::Left, GREY)
}

/// The cart at a step, with the poles of the steps before it.
fn still(canvas: &Canvas, film: &Film, step: usize, frame: Frame) {
    canvas.rectangle(frame, PALE);
    let inner = 1.5;
    let white = Frame {
        left: frame.left + inner,
        top: frame.top + inner,
        width: frame.width - 2.0 * inner,
        height: frame.height - 2.0 * inner,
    };
    canvas.rectangle(white, tint(INK, 0.0));
    let trail: Vec<usize> = [24, 16, 8].into_iter().filter_map(|back| step.checked_sub(back)).collect();
    let room = Frame { top: frame.top + 14.0, height: frame.height - 14.0, ..frame };
    cart(canvas, film, step, room, &trail);
    canvas.text(&format!("step {step}"), (frame.left + 10.0, frame.top + 14.0), 15.0, Anchor::Left, GREY);
    if film.scenes[step].since_shuffle == Some(0) {
        let (width, height) = (74.0, 20.0);
        let sign = Frame { left: frame.right() - width - 6.0, top: frame.top + 5.0, width, height };
        canvas.rectangle(sign, SHUFFLE);
        let middle = (sign.left + width / 2.0, sign.top + height / 2.0);
        canvas.text("shuffled", middle, 15.0, Anchor::Middle, tint(INK, 0.0));
    }
}

/// One input over time: what it was wired to stands where that began.
fn slot_row(canvas: &Canvas, film: &Film, slot: usize, frame: Frame) {
    let middle = frame.top + frame.height / 2.0;
    canvas.text(&format!("input {}", slot + 1), (LEFT - 14.0, middle), 15.0, Anchor::Right, INK);
    ribbon(canvas, film, slot, frame, film.scenes.len());
    for stretch in film.stretches() {
        let source = film.scenes[stretch.start].channels[slot].source;
        let x = along(film, frame, stretch.start);
        // A name that would run into the next one is left out.
        if along(film, frame, stretch.end) - x > 60.0 {
            canvas.text(&film.sources[source], (x + 7.0, frame.top + frame.height / 2.0), 16.0, Anchor::Left, INK);
        }
    }
}

/// A curve of heights in [0, 1].
fn curve(canvas: &Canvas, film: &Film, name: &str, marks: [&str; 2], frame: Frame, heights: impl Iterator<Item = f64>) {
    canvas.rectangle(frame, PALE);
    canvas.text(name, (MARGIN, frame.top + frame.height / 2.0), 15.0, Anchor::Left, INK);
    for (mark, y) in marks.iter().zip([frame.top + 8.0, frame.bottom() - 8.0]) {
        canvas.text(mark, (LEFT - 14.0, y), 13.0, Anchor::Right, GREY);
    }
    let inner = frame.height - 6.0;
    let points: Vec<_> = heights
        .enumerate()
        .map(|(step, height)| (along(film, frame, step), frame.bottom() - 3.0 - inner * height))
        .collect();
    canvas.line(&points, 1.7, COLOURS[0])
}

/// Steps under the last row.
fn axis(canvas: &Canvas, film: &Film, frame: Frame) {
    let steps = film.scenes.len();
    let between = [1, 2, 5, 10, 20, 50, 100, 200].into_iter().find(|between| steps / between <= 10).unwrap_or(500);
    for step in (0..=steps).step_by(between) {
        let x = along(film, frame, step);
        canvas.text(&step.to_string(), (x, frame.bottom() + 20.0), 14.0, Anchor::Middle, GREY);
    }
    let middle = (frame.left + frame.width / 2.0, frame.bottom() + 40.0);
    canvas.text("step; triangles mark the stills above", middle, 15.0, Anchor::Middle, GREY)
}

#[cfg(test)]
mod tests {
    use super::super::scene::tests::film;
    use super::*;

    #[test]
    fn a_strip_can_be_drawn_of_the_shortest_episode_and_of_the_longest() {
        for (steps, shuffles, noise) in [(1, &[][..], 0), (3, &[0, 2], 0), (1_000, &[100, 500, 999], 27)] {
            let bitmap = strip(&film(steps, shuffles, noise));
            assert_eq!(bitmap.width, 2 * 1_200);
            assert_eq!(bitmap.pixels.len(), bitmap.width as usize * bitmap.height as usize * 3);
        }
    }

    #[test]
    fn a_shuffle_is_marked_in_the_picture() {
        let dark = |shuffles: &[usize]| {
            let bitmap = strip(&film(300, shuffles, 0));
            let shade = [SHUFFLE.0, SHUFFLE.1, SHUFFLE.2];
            bitmap.pixels.chunks_exact(3).filter(|pixel| **pixel == shade).count()
        };
        assert!(dark(&[150]) > dark(&[]) + 1_000);
    }
}
