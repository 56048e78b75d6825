//! Trajectories from files of every format: the same episodes from each, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use fourfold::data::{Actions, Checkpoint, Error, Format, Trajectories};
use fourfold_shaders::Data;

/// A folder that disappears with its value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("fourfold-trajectories-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/trajectories").join(name)
}

fn load(name: &str) -> (Trajectories, Format) {
    Trajectories::load_with_format(&fixture(name)).unwrap()
}

fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().to_string()
}

/// Episode and step of each step of the fixtures, whose episodes have 3, 1 and 4 steps.
fn steps() -> impl Iterator<Item = (f64, f64)> {
    [3, 1, 4]
        .into_iter()
        .enumerate()
        .flat_map(|(episode, length)| (0..length).map(move |t| (episode as f64, f64::from(t))))
}

/// Two numbers a step, `value` and a hundredth more.
fn pairs(value: impl Fn(f64, f64) -> f64) -> Vec<f32> {
    steps().flat_map(|(e, t)| [value(e, t) as f32, (value(e, t) + 0.01) as f32]).collect()
}

/// Asserts the numbers, which may have been computed or stored in single precision.
fn assert_close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
    }
}

/// The episodes that the script of the fixtures describes, but for their actions.
fn assert_the_episodes(trajectories: &Trajectories) {
    let columns = trajectories.columns();
    assert_eq!(columns.ends, [3, 4, 8]);
    assert_eq!(columns.terminated, [true, false, true]);
    let rewards: Vec<f32> = steps().map(|(e, t)| (t - e / 2.0) as f32).collect();
    assert_eq!(columns.rewards, rewards);
}

fn assert_the_continuous_episodes(trajectories: &Trajectories) {
    assert_the_episodes(trajectories);
    assert_eq!((trajectories.observations(), trajectories.actions()), (2, Actions::Continuous(2)));
    assert_close(&trajectories.columns().observations, &pairs(|e, t| e + t / 10.0));
    assert_close(&trajectories.columns().actions, &pairs(|e, t| (e - t) / 10.0));
}

/// Our own format as bytes.
fn stored(change: impl FnOnce(&mut Checkpoint)) -> Result<(Trajectories, Format), Error> {
    let mut checkpoint = load("imitation.npz").0.checkpoint();
    change(&mut checkpoint);
    Trajectories::from_bytes("stored", checkpoint.to_bytes(), None)
}

mod imitation_files {
    use super::*;

    #[test]
    fn of_continuous_actions_hold_the_episodes_without_their_last_observations() {
        let (trajectories, format) = load("imitation.npz");
        assert_eq!((trajectories.name(), format), ("imitation", Format::Imitation));
        assert_the_continuous_episodes(&trajectories);
    }

    #[test]
    fn of_integers_have_discrete_actions() {
        let (trajectories, _) = load("imitation-discrete.npz");
        assert_the_episodes(&trajectories);
        assert_eq!(trajectories.actions(), Actions::Discrete(3));
        let choices: Vec<f32> = steps().map(|(e, t)| ((e + t) % 3.0) as f32).collect();
        assert_eq!(trajectories.columns().actions, choices);
    }

    #[test]
    fn of_the_pendulum_expert_have_the_known_returns() {
        let (trajectories, _) = load("experts/pendulum.npz");
        assert_eq!((trajectories.episodes(), trajectories.steps()), (56, 11_200));
        assert_eq!((trajectories.observations(), trajectories.actions()), (3, Actions::Continuous(1)));
        let returns = trajectories.returns();
        let (least, most) = returns.iter().fold((0.0, f64::MIN), |(a, b): (f64, f64), &r| (a.min(r), b.max(r)));
        let mean = returns.iter().sum::<f64>() / 56.0;
        assert!((least + 548.1).abs() < 0.1 && (most + 0.5).abs() < 0.1 && (mean + 189.4).abs() < 0.1);
        // Every observation is the cosine and sine of an angle first: a wrong cut between episodes would not show in
        // this, but a wrong row would.
        let circle = |step| trajectories.observation(step)[..2].iter().map(|x| x * x).sum::<f32>();
        assert!((0..trajectories.steps()).all(|step| (circle(step) - 1.0).abs() < 1e-5));
        // The pendulum starts within one radian a second; behind a wrong cut it would mostly be faster or standing.
        assert!(trajectories.ranges().all(|range| trajectories.observation(range.start)[2].abs() <= 1.0));
    }

