//! The scene as a visitor has it, on the software driver.

use crate::testing::{frames_until, reading};
use crate::{Pointer, Shape, Stage, Value, View};

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::shaders::Data;

const VIEW: View = View { size: [900.0, 500.0], text: 14.0 };

#[test]
fn persistent_evolution_strategies_find_the_valley_that_truncated_ones_miss() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "pes", 1).unwrap();
    for (name, value) in [("speed", 16.0), ("rate", 0.05)] {
        stage.set(name, Value::Number(value)).unwrap();
    }
    frames_until(&mut stage, |stage| reading(stage, "iteration") >= 1_200.0);
    let [pes, truncated] = ["PES", "truncated ES"].map(|name| reading(&stage, name));
    assert!(pes < 900.0 && truncated > 1_500.0, "{:?}", stage.readings());
    let pictures = stage.drawing(VIEW).shapes.into_iter().filter_map(|shape| match shape {
        Shape::Picture { picture, .. } => Some(picture),
        _ => None,
    });
    let maps: Vec<_> = pictures.collect();
    assert_eq!((maps.len(), maps[0].size), (1, [96, 96]));
    // The best cells are light, the worst dark.
    let light = |index: usize| maps[0].rgba[4 * index..][..3].iter().map(|&part| u32::from(part)).sum::<u32>();
    let tones: Vec<u32> = (0..96 * 96).map(light).collect();
    assert!(tones.iter().max() > Some(&450) && tones.iter().min() < Some(&250));
}

#[test]
fn a_file_of_the_command_is_where_all_begin_and_a_saved_one_is_where_pes_is() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "pes", 1).unwrap();
    let mut file = Checkpoint::new();
    file.set("problem", "toy");
    file.insert("theta", &[2], Data::F32(vec![-2.5, 1.5]));
    stage.load("theta-pes-1.safetensors", &file.to_bytes()).unwrap();
    let theta = |stage: &Stage| {
        let (name, bytes) = stage.save().unwrap();
        let file = Checkpoint::from_bytes(&name, &bytes).unwrap();
        file.expect("problem", "toy").unwrap();
        file.f32("theta", &[2]).unwrap().to_vec()
    };
    assert_eq!(theta(&stage), [-2.5, 1.5]);
    frames_until(&mut stage, |stage| reading(stage, "iteration") >= 8.0 && theta(stage) != [-2.5, 1.5]);
    file.set("problem", "lorenz");
    let error = stage.load("theta-pes-1.safetensors", &file.to_bytes()).unwrap_err().to_string();
    assert_eq!(error, "theta-pes-1.safetensors: expected a checkpoint with problem `toy`, got `lorenz`");
}

#[test]
fn a_click_on_the_map_starts_every_run_there() {
    let mut stage = Stage::open(&Gpu::open().unwrap(), "pes", 1).unwrap();
    frames_until(&mut stage, |stage| reading(stage, "iteration") >= 8.0);
    let map = super::picture::places(VIEW).map;
    assert!(stage.point(VIEW, map.at([0.5, 0.25]), Pointer::Press).unwrap());
    assert!(!stage.point(VIEW, [1.0, 1.0], Pointer::Press).unwrap());
    assert_eq!(reading(&stage, "iteration"), 0.0);
    let rings = stage.drawing(VIEW).shapes.into_iter().filter_map(|shape| match shape {
        Shape::Circle { centre, ring: Some(_), .. } => Some(map.share(centre)),
        _ => None,
    });
    let starts: Vec<[f32; 2]> = rings.collect();
    assert!((starts[0][0] - 0.5).abs() < 1e-3 && (starts[0][1] - 0.25).abs() < 1e-3, "{starts:?}");
    // One after the other, every setting begins anew and goes on.
    for (name, value) in [
        ("k", Value::Index(3)),
        ("particles", Value::Index(0)),
        ("sigma", Value::Number(0.5)),
        ("start", Value::Pressed),
    ] {
        stage.set(name, value).unwrap();
        frames_until(&mut stage, |stage| reading(stage, "iteration") >= 4.0);
    }
}
