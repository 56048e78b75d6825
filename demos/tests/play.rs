//! Trained policies at play: what is shipped still scores what its page says, and `fourfold play` as a user runs it.

mod scratch;

use std::fs;
use std::path::Path;

use fourfold::Gpu;
use fourfold::data::{Actions, Checkpoint};
use fourfold::models::SequenceModel;
use fourfold::models::decision_transformer::{DecisionTransformer, HuggingFaceCheckpoint, Settings};
use fourfold_demos::animation;
use fourfold_demos::picture::film::Format;
use fourfold_demos::player::{SHIPPED, Scene, Trained};
use scratch::Scratch;

/// Reads the score that the page states, with the difference that another driver's roundings may make.
fn stated(page: &str, name: &str) -> [f64; 2] {
    let line = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
    let line = line.unwrap_or_else(|| panic!("{name}: no line on the page"));
    let cells: Vec<f64> = line.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
    cells.try_into().unwrap_or_else(|_| panic!("{name}: expected a score and a tolerance in {line}"))
}

#[test]
fn every_shipped_policy_scores_what_its_page_says() {
    const EPISODES: usize = 200;
    const SEED: u64 = 1_000;
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/README.md")).unwrap();
    let gpu = Gpu::open().unwrap();
    let mut wrong = Vec::new();
    for shipped in SHIPPED {
        assert!(shipped.bytes.len() < 200_000, "{}: {} bytes", shipped.name, shipped.bytes.len());
        let trained = Trained::open(Path::new(shipped.name), None).unwrap();
        let mut player = trained.player(gpu.clone(), &Scene::default()).unwrap();
        let score = player.score(EPISODES, SEED).unwrap();
        let [expected, tolerance] = stated(&page, shipped.name);
        if (score - expected).abs() > tolerance {
            wrong.push(format!("{}: {score}, stated {expected}", shipped.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_shipped_policy_has_a_film() {
    let gpu = Gpu::open().unwrap();
    for shipped in SHIPPED {
        let trained = Trained::open(Path::new(shipped.name), None).unwrap();
        let film = trained.player(gpu.clone(), &Scene::default()).unwrap().first(0).unwrap();
        for columns in [79, 100] {
            let lines = film.lines(film.length() / 2, columns, 40, false);
            assert!(lines.len() < film.rows(columns).max(41) && film.rows(columns) <= 30, "{}", shipped.name);
            assert!(lines.iter().all(|line| line.chars().count() == columns), "{}: {lines:#?}", shipped.name);
        }
        let bytes = animation::encode(&*film, Format::Gif, film.length().div_ceil(3), || ()).unwrap();
        assert!(bytes.starts_with(b"GIF89a"), "{}", shipped.name);
    }
}

#[test]
fn a_folder_of_hugging_face_and_a_run_are_played() {
    let scratch = Scratch::new("play-folders");
    let settings = Settings::gym(3, Actions::Continuous(1), 4).sized(8, 1, 1);
    let model = DecisionTransformer::new(settings).unwrap();
    let weights = model.parameters().initial(3);
    let folder = scratch.0.join("run/hugging-face");
    fs::create_dir_all(scratch.0.join("run")).unwrap();
    HuggingFaceCheckpoint::new(model, weights).unwrap().save(&folder).unwrap();
    let preparation =
        r#"{"observation_mean":[0,0,0],"observation_deviation":[1,1,2],"return_scale":4,"targets":[-200],"context":4}"#;
    fs::write(scratch.0.join("run/preparation.json"), preparation).unwrap();
    for (policy, file) in [("run", "film.gif"), ("run/hugging-face", "film.png")] {
        let out = format!("out-{file}");
        let line = ["play", policy, "--quiet", "--every", "100", "--out", &out, "--gif", file];
        let output = scratch.fourfold().args(line).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("A decision transformer: a return of "), "{text}");
        let start: &[u8] = if file.ends_with("gif") { b"GIF89a" } else { b"\x89PNG" };
        assert!(fs::read(scratch.0.join(file)).unwrap().starts_with(start));
    }
}

#[test]
fn what_cannot_be_played_is_refused_with_one_sentence() {
    let scratch = Scratch::new("play-wrong");
    let mut bare = Checkpoint::new();
    bare.set("policy", "linear");
    bare.set("observations", "7");
    bare.set("actions", "1");
    bare.insert("weights", &[8], fourfold::shaders::Data::F32(vec![0.0; 8]));
    bare.save(&scratch.0.join("seven.safetensors")).unwrap();
    fs::create_dir(scratch.0.join("empty")).unwrap();
    for (line, words) in [
        ("nothing", "expected a file, a folder or one of attention-neuron"),
        ("empty", "got no file of weights"),
        ("seven.safetensors", "got 7 observations"),
        ("seven.safetensors --world pendulum", "--world: expected one with 7"),
        ("swimmer --world hopper", "--world: expected one of"),
        ("swimmer --shuffle-at 1000", "--shuffle-at: expected steps from 0 to 999"),
        ("swimmer --noise-channels 2", "--noise-channels: expected an attention neuron"),
        ("digits --shuffle-at 5", "--shuffle-at"),
        ("swimmer --target 5", "--target"),
        ("key-to-door --target NaN", "--target"),
        ("swimmer --every 0", "--every"),
        ("swimmer --gif nowhere/film.gif", "--gif"),
    ] {
        let output = scratch.fourfold().args(["play", "--quiet"]).args(line.split(' ')).output().unwrap();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {sentence}");
        assert!(sentence.lines().count() == 1 && sentence.contains(words), "{line}: {sentence}");
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 2, "{line}");
    }
}
