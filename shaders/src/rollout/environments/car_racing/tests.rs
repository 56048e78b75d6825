use super::*;

/// The track of episode 0 of key (1, 1), in the numbers of f64 that the reference has.
fn golden() -> CarRacing {
    let track = Track::draw(&mut EpisodeRandom::new(1, 1, 0, 0));
    CarRacing { tracks: [track].into(), ..CarRacing::new(1, 1, 1) }
}

fn random() -> EpisodeRandom {
    EpisodeRandom::new(1, 1, 0, 0)
}

fn begun(world: &CarRacing) -> Vec<f64> {
    let mut state = vec![0.0; world.states()];
    world.reset(&mut random(), &mut state);
    state
}

/// The action of a step of the golden episode.
fn scripted(step: i32) -> [f64; 3] {
    let gas = if step < 60 { 0.4 } else { 0.1 };
    let brake = if (100..110).contains(&step) { 0.2 } else { 0.0 };
    [0.3 * (f64::from(step) / 15.0).sin(), gas, brake]
}

/// From `car_world.py golden`, our program in Python that was compared with Gymnasium 1.4.0: after step t, place and angle of
/// the hull, velocity and spin, steering and gas, speeds of the wheels, tiles and score.
#[test]
fn the_car_drives_as_in_the_reference() {
    let goldens: [(i32, [f64; 14]); 6] = [
        (
            0,
            [
                87.6137864,
                -21.2800644,
                -1.41681745,
                2.16527962,
                0.336067534,
                0.0,
                0.0,
                0.1,
                0.0,
                0.0,
                7.3,
                7.3,
                2.0,
                7.418797,
            ],
        ),
        (
            1,
            [
                87.6809448,
                -21.269641,
                -1.41681745,
                3.35792229,
                0.521174565,
                0.0,
                -0.0199852,
                0.2,
                1.212832,
                1.212832,
                12.73008,
                12.73008,
                2.0,
                7.318797,
            ],
        ),
        (
            9,
            [
                88.8601529,
                -21.1242713,
                -1.43458614,
                10.4070826,
                1.00592798,
                -0.281307652,
                -0.169393,
                0.4,
                14.23867,
                13.73914,
                40.76458,
                40.76458,
                2.0,
                6.518797,
            ],
        ),
        (
            49,
            [
                105.386642,
                -32.0890665,
                -2.51929734,
                22.8763263,
                -31.2520334,
                -0.0132921229,
                0.0374245,
                0.4,
                69.92988,
                67.27754,
                77.44534,
                73.84368,
                6.0,
                17.556391,
            ],
        ),
        (
            109,
            [
                147.156893,
                -23.691702,
                -1.00111726,
                30.9001932,
                17.6973236,
                -2.05281443,
                -0.249729,
                0.1,
                66.50499,
                62.05373,
                70.61039,
                63.70841,
                6.0,
                11.556391,
            ],
        ),
        (
            199,
            [
                203.7465,
                -24.4447704,
                -0.759293654,
                32.0003731,
                31.4152732,
                -1.93058617,
                -0.193333,
                0.1,
                84.61063,
                80.14611,
                86.2134,
                81.33452,
                6.0,
                2.556391,
            ],
        ),
    ];
    let world = golden();
    let mut state = begun(&world);
    let mut observation = vec![0.0; world.observations()];
    let mut score = 0.0;
    for step in 0..200 {
        let outcome = world.step(&mut state, &scripted(step), &mut random());
        assert!(!outcome.done);
        score += outcome.reward;
        world.observe(&state, &mut observation);
        let Some((_, golden)) = goldens.iter().find(|(at, _)| *at == step) else { continue };
        let got: Vec<f64> = observation[..12].iter().copied().chain([state[19], score]).collect();
        for (got, right) in got.iter().zip(golden) {
            // Six to nine digits were printed.
            assert!((got - right).abs() < 5e-7 * right.abs().max(1.0), "step {step}: {got:?}, expected {golden:?}");
        }
    }
}

#[test]
fn rounding_the_track_to_f32_changes_hardly_anything() {
    let (exact, rounded) = (golden(), CarRacing::new(1, 1, 1));
    let mut states = [begun(&exact), begun(&rounded)];
    for step in 0..40 {
        for (world, state) in [&exact, &rounded].into_iter().zip(&mut states) {
            world.step(state, &scripted(step), &mut random());
        }
    }
    let [exact, rounded] = states;
    assert!((exact[0] - rounded[0]).abs() < 1e-4 && (exact[1] - rounded[1]).abs() < 1e-4);
    assert_eq!(exact[21..], rounded[21..]);
}

#[test]
fn the_tiles_of_the_reset_are_paid_with_the_first_action() {
    let world = golden();
    let mut state = begun(&world);
    assert_eq!((state[16], state[19]), (1.0, 2.0));
    let first = world.step(&mut state, &[0.0; 3], &mut random()).reward;
    assert!((first - (2000.0 / 266.0 - 0.1)).abs() < 1e-12, "{first}");
    assert!((world.step(&mut state, &[0.0; 3], &mut random()).reward + 0.1).abs() < 1e-12);
}

#[test]
fn a_car_that_leaves_the_field_loses_a_hundred() {
    let world = golden();
    let mut state = begun(&world);
    state[0] = FIELD + 1.0;
    let outcome = world.step(&mut state, &[0.0; 3], &mut random());
    assert_eq!((outcome.reward, outcome.done), (-100.0, true));
}

