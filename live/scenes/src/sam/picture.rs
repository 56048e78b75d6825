//! Curves, slices of the loss, and the drawn digit with both answers.

use super::learner::Seen;
use super::{NAMES, SideBySide, pad, slice};
use crate::colour_map::cividis;
use crate::panel::{body, panel};
use crate::plot::{Plot, Series};
use crate::{Align, Area, Colour, Drawing, Paint, Picture, View};

/// The colours of both learners.
const COLOURS: [Colour; 2] = [Colour::Orange, Colour::Blue];

/// Losses from here on have the darkest colour.
const DARKEST: f32 = 6.0;

/// Where everything stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    accuracy: Area,
    eigenvalue: Area,
    slices: [Area; 2],
    digit: Area,
    /// The pad itself.
    pub(super) pad: Area,
    answers: Area,
}

/// Lays the drawing out.
pub(super) fn places(view: View) -> Places {
    let (area, gap, text) = (view.area().shrink(0.5 * view.text), 0.6 * view.text, view.text);
    let [curves, rest] = area.split([1.0, 1.0], gap, view.is_narrow());
    let [accuracy, eigenvalue] = curves.split([1.2, 1.0], gap, true);
    let [slices, digit] = rest.split([1.2, 1.0], gap, true);
    let [pad, answers] = body(digit, text).split([1.0, 1.3], gap, false);
    Places { accuracy, eigenvalue, slices: slices.split([1.0, 1.0], gap, false), digit, pad: pad.square(), answers }
}

pub(super) fn draw(scene: &SideBySide, view: View) -> Drawing {
    let mut drawing = Drawing { is_waiting: scene.answer.is_waiting(), ..Drawing::default() };
    let (places, text) = (places(view), view.text);
    curves(scene, &mut drawing, places, text);
    for (index, seen) in scene.seen.iter().enumerate() {
        surface(scene, &mut drawing, places.slices[index], text, index, seen);
    }
    let title = "draw a digit here; what both say about it";
    panel(&mut drawing, places.digit, text, Colour::Ink, title);
    digit(scene, &mut drawing, places.pad);
    answers(scene, &mut drawing, places.answers, text);
    drawing
}

fn curves(scene: &SideBySide, drawing: &mut Drawing, places: Places, text: f32) {
    let series = |name, index: usize, column: usize, opacity| Series {
        name,
        paint: Paint { colour: COLOURS[index], opacity },
        points: scene.curve.iter().map(|moment| [moment[0], moment[1 + 3 * index + column]]).collect(),
    };
    let title = "accuracy: held back images, and (faint) the labels learnt, wrong ones included";
    let accuracy = Plot {
        title,
        across: "step",
        ranges: [None, Some([0.0, 1.0])],
        series: vec![
            series("SGD, labels learnt", 0, 1, 0.35),
            series("SAM, labels learnt", 1, 1, 0.35),
            series("SGD, held back", 0, 0, 1.0),
            series("SAM, held back", 1, 0, 1.0),
        ],
        marks: Vec::new(),
    };
    accuracy.draw(drawing, places.accuracy, text);
    let sharpness = Plot {
        title: "largest eigenvalue of the Hessian",
        across: "step",
        ranges: [None, None],
        series: vec![series(NAMES[0], 0, 2, 1.0), series(NAMES[1], 1, 2, 1.0)],
        marks: Vec::new(),
    };
    sharpness.draw(drawing, places.eigenvalue, text);
}

fn surface(scene: &SideBySide, drawing: &mut Drawing, area: Area, text: f32, index: usize, seen: &Seen) {
    let title = format!("{}: loss around its weights", NAMES[index]);
    let body = panel(drawing, area, text, COLOURS[index], &title).square();
    if seen.surface.len() != slice::SIDE * slice::SIDE {
        return;
    }
    // The lowest losses are the lightest.
    let tone = |loss: &f32| cividis(1.0 - (loss / DARKEST).sqrt());
    let picture = Picture {
        size: [slice::SIDE; 2],
        rgba: seen.surface.iter().flat_map(tone).collect(),
        version: scene.version,
        smooth: false,
    };
    drawing.picture(body, picture);
    drawing.ring(body.centre(), 0.4 * text, 2.0, COLOURS[index]);
    let middle = seen.surface[seen.surface.len() / 2];
    if middle.is_finite() {
        let at = [body.centre()[0] + 0.7 * text, body.centre()[1]];
        drawing.text(at, 0.85 * text, Align::Left, Colour::Vermilion, format!("{middle:.2}"));
    }
}

fn digit(scene: &SideBySide, drawing: &mut Drawing, pad: Area) {
    drawing.rectangle(pad, 0.0, Colour::Ground);
    for (index, &pixel) in scene.pad.pixels.iter().enumerate() {
        if pixel > 0.0 {
            let paint = Paint { colour: Colour::Ink, opacity: pixel };
            drawing.rectangle(pad.cell(index, [pad::SIDE; 2]), 0.0, paint);
        }
    }
    drawing.outline(pad, 1.0, Colour::Muted);
}

fn answers(scene: &SideBySide, drawing: &mut Drawing, area: Area, text: f32) {
    let size = (0.09 * area.height()).min(text);
    for class in 0..10 {
        let row = area.cell(class, [1, 10]);
        drawing.text([row.min[0] + size, row.centre()[1]], size, Align::Right, Colour::Ink, class.to_string());
        let bars = Area { min: [row.min[0] + 1.5 * size, row.min[1]], ..row }.shrink(0.06 * size);
        for (index, bar) in bars.split([1.0, 1.0], 0.0, true).into_iter().enumerate() {
            let share = scene.seen[index].answer.get(class).copied().unwrap_or(0.0).clamp(0.0, 1.0);
            let reach = bar.min[0] + share * bar.width();
            drawing.rectangle(Area { max: [reach, bar.max[1]], ..bar }, 1.0, COLOURS[index]);
        }
    }
}