    #[test]
    fn of_the_cart_pole_expert_have_the_known_returns() {
        let (trajectories, _) = load("experts/cartpole.npz");
        assert_eq!((trajectories.episodes(), trajectories.steps()), (57, 26_964));
        assert_eq!((trajectories.observations(), trajectories.actions()), (4, Actions::Discrete(2)));
        // CartPole starts within 0.05 of zero everywhere.
        let start = |range: std::ops::Range<usize>| trajectories.observation(range.start);
        assert!(trajectories.ranges().all(|range| start(range).iter().all(|x| x.abs() <= 0.05)));
        let returns = trajectories.returns();
        assert!(returns.iter().all(|total| (393.0..=500.0).contains(total)));
    }

    #[test]
    fn that_lack_an_array_are_refused_with_what_there_is() {
        let bytes = fs::read(fixture("../numpy/stored.npz")).unwrap();
        let error = message(Trajectories::from_bytes("weights.npz", bytes, None));
        assert_eq!(error, "weights.npz: expected an array `obs`, got `params`");
    }
}

mod files_of_our_own {
    use super::*;

    #[test]
    fn hold_name_columns_and_notes_after_saving_and_loading() {
        let folder = Folder::new("own");
        for name in ["imitation.npz", "imitation-discrete.npz"] {
            let mut written = load(name).0.named("mine");
            written.set_note("seed", "7");
            written.set_note("policy", "medium");
            let path = folder.0.join("set.safetensors");
            written.save(&path).unwrap();
            assert_eq!(Trajectories::load_with_format(&path).unwrap(), (written, Format::Fourfold));
        }
    }

    #[test]
    fn of_another_kind_are_refused() {
        let error = message(stored(|checkpoint| checkpoint.set("format", "model")));
        assert_eq!(error, "stored: expected a checkpoint with format `fourfold trajectories`, got `model`");
        let error = message(Trajectories::from_bytes("empty", Checkpoint::new().to_bytes(), None));
        assert_eq!(error, "empty: expected an entry `format` in the metadata, got none");
    }

    #[test]
    fn whose_lengths_disagree_are_refused_with_the_tensor() {
        let error = message(stored(|checkpoint| checkpoint.insert("rewards", &[7], Data::F32(vec![0.0; 7]))));
        assert_eq!(error, "stored: tensor `rewards`: expected F32 of shape [8], got F32 of shape [7]");
        let error = message(stored(|checkpoint| checkpoint.insert("ends", &[3], Data::U32(vec![3, 4, 9]))));
        assert_eq!(error, "stored: tensor `observations`: expected 9 steps of 2, 18 numbers, got 16");
        let error = message(stored(|checkpoint| checkpoint.insert("observations", &[0, 1 << 62], Data::F32(vec![]))));
        assert!(error.starts_with("stored: "), "{error}");
    }

    #[test]
    fn that_speak_of_impossible_choices_are_refused() {
        let error = message(stored(|checkpoint| checkpoint.set("choices", "many")));
        assert_eq!(error, "stored: expected a number of `choices` in the metadata, got `many`");
        let error = message(stored(|checkpoint| checkpoint.set("choices", usize::MAX.to_string())));
        assert!(error.starts_with("stored: "), "{error}");
    }
}

#[cfg(feature = "hdf5")]
mod d4rl_files {
    use super::*;

    #[test]
    fn hold_the_episodes_without_the_unfinished_tail() {
        let (trajectories, format) = load("d4rl.hdf5");
        assert_eq!((trajectories.name(), format), ("d4rl", Format::D4rl));
        assert_the_continuous_episodes(&trajectories);
        let notes = trajectories.notes();
        assert_eq!(notes["algorithm"], "SAC");
        assert_eq!(notes["steps of an unfinished episode, left out"], "2");
    }

    #[test]
    fn without_timeouts_are_cut_every_thousand_steps() {
        let (trajectories, _) = load("d4rl-old.hdf5");
        assert_eq!(trajectories.columns().ends, [2, 1002]);
        assert_eq!(trajectories.columns().terminated, [true, false]);
        assert_eq!((trajectories.observations(), trajectories.actions()), (1, Actions::Discrete(2)));
        assert_eq!(trajectories.observation(1001), [0.0]);
        assert_eq!(trajectories.returns(), [2.0, 1000.0]);
    }
}

#[cfg(feature = "hdf5")]
mod minari_folders {
    use super::*;

