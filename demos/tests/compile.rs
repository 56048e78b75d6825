//! `fourfold compile` with Mesa's driver for AMD, whose devices need no GPU.

use std::process::{Command, Output};

fn compile(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_fourfold");
    Command::new(program).args(["compile", "--quiet"]).args(arguments).output().expect("the command runs")
}

/// Returns true if there is no such driver, and says so; on Linux with Mesa there is one.
fn no_driver() -> bool {
    let mesa = std::path::Path::new("/usr/share/vulkan/icd.d").join("radeon_icd.x86_64.json");
    let lavapipe = mesa.with_file_name("lvp_icd.x86_64.json");
    assert!(mesa.is_file() || !lavapipe.is_file(), "Mesa is installed without its driver for AMD");
    if !mesa.is_file() {
        println!("NOT CHECKED: no Vulkan driver for AMD, which compiles without a GPU (Mesa has one)");
    }
    !mesa.is_file()
}

#[test]
fn every_pipeline_that_gpus_get_keeps_the_rules_on_navi21_or_is_known_not_to() {
    if no_driver() {
        return;
    }
    let output = compile(&["--chip", "navi21"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("navi21"), "{text}");
}

#[test]
fn the_large_tiles_of_a_product_multiply_and_add_in_most_instructions() {
    if no_driver() {
        return;
    }
    let output = compile(&["--kernel", "matmul_tile", "--chip", "navi10,navi21", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = json["rows"].as_array().expect("rows");
    let large = rows.iter().filter(|row| row["constants"].as_str().unwrap_or_default().contains("BLOCK=8"));
    let mut seen = 0;
    for row in large {
        let compiled = &row["outcome"]["compiled"];
        let number = |value: &serde_json::Value| value.as_f64().expect("a number");
        let hot_loop = &compiled["hot_loop"];
        let share = number(&hot_loop["multiply_adds"]) / number(&hot_loop["instructions"]);
        assert!(share >= 0.87, "{row}");
        assert!(number(&compiled["statistics"]["waves"]) >= 8.0, "{row}");
        seen += 1;
    }
    assert!(seen >= 4, "the tiles of 64 and 128 on both chips, got {seen} rows");
}

#[test]
fn a_chip_that_the_driver_does_not_know_is_wrong_input() {
    if no_driver() {
        return;
    }
    let output = compile(&["--kernel", "argmax", "--chip", "frob"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--chip frob"), "{text}");
}

#[test]
fn a_driver_that_is_not_there_is_wrong_input() {
    let output = compile(&["--driver", "nowhere.json"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--driver: expected a manifest"), "{text}");
}
