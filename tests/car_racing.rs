//! Car racing: the kernel follows its twin over stretches, its pictures are the twin's, and the driver finishes its laps.

use fourfold::Gpu;
use fourfold::gpu::BufferView;
use fourfold::rollout::environments::CarRacing;
use fourfold::rollout::environments::car_racing::{Background, Camera, Picture};
use fourfold::rollout::policies::Linear;
use fourfold::rollout::{
    Composition, Environment, EpisodeRandom, Operands, Pictures, Plan, Rollout, Sensors, Settings, VectorEnvironment,
    VectorSettings, WeightSource, Weights, Wiring,
};
use fourfold::shaders::{Data, Element};

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

fn read(gpu: &Gpu, view: &BufferView) -> Vec<f32> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let ticket = gpu.encode_readback(&mut encoder, &[(view.clone(), Element::F32)]).unwrap();
    gpu.queue().submit([encoder.finish()]);
    ticket.wait().unwrap()[0].f32().to_vec()
}

/// An action of the driver, at times disturbed.
fn action(world: &CarRacing, scene: &[f32], lane: usize, step: usize) -> [f32; 3] {
    let scene: Vec<f64> = scene.iter().map(|&number| number.into()).collect();
    let mut action = world.driver(&scene).map(|number| number as f32);
    if (step / 10 + lane).is_multiple_of(4) {
        action[0] += ((step + lane) as f32).sin();
        action[2] = if lane.is_multiple_of(3) { 0.95 } else { action[2] };
    }
    action
}

/// The state that the kernel leaves is the twin's next state from the state that it found. Where a wheel is within a rounding
/// of a tile's edge, one of the two may count it and the other not.
#[test]
fn the_kernel_follows_its_twin_over_stretches() {
    const LANES: usize = 12;
    let gpu = gpu();
    let world = CarRacing::new(1, 1, 5);
    let mut lanes = VectorEnvironment::new(&gpu, world.clone(), &VectorSettings::new(LANES, 1_000, 5)).unwrap();
    let mut seen = lanes.reset(0).unwrap();
    let states = |lanes: &VectorEnvironment| -> Vec<Vec<f64>> {
        let numbers = read(&gpu, lanes.state());
        (0..LANES).map(|lane| (0..world.states()).map(|row| numbers[row * LANES + lane].into()).collect()).collect()
    };
    let bound = world.rounding() * 2f64.powi(-24);
    let close = |got: f64, expected: f64| (got - expected).abs() <= bound * (1.0 + expected.abs());
    let mut before = states(&lanes);
    for (lane, state) in before.iter().enumerate() {
        let mut expected = vec![0.0; world.states()];
        world.reset(&mut EpisodeRandom::new(5, 1, lane as u32, 0), &mut expected);
        assert!(state.iter().zip(&expected).all(|(&got, &expected)| close(got, expected)), "{state:?} {expected:?}");
    }
    let (mut apart, mut tiles) = (0, 0.0);
    for step in 0..250 {
        let actions: Vec<f32> = (0..LANES)
            .flat_map(|lane| action(&world, &seen.observations[lane * world.observations()..], lane, step))
            .collect();
        seen = lanes.step(&actions).unwrap();
        let after = states(&lanes);
        for (lane, state) in before.iter().enumerate() {
            let mut expected = state.clone();
            let action: Vec<f64> = actions[3 * lane..][..3].iter().map(|&number| number.into()).collect();
            let outcome = world.step(&mut expected, &action, &mut EpisodeRandom::new(0, 0, 0, 0));
            let moved = 18;
            let is_close = after[lane][..moved].iter().zip(&expected).all(|(&got, &expected)| close(got, expected));
            assert!(is_close, "lane {lane} step {step}: {:?}, expected {expected:?}", after[lane]);
            if after[lane][moved..] != expected[moved..] {
                apart += 1;
            } else {
                assert!(close(seen.rewards[lane].into(), outcome.reward), "lane {lane} step {step}");
                assert_eq!(seen.ends[lane] == 1, outcome.done, "lane {lane} step {step}");
            }
        }
        assert!(seen.ends.iter().all(|&end| end == 0), "step {step}: nobody leaves so early");
        before = after;
    }
    tiles += before.iter().map(|state| state[19]).sum::<f64>();
    assert!(tiles > 20.0 * LANES as f64, "{tiles} tiles");
    assert!(apart <= 3, "{apart} of {} steps decided otherwise", 250 * LANES);
}