#[test]
fn the_last_tile_ends_the_episode() {
    let world = golden();
    let mut state = begun(&world);
    // All but the two under the car, and those after one more.
    state[19] = 265.0;
    state[21] = 0.0;
    let outcome = world.step(&mut state, &[0.0; 3], &mut random());
    assert!(outcome.done && outcome.reward > 0.0, "{outcome:?}");
}

#[test]
fn a_car_that_stands_ends_its_episode_early_only_where_that_is_asked() {
    for early_end in [false, true] {
        let world = CarRacing { early_end, ..golden() };
        let mut state = begun(&world);
        let steps = (1..=100).find(|_| world.step(&mut state, &[0.0; 3], &mut random()).done);
        // The first step is rewarded, and 21 are not.
        assert_eq!(steps, early_end.then_some(22));
    }
}

#[test]
fn no_car_moves_further_than_two_units_in_a_step() {
    let world = golden();
    let mut state = begun(&world);
    for _ in 0..300 {
        let before = [state[0], state[1]];
        world.step(&mut state, &[0.0, 1.0, 0.0], &mut random());
        let moved = (state[0] - before[0]).hypot(state[1] - before[1]);
        assert!(moved <= 2.0 + 1e-12, "{moved}");
    }
}

#[test]
fn episodes_take_the_tracks_one_after_the_other() {
    let world = CarRacing::new(1, 1, 3);
    let mut state = vec![0.0; world.states()];
    for episode in 0..7 {
        world.reset(&mut EpisodeRandom::new(5, 6, episode, 0), &mut state);
        assert_eq!(state[17], f64::from(episode % 3));
        let section = &world.tracks()[episode as usize % 3].sections()[0];
        assert!((state[0] - section.place[0]).hypot(state[1] - section.place[1]) < 0.2);
    }
}

#[test]
fn a_race_without_tracks_or_with_too_many_is_refused() {
    let complaint = CarRacing::on([]).check().unwrap_err().to_string();
    assert_eq!(complaint, "car racing: tracks must be 1 to 4096, got 0");
}

fn seen(world: &CarRacing, state: &[f64]) -> Vec<f64> {
    let mut scene = vec![0.0; world.observations()];
    world.observe(state, &mut scene);
    scene
}

fn sum_of_picture(world: &CarRacing, state: &[f64]) -> f64 {
    let scene = seen(world, state);
    let size = world.picture.size;
    let pixels = (0..size * size).map(|pixel| world.pixel(&scene, pixel / size, pixel % size));
    pixels.map(f64::round).sum()
}

/// From the same program as the other goldens, which was compared with the pictures of gym 0.19 and of Gymnasium 1.4.0: the
/// sums of the greys of 96 x 96 pixels.
#[test]
fn pictures_have_the_sums_of_the_reference() {
    let goldens = [(0, 624_045), (1, 900_553), (9, 1_283_514), (49, 1_291_135), (109, 1_223_429), (199, 1_212_762)];
    let world = CarRacing { picture: Picture { zoom_in: true, ..Picture::default() }, ..golden() };
    let mut state = begun(&world);
    for step in 0..200 {
        world.step(&mut state, &scripted(step), &mut random());
        let Some((_, right)) = goldens.iter().find(|(at, _)| *at == step) else { continue };
        assert_eq!(sum_of_picture(&world, &state), f64::from(*right), "step {step}");
    }
}

/// From the same program with the colours of gym 0.19 and the bars of its `render_indicators`: the sums of red, green and blue of
/// the whole picture, and of its lowest eighth.
#[test]
fn pictures_in_colour_have_the_sums_of_the_reference() {
    let goldens = [
        (0, [390_399, 789_055, 391_215], [714, 510, 1_530]),
        (9, [827_146, 1_611_009, 827_452], [1_989, 5_610, 2_805]),
        (109, [835_837, 1_509_885, 829_819], [6_528, 8_670, 5_610]),
        (199, [837_433, 1_490_366, 831_211], [7_038, 7_905, 6_120]),
    ];
    let world = CarRacing { picture: Picture::original(), ..golden() };
    let mut state = begun(&world);
    for step in 0..200 {
        world.step(&mut state, &scripted(step), &mut random());
        let Some((_, whole, lowest)) = goldens.iter().find(|(at, ..)| *at == step) else { continue };
        let scene = seen(&world, &state);
        for (first, right) in [(0, whole), (84, lowest)] {
            let pixels = (96 * first..96 * 96).map(|pixel| world.colour(&scene, pixel / 96, pixel % 96));
            let sums = pixels.fold([0.0; 3], |sums, colour| std::array::from_fn(|i| sums[i] + colour[i]));
            assert_eq!(sums, right.map(f64::from), "step {step} from row {first}");
        }
    }
}

/// From the same program: its driver on the tracks of episodes 0 to 9 of key (1, 1). (On ten tracks of Gymnasium it scores
/// 862 here and 861 in the original.)
#[test]
fn the_driver_scores_as_in_the_reference() {
    let goldens = [913.9, 911.7, 866.049, 901.8, 901.8, 893.243, 906.6, 914.5, 789.231, 896.016];
    for (episode, golden) in (0..).zip(goldens) {
        let world = CarRacing::on([Track::draw(&mut EpisodeRandom::new(1, 1, episode, 0))]);
        let mut state = begun(&world);
        let (mut score, mut steps) = (0.0, 0);
        while steps < world.horizon() {
            let action = world.driver(&seen(&world, &state));
            let outcome = world.step(&mut state, &action, &mut random());
            score += outcome.reward;
            steps += 1;
            if outcome.done {
                break;
            }
        }
        assert!((score - golden).abs() < 1e-3, "episode {episode}: {score}, expected {golden}");
    }
}
