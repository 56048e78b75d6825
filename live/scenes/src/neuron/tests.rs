//! The scene as a visitor has it, on the software driver.

use std::thread::sleep;
use std::time::Duration;

use fourfold::Gpu;

use crate::testing::{frames_until, reading};
use crate::{Drawing, Error, Pointer, Shape, Stage, Value, View};

const VIEW: View = View { size: [900.0, 600.0], text: 14.0 };

/// Frames until so many steps have been seen.
fn run(stage: &mut Stage, steps: u64) {
    let end = reading(stage, "step") + steps as f64;
    frames_until(stage, |stage| reading(stage, "step") >= end);
}

fn pictures(drawing: &Drawing) -> usize {
    drawing.shapes.iter().filter(|shape| matches!(shape, Shape::Picture { .. })).count()
}

#[test]
fn the_score_holds_after_a_shuffle_and_the_perceptrons_falls() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "neuron", 1).unwrap();
    stage.set("speed", Value::Number(16.0)).unwrap();
    run(&mut stage, 800);
    let before = [reading(&stage, "score"), reading(&stage, "perceptron's score")];
    assert!(stage.key('s', false).unwrap());
    run(&mut stage, 800);
    let after = [reading(&stage, "score"), reading(&stage, "perceptron's score")];
    assert!(after[0] > 0.8 * before[0] && after[1] < 0.4 * before[1], "{before:?}, then {after:?}");
}

#[test]
fn every_control_leaves_a_scene_that_goes_on() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "neuron", 1).unwrap();
    run(&mut stage, 4);
    assert_eq!(pictures(&stage.drawing(VIEW)), 1);
    for (name, value) in [
        ("shuffle", Value::Pressed),
        ("noise", Value::Index(1)),
        ("duplicates", Value::On(true)),
        ("forget", Value::On(true)),
        ("period", Value::Number(50.0)),
        ("kick", Value::Pressed),
        ("starts", Value::Index(1)),
        ("seed", Value::Number(3.0)),
        ("reset", Value::Pressed),
    ] {
        stage.set(name, value).unwrap();
        run(&mut stage, 60);
        let names: Vec<String> = stage.drawing(VIEW).texts().map(str::to_owned).collect();
        assert!(names.iter().any(|text| text == "spin"), "{name}: {names:?}");
    }
    assert!(stage.drawing(VIEW).texts().any(|text| text == "noise 5"));
    let error = stage.set("noise", Value::Index(9)).unwrap_err().to_string();
    assert_eq!(error, "noise: expected a choice below 4, got Index(9)");
    let error = stage.set("gravity", Value::Pressed).unwrap_err().to_string();
    assert!(error.starts_with("control: expected one of play, step, reset, seed, speed, shuffle, "), "{error}");
}

#[test]
fn a_pause_stops_time_and_a_step_is_one() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "neuron", 1).unwrap();
    run(&mut stage, 4);
    stage.set("play", Value::On(false)).unwrap();
    let frames = |stage: &mut Stage| {
        for frame in 0..60 {
            stage.frame(f64::from(frame)).unwrap();
            sleep(Duration::from_millis(2));
        }
        reading(stage, "step")
    };
    let paused = frames(&mut stage);
    assert_eq!(frames(&mut stage), paused);
    stage.set("step", Value::Pressed).unwrap();
    assert_eq!(frames(&mut stage), paused + 1.0);
}

#[test]
fn the_same_seed_plays_the_same_episode() {
    let gpu = Gpu::open().unwrap();
    let play = |seed: u32| {
        let mut stage = Stage::open(&gpu, "neuron", seed).unwrap();
        stage.set("play", Value::On(false)).unwrap();
        for _ in 0..40 {
            stage.set("step", Value::Pressed).unwrap();
        }
        run(&mut stage, 40);
        stage.drawing(VIEW)
    };
    assert_eq!(play(4).shapes, play(4).shapes);
    assert_ne!(play(4).shapes, play(5).shapes);
}

#[test]
fn a_click_beside_the_pole_pushes_it_and_one_on_a_small_one_shows_it() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "neuron", 1).unwrap();
    run(&mut stage, 4);
    let title = |stage: &Stage| stage.drawing(VIEW).texts().find(|text| text.contains(", cart ")).map(str::to_owned);
    assert!(title(&stage).unwrap().contains("cart 1:"));
    let places = super::picture::places(VIEW);
    assert!(stage.point(VIEW, places.large.at([0.05, 0.5]), Pointer::Press).unwrap());
    let small = (0..9000).map(|index| [(index % 90) as f32 * 10.0, (index / 90) as f32 * 6.0]);
    let at = small.into_iter().find(|&at| places.lane(at) == Some(9)).unwrap();
    assert!(stage.point(VIEW, at, Pointer::Press).unwrap());
    assert!(!stage.point(VIEW, at, Pointer::Release).unwrap());
    run(&mut stage, 4);
    assert!(title(&stage).unwrap().contains("cart 10:"));
}

#[test]
fn a_file_of_another_policy_is_refused_and_changes_nothing() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "neuron", 1).unwrap();
    let error = stage.load("swing_up.safetensors", crate::weights::SWING_UP.bytes().unwrap()).unwrap_err();
    let sentence = "swing_up.safetensors: expected an attention neuron with 5 observations, got another policy";
    assert_eq!(error, Error::Input(sentence.into()));
    let (name, bytes) = stage.save().unwrap();
    stage.load(&name, &bytes).unwrap();
    run(&mut stage, 2);
}

#[test]
fn a_frame_does_not_wait_for_the_device() {
    let gpu = Gpu::open().unwrap();
    let mut stage = Stage::open(&gpu, "neuron", 1).unwrap();
    run(&mut stage, 2);
    // A device that is busy for long: frames pass meanwhile, and none submits more.
    stage.set("play", Value::On(false)).unwrap();
    for _ in 0..3_000 {
        stage.set("step", Value::Pressed).unwrap();
    }
    let before = stage.counts();
    stage.frame(1.0).unwrap();
    for _ in 0..20 {
        stage.frame(2.0).unwrap();
    }
    // A frame that waited would have found the answer.
    let unanswered = stage.counts().unanswered - before.unanswered;
    assert!(unanswered >= 20, "{unanswered} frames of 20 went on without an answer");
    #[expect(clippy::disallowed_methods, reason = "a test may wait")]
    gpu.wait().unwrap();
}

#[test]
fn a_lost_device_is_an_error_of_every_frame() {
    let gpu = Gpu::open().unwrap();
    let mut stage = Stage::open(&gpu, "neuron", 1).unwrap();
    run(&mut stage, 2);
    gpu.device().destroy();
    let lost = (0..100).find_map(|frame| stage.frame(f64::from(frame)).err());
    assert!(matches!(&lost, Some(Error::Device(message)) if message.contains("lost")), "{lost:?}");
    assert!(stage.set("shuffle", Value::Pressed).is_err());
    // The last picture stays.
    assert!(stage.drawing(VIEW).shapes.len() > 100);
}