#[test]
fn pictures_with_a_background_in_place_of_the_grass_are_those_of_the_twin() {
    const LANES: usize = 2;
    let gpu = gpu();
    for moves in [false, true] {
        for colour in [false, true] {
            let mut world = CarRacing::new(2, 1, LANES).with_background(Background::noise(5, 48, moves).unwrap());
            world.picture = Picture { size: 48, colour, ..Picture::default() };
            let mut lanes = VectorEnvironment::new(&gpu, world.clone(), &VectorSettings::new(LANES, 100, 2)).unwrap();
            let pictures = Pictures::of(&lanes).unwrap();
            let seen = lanes.reset(0).unwrap();
            let (mut wrong, mut drawn, channels) = (0, 0, if colour { 3 } else { 1 });
            for (lane, picture) in pictures.read().unwrap().into_iter().enumerate() {
                let scene = &seen.observations[lane * world.observations()..][..world.observations()];
                let scene: Vec<f64> = scene.iter().map(|&number| number.into()).collect();
                for (i, &level) in picture.iter().enumerate() {
                    let (row, column) = (i / channels / 48, i / channels % 48);
                    let expected = match colour {
                        true => world.colour(&scene, row, column)[i % channels],
                        false => world.pixel(&scene, row, column),
                    };
                    wrong += usize::from((f64::from(level) - expected).abs() > 0.5 + 1e-3);
                }
                drawn += picture.len();
                // Grass has two greys, noise all.
                let greys: std::collections::HashSet<u8> = picture.iter().copied().collect();
                assert!(greys.len() > 100, "{} greys", greys.len());
            }
            assert!(wrong * 1_000 <= drawn, "{wrong} of {drawn} pixels differ, moves: {moves}");
        }
    }
}

/// A sample on an edge may fall on either side of it in f32.
#[test]
fn pictures_of_lanes_are_those_of_the_twin() {
    const LANES: usize = 4;
    let gpu = gpu();
    let drawn = Picture::default();
    for picture in [
        drawn,
        Picture { camera: Camera::Hull, zoom_in: true, ..drawn },
        Picture { size: 48, samples: 2, ..drawn },
        Picture::original(),
    ] {
        let Picture { size, samples, colour, .. } = picture;
        let channels = if colour { 3 } else { 1 };
        let mut world = CarRacing::new(2, 1, LANES);
        world.picture = picture;
        let mut lanes = VectorEnvironment::new(&gpu, world.clone(), &VectorSettings::new(LANES, 1_000, 2)).unwrap();
        let pictures = Pictures::of(&lanes).unwrap();
        let mut seen = lanes.reset(0).unwrap();
        let (mut wrong, mut drawn, mut greys) = (0, 0, std::collections::HashSet::new());
        for step in 0..=120 {
            if [5, 30, 120].contains(&step) {
                for (lane, picture) in pictures.read().unwrap().into_iter().enumerate() {
                    let scene = &seen.observations[lane * world.observations()..][..world.observations()];
                    let scene: Vec<f64> = scene.iter().map(|&number| number.into()).collect();
                    assert_eq!(picture.len(), channels * size * size);
                    for (i, &level) in picture.iter().enumerate() {
                        let (row, column) = (i / channels / size, i / channels % size);
                        let expected = match colour {
                            true => world.colour(&scene, row, column)[i % channels],
                            false => world.pixel(&scene, row, column),
                        };
                        wrong += usize::from((f64::from(level) - expected).abs() > 0.5 + 1e-3);
                        greys.insert(level);
                    }
                    drawn += picture.len();
                }
            }
            let actions: Vec<f32> = (0..LANES)
                .flat_map(|lane| action(&world, &seen.observations[lane * world.observations()..], lane, step))
                .collect();
            seen = lanes.step(&actions).unwrap();
        }
        assert!(wrong * 1_000 <= drawn, "{wrong} of {drawn} pixels differ");
        for grey in [0, 61, 76, 102, 105, 107, 162, 177, 255] {
            assert!(samples > 1 || colour || greys.contains(&grey), "no pixel of grey {grey}");
        }
    }
}

