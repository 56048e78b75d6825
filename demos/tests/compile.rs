//! `fourfold compile` with Mesa's driver for AMD, whose devices need no GPU.

use std::process::{Command, Output};
use std::sync::OnceLock;

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

/// Every kernel for NAVI21, if there is a driver for it, and by every other compiler at hand, once for all tests.
fn everything() -> &'static Output {
    static OUTPUT: OnceLock<Output> = OnceLock::new();
    OUTPUT.get_or_init(|| compile(&["--json", "--chip", if no_driver() { "none" } else { "navi21" }]))
}

#[test]
fn every_pipeline_that_gpus_get_keeps_the_rules_on_navi21_or_is_known_not_to() {
    let output = everything();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(no_driver() || text.contains("\"chip\": \"navi21\""), "{text}");
}

#[test]
fn the_large_tiles_of_a_product_multiply_and_add_in_most_instructions() {
    if no_driver() {
        return;
    }
    let output = compile(&["--kernel", "matmul_tile", "--chip", "navi10,navi21", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = json["rows"].as_array().expect("rows");
    let is_large = |constants: &str| constants.contains("BLOCK_COLUMNS=8 BLOCK_ROWS=8");
    let large = rows.iter().filter(|row| row["constants"].as_str().is_some_and(is_large));
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
fn every_compiler_at_hand_accepts_every_variant() {
    let output = everything();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for judge in json["judges"].as_array().expect("judges") {
        let name = &judge["judge"];
        if judge["at_hand"] == false {
            println!("NOT CHECKED: {name} is not on the PATH");
            continue;
        }
        assert!(judge["variants"].as_u64() > Some(100), "{judge}");
        assert_eq!(judge["refused"], serde_json::json!([]), "{name} refuses variants");
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_named_as_dxc_is_a_program_or_its_library() {
    let text = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("libdxcompiler.so");
    std::fs::write(&text, "no library").unwrap();
    for path in ["nowhere", text.to_str().unwrap()] {
        let output = compile(&["--chip", "none", "--kernel", "argmax", "--dxc", path]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("--dxc: expected the program `dxc` or the library libdxcompiler"), "{text}");
    }
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
