//! A part of a drawing with a title.

use crate::{Align, Area, Colour, Drawing};

/// The part of a panel below its title.
pub(crate) fn body(area: Area, text: f32) -> Area {
    let [_, rest] = area.shrink(0.4 * text).cut_top(1.5 * text);
    rest
}

/// Draws the ground and the title of a panel, and returns its body.
pub(crate) fn panel(drawing: &mut Drawing, area: Area, text: f32, colour: Colour, title: &str) -> Area {
    drawing.rectangle(area, 4.0, Colour::Panel);
    let [head, _] = area.shrink(0.4 * text).cut_top(1.3 * text);
    // Letters are about half as wide as a line is high: a title that is too long is smaller.
    let fits = head.width() / (0.46 * title.chars().count().max(1) as f32);
    drawing.text([head.min[0], head.centre()[1]], text.min(fits), Align::Left, colour, title);
    body(area, text)
}
