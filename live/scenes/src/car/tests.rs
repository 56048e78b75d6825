//! The race as a visitor has it, on the software driver.

use fourfold::Gpu;

use crate::testing::{frames_until, reading};
use crate::{Drawing, Pointer, Shape, Stage, Value, View};

const VIEW: View = View { size: [900.0, 600.0], text: 14.0 };

fn race(gpu: &Gpu, seed: u32) -> Stage {
    Stage::open(gpu, "car", seed).unwrap()
}

/// Frames until so many steps have been seen.
fn run(stage: &mut Stage, steps: u64) {
    let end = reading(stage, "step") + steps as f64;
    frames_until(stage, |stage| reading(stage, "step") >= end);
}

/// Exactly so many steps.
fn play(stage: &mut Stage, steps: u64) {
    let end = reading(stage, "step") + steps as f64;
    (0..steps).for_each(|_| stage.set("step", Value::Pressed).unwrap());
    frames_until(stage, |stage| reading(stage, "step") >= end);
}

/// The pixels of the road, and of what the network is shown.
fn pictures(drawing: &Drawing) -> Vec<Vec<u8>> {
    let pictures = drawing.shapes.iter().filter_map(|shape| match shape {
        Shape::Picture { picture, .. } => Some(picture.rgba.to_vec()),
        _ => None,
    });
    pictures.collect()
}

#[test]
fn a_shuffle_changes_what_is_shown_and_the_car_drives_on() {
    let gpu = Gpu::open().unwrap();
    let drive = |shuffled: bool| {
        let mut stage = race(&gpu, 1);
        play(&mut stage, 60);
        if shuffled {
            assert!(stage.key('s', false).unwrap());
        }
        play(&mut stage, 100);
        (reading(&stage, "score"), pictures(&stage.drawing(VIEW)))
    };
    let ((plain, ordered), (shuffled, mixed)) = (drive(false), drive(true));
    assert!(plain > 40.0 && shuffled > 0.8 * plain, "{plain}, shuffled {shuffled}");
    assert_eq!(ordered.len(), 2);
    assert_ne!(ordered[1], mixed[1]);
}

#[test]
fn every_control_leaves_a_race_that_goes_on() {
    let mut stage = race(&Gpu::open().unwrap(), 1);
    run(&mut stage, 4);
    for (name, value) in [
        ("shuffle", Value::Pressed),
        ("period", Value::Number(50.0)),
        ("missing", Value::Number(0.3)),
        ("ground", Value::Index(1)),
        ("seed", Value::Number(3.0)),
        ("reset", Value::Pressed),
        ("ground", Value::Index(2)),
    ] {
        stage.set(name, value).unwrap();
        run(&mut stage, 10);
        assert_eq!(pictures(&stage.drawing(VIEW)).len(), 2, "{name}");
    }
    assert_eq!(reading(&stage, "patches"), 45.0);
    let (name, bytes) = stage.save().unwrap();
    stage.load(&name, &bytes).unwrap();
    run(&mut stage, 2);
    assert_eq!(reading(&stage, "patches"), 64.0);
}

#[test]
fn a_click_covers_a_patch_and_another_uncovers_it() {
    let mut stage = race(&Gpu::open().unwrap(), 1);
    play(&mut stage, 4);
    let empty = |stage: &Stage| pictures(&stage.drawing(VIEW))[1].chunks_exact(4).filter(|pixel| pixel[3] == 0).count();
    let at = |slot: usize| {
        let places = super::picture::places(VIEW);
        let points = (0..9000).map(|index| [(index % 90) as f32 * 10.0, (index / 90) as f32 * 6.0]);
        points.into_iter().find(|&at| places.slot(at, 8) == Some(slot)).unwrap()
    };
    assert_eq!(empty(&stage), 0);
    assert!(stage.point(VIEW, at(9), Pointer::Press).unwrap());
    play(&mut stage, 1);
    assert_eq!((empty(&stage), reading(&stage, "patches")), (36, 63.0));
    assert!(stage.point(VIEW, at(9), Pointer::Press).unwrap());
    assert!(!stage.point(VIEW, [1.0, 1.0], Pointer::Press).unwrap());
    play(&mut stage, 1);
    assert_eq!(empty(&stage), 0);
    // The last patch stays.
    for slot in 0..64 {
        assert!(stage.point(VIEW, at(slot), Pointer::Press).unwrap());
    }
    assert_eq!(reading(&stage, "patches"), 1.0);
}

#[test]
fn a_file_that_is_no_driver_is_refused_and_changes_nothing() {
    let mut stage = race(&Gpu::open().unwrap(), 1);
    let error = stage.load("swing_up.safetensors", crate::weights::SWING_UP.bytes().unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("swing_up.safetensors: expected a policy of driving_network, "), "{error}");
    let error = stage.load("noise.safetensors", &[1, 2, 3]).unwrap_err().to_string();
    assert!(error.starts_with("noise.safetensors: "), "{error}");
    run(&mut stage, 2);
}
