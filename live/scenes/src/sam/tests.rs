//! The scene as a visitor has it, on the software driver.

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::models::TrainedClassifier;

use super::learner::Measured;
use super::task::{self, Task};
use super::{Settings, learners};
use crate::testing::{frames_until, reading};
use crate::{Pointer, Shape, Stage, Value, View};

const VIEW: View = View { size: [900.0, 600.0], text: 14.0 };

#[test]
fn both_learn_and_sam_ends_in_a_flatter_place_with_fewer_wrong_labels_by_heart() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "sam", 1).unwrap();
    stage.set("speed", Value::Number(16.0)).unwrap();
    // Wrong labels are learnt last: at 300 steps both know about as many.
    frames_until(&mut stage, |stage| reading(stage, "step") >= 600.0);
    let of = |name: &str| ["SGD", "SAM"].map(|learner| reading(&stage, &format!("{learner}: {name}")));
    let [sgd, sam] = of("held back images");
    // A tenth is chance.
    assert!(sgd > 0.4 && sam > 0.5, "{sgd} and {sam}");
    let [sgd, sam] = of("largest eigenvalue");
    assert!(sgd > 1.5 * sam && sam > 0.0, "{sgd} and {sam}");
    let [sgd, sam] = of("labels learnt");
    assert!(sgd > sam, "{sgd} and {sam}");
}

#[test]
fn a_frame_takes_less_work_than_a_software_driver_does_in_a_tenth_of_a_second_beside_painting() {
    let gpu = Gpu::open().unwrap();
    let task = Task::new(&gpu, &task::small(), 0.4, 1).unwrap();
    let settings = Settings { noise: 0.4, rho: 0.3, rate: 0.05, seed: 1 };
    let learners = learners(&gpu, &task, settings).unwrap();
    let of_a_frame = |frame| learners.iter().map(|learner| learner.work(1, Measured::of(frame))).sum::<f64>();
    let work = (0..8).map(of_a_frame).sum::<f64>() / 8.0;
    // With two steps a frame and twice the images it was 30 million operations, and 9.4 frames a second.
    assert!((5e6..1.6e7).contains(&work), "{work}");
}

#[test]
fn slices_fill_and_a_drawn_digit_is_answered_by_both() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "sam", 1).unwrap();
    let slices = |stage: &Stage| {
        let shapes = stage.drawing(VIEW).shapes.into_iter();
        shapes.filter(|shape| matches!(shape, Shape::Picture { .. })).count()
    };
    frames_until(&mut stage, |stage| slices(stage) == 2);
    // 441 cells, 7 in every fourth frame.
    let full = |stage: &Stage| {
        let texts: Vec<String> = stage.drawing(VIEW).texts().map(str::to_owned).collect();
        texts.iter().filter(|text| text.parse::<f32>().is_ok_and(|number| number > 0.0)).count() > 10
    };
    frames_until(&mut stage, |stage| stage.counts().frames > 40 && full(stage));
    let pad = super::picture::places(VIEW).pad;
    stage.set("clear", Value::Pressed).unwrap();
    let inked = |stage: &Stage| stage.drawing(VIEW).shapes.len();
    let empty = inked(&stage);
    for step in 0..8 {
        assert!(stage.point(VIEW, pad.at([0.5, 0.1 + 0.1 * step as f32]), Pointer::Drag).unwrap());
    }
    assert!(inked(&stage) > empty + 8);
    assert!(!stage.point(VIEW, [0.0, 0.0], Pointer::Drag).unwrap());
    for (name, value) in [("rho", Value::Number(0.1)), ("rate", Value::Number(0.01)), ("another", Value::Pressed)] {
        stage.set(name, value).unwrap();
        let step = reading(&stage, "step");
        frames_until(&mut stage, |stage| reading(stage, "step") > step);
    }
    stage.set("noise", Value::Number(0.0)).unwrap();
    assert_eq!(reading(&stage, "step"), 0.0);
}

#[test]
fn the_network_that_is_saved_is_a_checkpoint_of_the_command() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "sam", 1).unwrap();
    assert_eq!(stage.save(), None);
    frames_until(&mut stage, |stage| reading(stage, "step") >= 1.0);
    let (name, bytes) = stage.save().unwrap();
    let checkpoint = Checkpoint::from_bytes(&name, &bytes).unwrap();
    let trained = TrainedClassifier::from_checkpoint(&checkpoint).unwrap();
    assert_eq!(trained.classifier.architecture().to_string(), "mlp:64");
}

#[test]
fn both_go_on_from_networks_of_files_and_other_files_are_refused_by_name() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "sam", 1).unwrap();
    frames_until(&mut stage, |stage| reading(stage, "step") >= 60.0 && reading(stage, "SAM: held back images") > 0.5);
    let (name, bytes) = stage.save().unwrap();
    stage.set("rate", Value::Number(0.001)).unwrap();
    stage.load(&name, &bytes).unwrap();
    assert_eq!(reading(&stage, "step"), 0.0);
    frames_until(&mut stage, |stage| reading(stage, "step") >= 1.0 && reading(stage, "SGD: held back images") > 0.0);
    assert!(reading(&stage, "SGD: held back images") > 0.5, "SGD begins where SAM was");
    // Of another size, and by the command: it knows 0.677 of the held back images.
    stage.load("digits.safetensors", include_bytes!("../../../../demos/weights/digits.safetensors")).unwrap();
    frames_until(&mut stage, |stage| reading(stage, "step") >= 1.0 && reading(stage, "SAM: held back images") > 0.6);
    let error = stage.load("swing_up.safetensors", crate::weights::SWING_UP.bytes().unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("swing_up.safetensors: expected"), "{error}");
}
