//! Spoilt folders of runs and trained files: each is read, or refused in one sentence, within the bounds of the library's
//! readers. `cargo xtask fuzz` takes these too.

#[path = "../../../tests/fuzz/allocator.rs"]
mod allocator;
#[path = "../../../tests/fuzz/bounds.rs"]
mod bounds;
#[path = "../../../tests/fuzz/campaign.rs"]
mod campaign;
#[path = "../../../tests/fuzz/mutation.rs"]
mod mutation;
#[path = "../../../tests/fuzz/reader.rs"]
mod reader;

use std::fs;
use std::path::Path;

use bounds::judge;
use fourfold::data::Checkpoint;
use fourfold::shaders::Data;
use fourfold_demos::player::Trained;
use fourfold_demos::run::record::End;
use fourfold_demos::run::{Configuration, Earlier};
use reader::{FILE, Parts, Reader, in_folder, plain, words};
use serde_json::json;

/// The files of a run in progress, with a checkpoint and without.
fn runs() -> Vec<Parts> {
    let configuration = Configuration {
        command: "pes".into(),
        seeds: vec![0, 1],
        settings: json!({ "task": "toy", "iterations": 2000, "rate": 0.01 }),
        ..Configuration::default()
    };
    let mut checkpoint = Checkpoint::new();
    checkpoint.set("settings", json!(configuration).to_string());
    let finished = json!([{ "stage": "seed 0", "outcome": { "loss": 0.5 } }]);
    checkpoint.set("record", json!({ "lines": 2, "finished": finished, "stage": "seed 1" }).to_string());
    checkpoint.insert("theta", &[4], Data::F32(vec![0.5; 4]));
    let end =
        End { unix_time: 1_795_956_134, seconds: 12.5, outcome: "stopped".into(), result: Some("loss 0.5".into()) };
    let text = |value: serde_json::Value| format!("{value:#}\n").into_bytes();
    vec![vec![
        text(json!(configuration)),
        checkpoint.to_bytes(),
        b"{\"step\":1,\"loss\":0.75}\n{\"step\":2,\"loss\":0.5}\n".to_vec(),
        text(json!(end)),
    ]]
}

fn weights() -> Vec<Parts> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights");
    ["pendulum", "cart_pole", "digits", "key_to_door", "shortest_paths", "swing_up"]
        .map(|name| vec![fs::read(folder.join(format!("{name}.safetensors"))).expect("weights of this crate")])
        .into()
}

fn readers() -> Vec<Reader> {
    vec![
        plain("trained", weights(), |files| {
            let file = Checkpoint::from_bytes(FILE, &files[0]).map_err(|error| error.to_string())?;
            words(Trained::read(&file, None))
        }),
        plain("run-folder", runs(), |files| {
            let names = ["config.json", "checkpoint.safetensors", "metrics.jsonl", "end.json"].map(str::to_owned);
            in_folder(&names, files, |folder| {
                // It may be damaged: then the run has no end.
                drop(End::read(folder));
                words(Earlier::open(folder, "pes"))
            })
        }),
    ]
}

#[test]
fn whole_files_are_read() {
    for reader in readers() {
        for seed in &reader.seeds {
            assert_eq!(judge(&reader, &(reader.pack)(seed.clone())), Ok(true), "{:?}", (reader.read)(seed));
        }
    }
    reader::clean();
}

#[test]
fn no_mutated_file_breaks_a_bound_of_its_reader() {
    campaign::run(&readers());
    reader::clean();
}