    #[test]
    fn hold_the_episodes_and_their_metadata() {
        for path in ["minari", "minari/data", "minari/data/main_data.hdf5"] {
            let (trajectories, format) = load(path);
            assert_eq!((trajectories.name(), format), ("fixture/minari-v0", Format::Minari));
            assert_the_continuous_episodes(&trajectories);
            assert_eq!(trajectories.notes()["algorithm_name"], "formula");
            assert_eq!(trajectories.notes()["minari_version"], "0.5.4");
        }
    }

    #[test]
    fn of_dictionaries_have_their_arrays_in_the_order_of_names_and_choices_from_the_space() {
        let (trajectories, _) = load("minari-dictionary");
        assert_the_episodes(&trajectories);
        assert_eq!((trajectories.observations(), trajectories.actions()), (3, Actions::Discrete(4)));
        // `goal` stands before `position`.
        assert_close(trajectories.observation(5), &[9.0, 2.1, 2.11]);
        let choices: Vec<f32> = steps().map(|(e, t)| ((e + t) % 3.0) as f32).collect();
        assert_eq!(trajectories.columns().actions, choices);
    }

    #[test]
    fn of_tuples_have_their_elements_in_the_order_of_their_numbers() {
        let (trajectories, format) = load("minari-tuple.hdf5");
        assert_eq!((format, trajectories.observations()), (Format::Minari, 12));
        let expected: Vec<f32> = (0..12).map(|element| element as f32).collect();
        assert!((0..trajectories.steps()).all(|step| trajectories.observation(step) == expected));
    }

    #[test]
    fn whose_metadata_begin_with_a_byte_order_mark_are_read() {
        let folder = Folder::new("mark");
        let metadata = fs::read(fixture("minari/data/metadata.json")).unwrap();
        fs::write(folder.0.join("metadata.json"), [b"\xef\xbb\xbf", &metadata[..]].concat()).unwrap();
        fs::copy(fixture("minari/data/main_data.hdf5"), folder.0.join("main_data.hdf5")).unwrap();
        assert_eq!(Trajectories::load(&folder.0).unwrap(), load("minari").0);
    }

    /// The bytes of the fixture with metadata in which one text is another.
    fn with_metadata(from: &str, to: &str) -> Result<(Trajectories, Format), Error> {
        let metadata = fs::read_to_string(fixture("minari/data/metadata.json")).unwrap();
        assert!(metadata.contains(from));
        let bytes = fs::read(fixture("minari/data/main_data.hdf5")).unwrap();
        Trajectories::from_bytes("set", bytes, Some(&metadata.replace(from, to)))
    }

    #[test]
    fn whose_metadata_disagrees_are_refused() {
        let error = message(with_metadata("\"total_steps\": 8", "\"total_steps\": 9"));
        assert_eq!(error, "set: expected total_steps 9, as the metadata says, got 8");
        let error = message(with_metadata("\"total_episodes\": 3", "\"total_episodes\": 4"));
        assert_eq!(error, "set: expected total_episodes 4, as the metadata says, got 3");
        let error = message(with_metadata("\"action_space\": \"{", "\"action_space\": \"Box{"));
        assert!(error.starts_with("set: expected JSON of a space as action_space in the metadata, got "), "{error}");
        let error = message(with_metadata("\"hdf5\"", "\"arrow\""));
        assert_eq!(error, "set: expected data_format `hdf5` in metadata.json, got `arrow`");
        let error = message(with_metadata("{\"total_episodes\"", "[\"total_episodes\""));
        assert!(error.starts_with("set: expected JSON in metadata.json beside it, got "), "{error}");
    }

    #[test]
    fn without_metadata_are_read_from_their_episodes_alone() {
        let bytes = fs::read(fixture("minari/data/main_data.hdf5")).unwrap();
        let (trajectories, format) = Trajectories::from_bytes("episodes.hdf5", bytes, None).unwrap();
        assert_eq!(format, Format::Minari);
        assert_the_continuous_episodes(&trajectories);
    }
}

mod names {
    use super::*;

    #[test]
    fn have_no_control_characters() {
        let (trajectories, _) = load("imitation.npz");
        let bytes = trajectories.named("a\n\u{1b}[31mb").checkpoint().to_bytes();
        assert_eq!(Trajectories::from_bytes("set", bytes, None).unwrap().0.name(), r"a\n\u{1b}[31mb");
    }
}

mod folders {
    use super::*;