/// The twin's driver scores 889 on ten of these tracks.
#[test]
fn the_driver_finishes_its_laps() {
    const LANES: usize = 10;
    let world = CarRacing::new(1, 1, LANES);
    let mut lanes = VectorEnvironment::new(&gpu(), world.clone(), &VectorSettings::new(LANES, 1_000, 1)).unwrap();
    let mut seen = lanes.reset(0).unwrap();
    let mut scores = [0.0; LANES];
    for _ in 0..1_000 {
        let scenes = seen.observations.chunks(world.observations());
        let scenes = scenes.map(|scene| scene.iter().map(|&number| f64::from(number)).collect::<Vec<_>>());
        let actions: Vec<f32> = scenes.flat_map(|scene| world.driver(&scene)).map(|number| number as f32).collect();
        seen = lanes.step(&actions).unwrap();
        scores.iter_mut().zip(&seen.rewards).for_each(|(score, &reward)| *score += reward);
    }
    let mean = scores.iter().sum::<f32>() / LANES as f32;
    assert!(mean > 850.0, "{mean}: {scores:?}");
}

#[test]
fn episodes_of_a_population_share_the_tracks_however_they_are_cut() {
    let gpu = gpu();
    let mut world = CarRacing::new(1, 1, 3);
    world.early_end = true;
    let composition = Composition { weights: WeightSource::Perturbed, ..Composition::new(world, Linear) };
    let play = |steps| {
        let settings = Settings { steps, ..Settings::new(4, 3, 60) };
        let plan = Plan::new(&composition, &settings, &gpu.target()).unwrap();
        let count = composition.parameters();
        let operands = Operands {
            seed: gpu.upload("seed", &Data::U32(vec![7, 0])).unwrap(),
            weights: Weights::Perturbed {
                center: gpu.zeros("center", count).unwrap(),
                deviation: gpu.upload("deviation", &Data::F32(vec![0.001; count])).unwrap(),
            },
            wiring: None,
        };
        Rollout::new(&gpu, plan, operands).unwrap().run().unwrap()
    };
    let episodes = play(1_000);
    assert_eq!(episodes, play(7));
    assert!(episodes.lengths.iter().any(|&steps| steps < 60) && episodes.returns.iter().all(|&sum| sum > -110.0));
}

#[test]
fn what_a_table_leaves_no_room_for_is_refused() {
    let gpu = gpu();
    let world = CarRacing::new(1, 1, 1);
    let settings = VectorSettings { trace: true, ..VectorSettings::new(2, 10, 1) };
    let complaint = VectorEnvironment::new(&gpu, world.clone(), &settings).unwrap_err().to_string();
    assert_eq!(complaint, "car_racing.wgsl has a table, which leaves no room for a trace: expected `trace: false`");
    let wiring = Some(Wiring { interval: 1, phases: 1, forget: false });
    let sensors = Sensors { wiring, ..Sensors::default() };
    let composition = Composition { sensors, weights: WeightSource::Perturbed, ..Composition::new(world, Linear) };
    let complaint = Plan::new(&composition, &Settings::new(2, 1, 10), &gpu.target()).unwrap_err().to_string();
    assert!(complaint.starts_with("car_racing.wgsl has a table, which leaves no room for a wiring"), "{complaint}");
}
