//! The scene as a visitor has it, on the software driver.

use fourfold::Gpu;

use crate::testing::{frames_until, reading};
use crate::{Colour, Pointer, Shape, Stage, Value, View};

const VIEW: View = View { size: [900.0, 600.0], text: 14.0 };

/// Takes single steps.
fn step(stage: &mut Stage, count: usize) {
    for _ in 0..count {
        let end = reading(stage, "step") + 1.0;
        stage.set("step", Value::Pressed).unwrap();
        frames_until(stage, |stage| reading(stage, "step") >= end);
    }
}

#[test]
fn the_critic_expects_the_return_once_the_key_is_taken_and_until_the_door_is_open() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "dt", 1).unwrap();
    stage.set("play", Value::On(false)).unwrap();
    // One of the upper rooms, where the return is asked for, and one of the lower, through an episode of fifteen steps.
    let mut ends = [0.0; 2];
    for (end, room) in ends.iter_mut().zip([0, 63]) {
        for _ in 0..room {
            stage.key('n', false).unwrap();
        }
        step(&mut stage, 15);
        frames_until(&mut stage, |stage| reading(stage, "predicted return").is_finite());
        let predicted = |stage: &Stage| stage.drawing(VIEW).texts().any(|text| text.starts_with("predicted by"));
        assert!(predicted(&stage));
        *end = reading(&stage, "predicted return");
    }
    assert!(ends[0] > 0.6 && ends[1] < 0.3, "{ends:?}");
}

#[test]
fn the_door_is_opened_where_a_return_is_asked_for_and_seldom_where_none_is() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "dt", 1).unwrap();
    stage.set("speed", Value::Number(16.0)).unwrap();
    frames_until(&mut stage, |stage| reading(stage, "step") >= 60.0);
    let [asked, none] = ["doors opened", "doors opened, asked for 0"].map(|name| reading(&stage, name));
    assert!(asked > 0.85 && none < 0.5, "{asked} and {none}");
    // From the next episode on, nobody asks.
    stage.set("asked", Value::Number(0.0)).unwrap();
    frames_until(&mut stage, |stage| reading(stage, "step") >= 150.0);
    assert!(reading(&stage, "doors opened") < 0.5, "{:?}", stage.readings());
}

#[test]
fn a_click_on_a_cell_moves_the_key_and_strips_show_the_attention() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "dt", 1).unwrap();
    stage.set("play", Value::On(false)).unwrap();
    frames_until(&mut stage, |stage| stage.drawing(VIEW).shapes.len() > 200);
    let places = super::picture::places(VIEW);
    let points = (0..8100).map(|index| [(index % 90) as f32 * 10.0, (index / 90) as f32 * 6.0]);
    let at = points.into_iter().find(|&at| places.cell(at, 4) == Some([0.0, 3.0])).unwrap();
    assert!(stage.point(VIEW, at, Pointer::Press).unwrap());
    // The key is the largest disc of its colour.
    let key = |stage: &Stage| {
        let discs = stage.drawing(VIEW).shapes.into_iter().filter_map(|shape| match shape {
            Shape::Circle { centre, radius, paint, .. } if paint.colour == Colour::Yellow => Some((radius, centre)),
            _ => None,
        });
        discs.max_by(|a, b| a.0.total_cmp(&b.0)).and_then(|(_, centre)| places.cell(centre, 4))
    };
    frames_until(&mut stage, |stage| key(stage) == Some([0.0, 3.0]));
    step(&mut stage, 1);
    // One for each block, with a row for return, observation and action.
    let is_strip = |shape: &&Shape| matches!(shape, Shape::Picture { picture, .. } if picture.size == [15, 3]);
    frames_until(&mut stage, |stage| stage.drawing(VIEW).shapes.iter().filter(is_strip).count() == 2);
    let texts: Vec<String> = stage.drawing(VIEW).texts().map(str::to_owned).collect();
    assert!(texts.iter().any(|text| text.starts_with("episode 1, room 1 of 3")), "{texts:?}");
    stage.key('n', false).unwrap();
    step(&mut stage, 5);
    let texts: Vec<String> = stage.drawing(VIEW).texts().map(str::to_owned).collect();
    assert!(texts.iter().any(|text| text.starts_with("episode 2, room 2 of 3")), "{texts:?}");
}
