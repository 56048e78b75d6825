//! Students that a teacher's word makes, as a user meets them: what they leave behind, and what plays it.

mod scratch;

use std::fs;

use serde_json::Value;

use scratch::Scratch;

fn run(scratch: &Scratch, line: &str) -> String {
    let mut command = scratch.fourfold();
    let output = command.args(line.split_whitespace()).arg("--quiet").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn results(scratch: &Scratch, folder: &str) -> Value {
    serde_json::from_slice(&fs::read(scratch.0.join(folder).join("results.json")).unwrap()).unwrap()
}

#[test]
fn a_student_of_the_car_race_is_driven_played_and_watched_and_the_same_seed_gives_it_again() {
    let scratch = Scratch::new("imitation-car");
    let line = "neuron drive train --quick --rounds 1 --steps 20 --updates 3 --horizon 10 --seed 3";
    let table = run(&scratch, &format!("{line} --out first"));
    assert!(table.contains("shuffled every 50 steps") && table.contains("(kept)"), "{table}");
    let rounds = results(&scratch, "first")["students"][0]["rounds"].as_array().unwrap().clone();
    assert_eq!(rounds.len(), 2);
    assert_eq!((rounds[0]["score"].clone(), rounds[1]["samples"].clone()), (Value::Null, 160.into()));
    run(&scratch, &format!("{line} --out second"));
    let student = |folder: &str| fs::read(scratch.0.join(folder).join("student-3.safetensors")).unwrap();
    assert!(student("first") == student("second"), "the same seed gave another student");

    let drive = "neuron drive --weights first/student-3.safetensors --episodes 2 --horizon 4";
    run(&scratch, &format!("{drive} --intervals 2 --missing 0.5 --out driven"));
    assert_eq!(results(&scratch, "driven")["rows"].as_array().unwrap().len(), 4);
    let watch = "neuron watch --world car --weights first/student-3.safetensors --every 100 --shuffle-at 100";
    run(&scratch, &format!("{watch} --out watched"));
    for picture in ["episode.png", "still.png"] {
        assert!(fs::read(scratch.0.join("watched").join(picture)).unwrap().starts_with(b"\x89PNG"), "{picture}");
    }
}

#[test]
fn a_student_of_pong_reads_scenes_or_sees_patches_some_of_which_are_missing() {
    let scratch = Scratch::new("imitation-pong");
    let line = "neuron pong --quick --rounds 1 --steps 20 --updates 3 --horizon 10";
    assert!(run(&scratch, &format!("{line} --out scenes")).contains("scenes"));
    assert_eq!(results(&scratch, "scenes")["rows"].as_array().unwrap().len(), 1);
    run(&scratch, &format!("{line} --student pictures --patch 21 --occlusion 0,0.5 --out pictures"));
    assert_eq!(results(&scratch, "pictures")["rows"].as_array().unwrap().len(), 14);
    run(&scratch, "play pictures --quick --every 100 --out film");
    assert!(fs::read(scratch.0.join("film/film.gif")).unwrap().starts_with(b"GIF"));
}