    #[test]
    fn with_one_file_stand_for_it_and_others_are_refused() {
        let folder = Folder::new("folders");
        let error = message(Trajectories::load(&folder.0));
        assert!(
            error.ends_with("expected main_data.hdf5 or one .hdf5, .npz or .safetensors file, got none"),
            "{error}"
        );
        fs::copy(fixture("imitation.npz"), folder.0.join("a.npz")).unwrap();
        assert_eq!(Trajectories::load(&folder.0).unwrap().name(), "a");
        fs::copy(fixture("imitation.npz"), folder.0.join("b.npz")).unwrap();
        let error = message(Trajectories::load(&folder.0));
        assert!(error.ends_with("got a.npz, b.npz"), "{error}");
    }

    #[test]
    fn that_are_not_there_are_named() {
        let error = message(Trajectories::load(&fixture("nowhere")));
        assert!(error.starts_with("cannot read ") && error.contains("nowhere"), "{error}");
    }
}

mod damaged_files {
    use super::*;

    /// All fixtures as bytes, the smallest of each kind.
    fn fixtures() -> Vec<(&'static str, Vec<u8>)> {
        let mut fixtures = vec![
            ("imitation.npz", fs::read(fixture("imitation.npz")).unwrap()),
            ("imitation-discrete.npz", fs::read(fixture("imitation-discrete.npz")).unwrap()),
            ("stored", load("imitation-discrete.npz").0.checkpoint().to_bytes()),
        ];
        if cfg!(feature = "hdf5") {
            for name in
                ["d4rl.hdf5", "d4rl-old.hdf5", "minari/data/main_data.hdf5", "minari-dictionary/data/main_data.hdf5"]
            {
                fixtures.push((name, fs::read(fixture(name)).unwrap()));
            }
        }
        fixtures
    }

