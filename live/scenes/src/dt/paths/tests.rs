//! The scene as a visitor has it, on the software driver.

use fourfold::Gpu;

use super::{Paths, picture};
use crate::testing::{frames_until, reading};
use crate::{Colour, Pointer, Shape, Stage, Value, View};

const VIEW: View = View { size: [900.0, 600.0], text: 14.0 };

fn stage() -> Stage {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "dt", 1).unwrap();
    stage.set("task", Value::Index(1)).unwrap();
    stage.set("speed", Value::Number(16.0)).unwrap();
    stage
}

fn has(stage: &Stage, name: &str) -> bool {
    stage.readings().iter().any(|reading| reading.name == name)
}

fn texts(stage: &Stage) -> Vec<String> {
    stage.drawing(VIEW).texts().map(str::to_owned).collect()
}

#[test]
fn most_paths_are_shortest_ones_and_a_path_goes_on_from_the_next_node() {
    let mut stage = stage();
    frames_until(&mut stage, |stage| has(stage, "shortest paths"));
    // demos/weights/README.md: 0.882 of the nodes, and a tolerance for other drivers.
    let [shortest, arrived] = ["shortest paths", "arrived"].map(|name| reading(&stage, name));
    assert!((shortest - 0.882).abs() < 0.06 && arrived >= shortest, "{shortest} {arrived}");
    let from = texts(&stage).into_iter().find(|text| text.starts_with("from node")).unwrap();
    let from = from.split(',').next().unwrap().to_owned();
    frames_until(&mut stage, |stage| !texts(stage).iter().any(|text| text.starts_with(&from)));
}

#[test]
fn longer_paths_are_taken_where_more_steps_are_asked_for() {
    let mut stage = stage();
    stage.set("asked", Value::Number(8.0)).unwrap();
    frames_until(&mut stage, |stage| has(stage, "shortest paths"));
    let shortest = reading(&stage, "shortest paths");
    assert!(shortest < 0.5, "{:?}", stage.readings());
}

#[test]
fn a_click_on_a_node_begins_there_and_shows_the_attention_and_the_chances() {
    let gpu = Gpu::open().unwrap();
    let scene = Paths::open(&gpu).unwrap();
    let node = scene.next_start();
    let mut stage = stage();
    frames_until(&mut stage, |stage| texts(stage).iter().any(|text| text == "never"));
    stage.set("play", Value::On(false)).unwrap();
    assert!(stage.point(VIEW, picture::places(&scene, VIEW).of(node), Pointer::Press).unwrap());
    let expected = format!("from node {node}, step 0: click a node to begin there");
    assert!(texts(&stage).contains(&expected), "{:?}", texts(&stage));
    stage.set("step", Value::Pressed).unwrap();
    frames_until(&mut stage, |stage| reading(stage, "steps from the start") == 1.0);
    let strips = |stage: &Stage| {
        let is_strip = |shape: &&Shape| matches!(shape, Shape::Picture { picture, .. } if picture.size == [3, 3]);
        stage.drawing(VIEW).shapes.iter().filter(is_strip).count()
    };
    // A strip for each of the three blocks.
    frames_until(&mut stage, |stage| strips(stage) == 3);
    let shapes = stage.drawing(VIEW).shapes;
    let bars =
        shapes.iter().filter(|shape| matches!(shape, Shape::Rectangle { paint, .. } if paint.colour == Colour::Purple));
    assert_eq!(bars.count(), 11);
    // The goal is no start.
    let goal = picture::places(&scene, VIEW).of(0);
    assert!(!stage.point(VIEW, goal, Pointer::Press).unwrap());
}

#[test]
fn a_file_of_the_graph_shows_the_graph_and_one_of_neither_task_is_refused() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "dt", 1).unwrap();
    stage.load("shortest_paths.safetensors", crate::weights::SHORTEST_PATHS.bytes().unwrap()).unwrap();
    assert!(has(&stage, "steps from the start"));
    let error = stage.load("swing_up.safetensors", crate::weights::SWING_UP.bytes().unwrap()).unwrap_err().to_string();
    let expected = "swing_up.safetensors: expected an agent of key-to-door:SIDE:STEPS, got cart-pole-swing-up-easy";
    assert_eq!(error, expected);
    assert!(has(&stage, "steps from the start"));
}