    /// Places to spoil: all of a short file, and about 3,000 of a long one.
    fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
        (0..bytes.len()).step_by(1 + bytes.len() / 3000)
    }

    #[test]
    fn cut_anywhere_are_refused_with_the_file() {
        for (name, bytes) in fixtures() {
            for length in places(&bytes) {
                let error = message(Trajectories::from_bytes(name, bytes[..length].to_vec(), None));
                assert!(error.starts_with(&format!("{name}: ")), "{length}: {error}");
            }
        }
    }

    #[test]
    fn with_a_flipped_byte_are_read_or_refused_and_never_panic() {
        for (name, bytes) in fixtures() {
            for place in places(&bytes) {
                for flip in [0x01, 0x80, 0xff] {
                    let mut spoilt = bytes.clone();
                    spoilt[place] ^= flip;
                    if let Err(error) = Trajectories::from_bytes(name, spoilt, None) {
                        assert!(error.to_string().starts_with(&format!("{name}: ")), "{place}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn with_a_flipped_byte_in_an_archive_never_pass_for_other_episodes() {
        let (name, bytes) = fixtures().swap_remove(0);
        let (whole, _) = Trajectories::from_bytes(name, bytes.clone(), None).unwrap();
        for place in 0..bytes.len() {
            let mut spoilt = bytes.clone();
            spoilt[place] ^= 0x55;
            if let Ok((read, _)) = Trajectories::from_bytes(name, spoilt, None) {
                assert_eq!(read, whole, "byte {place}");
            }
        }
    }
}

#[cfg(feature = "hdf5")]
mod bad_hdf5_files {
    use super::*;

    fn refusal(name: &str) -> String {
        let bytes = fs::read(fixture("bad").join(name)).unwrap();
        message(Trajectories::from_bytes(name, bytes, None))
    }

    #[test]
    fn with_numbers_that_are_not_finite_are_refused_with_array_and_row() {
        let error = refusal("nan.hdf5");
        assert_eq!(error, "nan.hdf5: tensor `observations`: expected finite numbers, got NaN in row 5");
        let error = refusal("infinite-reward.hdf5");
        assert_eq!(error, "infinite-reward.hdf5: tensor `rewards`: expected finite numbers, got inf in row 7");
        let error = refusal("minari-nan.hdf5");
        assert_eq!(error, "minari-nan.hdf5: tensor `episode_1/rewards`: expected finite numbers, got NaN in row 2");
    }

    #[test]
    fn that_lack_an_array_are_refused_with_what_there_is() {
        let error = refusal("no-actions.hdf5");
        let found = "`observations`, `rewards`, `terminals`, `timeouts`";
        assert_eq!(error, format!("no-actions.hdf5: expected an array `actions`, got {found}"));
        let error = refusal("minari-no-truncations.hdf5");
        assert!(error.starts_with("minari-no-truncations.hdf5: expected an array `episode_0/truncations`, got "));
    }

    #[test]
    fn that_link_to_another_file_are_refused_with_its_name() {
        for name in ["timeouts-elsewhere.hdf5", "timeouts-behind-links.hdf5"] {
            let sentence = "tensor `timeouts`: expected data in this file, got a link to the file `other.hdf5`";
            assert_eq!(refusal(name), format!("{name}: {sentence}"));
        }
        let error = refusal("minari-tuple-elsewhere.hdf5");
        assert!(
            error
                .ends_with("`episode_1/observations`: expected data in this file, got a link to the file `other.hdf5`")
        );
    }

    #[test]
    fn with_something_else_in_place_of_an_optional_array_are_refused() {
        let error = refusal("timeouts-as-group.hdf5");
        assert_eq!(error, "timeouts-as-group.hdf5: tensor `timeouts`: expected an array, got a group");
    }

    #[test]
    fn of_tuples_that_lack_an_element_are_refused() {
        let error = refusal("minari-tuple-gap.hdf5");
        let sentence = "tensor `episode_0/observations`: expected `_index_2` of a tuple, got `_index_3`";
        assert_eq!(error, format!("minari-tuple-gap.hdf5: {sentence}"));
    }

    #[test]
    fn of_observations_with_a_link_to_nowhere_are_refused() {
        for (name, links) in [("few", 2), ("many", 12), ("old", 2)] {
            let file = format!("minari-nowhere-{name}.hdf5");
            let sentence = format!("expected {links} links to groups and arrays, got 1 that lead nowhere");
            assert_eq!(refusal(&file), format!("{file}: tensor `episode_1/observations`: {sentence}"));
        }
    }

    #[test]
    fn are_quoted_without_control_characters() {
        let error = refusal("control-characters.hdf5");
        assert!(error.starts_with("control-characters.hdf5: expected an array `observations`, got "), "{error}");
        assert!(error.contains(r"`a\nb\u{1b}[31m`") && !error.contains(char::is_control), "{error}");
    }

    #[test]
    fn that_claim_more_than_they_can_hold_are_refused_with_the_shape() {
        let error = refusal("sparse.hdf5");
        let (start, end) = ("sparse.hdf5: tensor `rewards`: expected at most ", ", got shape [200000000]");
        assert!(error.starts_with(start) && error.ends_with(end), "{error}");
    }

    #[test]
    fn whose_lengths_disagree_are_refused_with_the_array() {
        let error = refusal("short.hdf5");
        assert_eq!(error, "short.hdf5: tensor `actions`: expected 8 rows, as many as there are rewards, got 7");
        let error = refusal("minari-no-last-observation.hdf5");
        let sentence = "tensor `episode_1/observations`: expected 4 rows, one more than there are rewards, got 3";
        assert_eq!(error, format!("minari-no-last-observation.hdf5: {sentence}"));
        let error = refusal("minari-total.hdf5");
        let sentence = "tensor `episode_1/rewards`: expected 4 rows, as the attribute total_steps says, got 3";
        assert_eq!(error, format!("minari-total.hdf5: {sentence}"));
    }

    #[test]
    fn of_wrong_shapes_and_types_are_refused_with_the_array() {
        let error = refusal("wide-rewards.hdf5");
        assert_eq!(error, "wide-rewards.hdf5: tensor `rewards`: expected one number a row, got 2");
        let error = refusal("single.hdf5");
        assert_eq!(error, "single.hdf5: tensor `rewards`: expected an array, got a single value");
        let error = refusal("texts.hdf5");
        assert!(error.starts_with("texts.hdf5: tensor `observations`: expected numbers, got "), "{error}");
        let error = refusal("minari-wider-actions.hdf5");
        let expected = "2 observations and 2 floats as actions, as in the first episode";
        let got = "2 observations and 3 floats as actions";
        assert_eq!(error, format!("minari-wider-actions.hdf5: tensor `episode_1`: expected {expected}, got {got}"));
    }

    #[test]
    fn with_choices_below_zero_are_refused_with_the_row() {
        let error = refusal("negative-choice.hdf5");
        let expected = "numbers of choices from 0 to 65535";
        assert_eq!(error, format!("negative-choice.hdf5: tensor `actions`: expected {expected}, got -1 in row 7"));
    }

    #[test]
    fn without_the_end_of_any_episode_are_refused() {
        let error = refusal("endless.hdf5");
        let expected = "an episode that ends (`terminals`, `timeouts`)";
        assert_eq!(error, format!("endless.hdf5: expected {expected}, got none in 8 steps"));
    }
}
