//! `fourfold sam` as a user runs it: what it leaves behind, what it refuses, and that resuming gives the same bits.

mod scratch;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use fourfold::data::{Checkpoint, digits};
use fourfold::models::TrainedClassifier;
use fourfold::shaders::Data;
use serde_json::Value;

use scratch::Scratch;

/// `fourfold sam` in a folder of its own.
fn sam(scratch: &Scratch, arguments: &str) -> Command {
    let mut command = scratch.fourfold();
    command.arg("sam").arg("--quiet").args(arguments.split_whitespace());
    command
}

fn succeeds(scratch: &Scratch, arguments: &str) -> Output {
    let output = sam(scratch, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Every file below a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // An empty folder counts too.
            files.insert(path.clone(), Vec::new());
            files.extend(contents(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Asserts that the input is refused with exit code 2 and one sentence that holds `words`, and that all files are as
/// they were.
fn refused(scratch: &Scratch, arguments: &str, words: &[&str]) {
    let before = contents(&scratch.0);
    let output = sam(scratch, arguments).output().unwrap();
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {sentence}");
    assert_eq!(sentence.lines().count(), 1, "{arguments}: {sentence}");
    for word in words {
        assert!(sentence.contains(word), "{arguments}: no `{word}` in: {sentence}");
    }
    assert!(output.stdout.is_empty(), "{arguments}");
    assert!(contents(&scratch.0) == before, "{arguments}: something was left behind or changed");
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_run_leaves_its_configuration_metrics_results_networks_and_pictures() {
    let scratch = Scratch::new("run");
    succeeds(&scratch, "--model mlp:8 --seeds 1 --seed 3 --epochs 2 --lanczos 3 --out run");
    let run = scratch.0.join("run");
    let mut names: Vec<_> = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "accuracy.png",
            "checkpoint.safetensors",
            "config.json",
            "end.json",
            "loss.png",
            "metrics.jsonl",
            "report.md",
            "results.json",
            "sam-3.safetensors",
            "sgd-3.safetensors"
        ]
    );
    assert_eq!(json(&run.join("config.json"))["settings"]["model"], "mlp:8");
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let rows: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let epochs: Vec<_> =
        rows.iter().map(|row| (row["method"].as_str().unwrap(), row["epoch"].as_u64().unwrap())).collect();
    assert_eq!(epochs, [("SGD", 1), ("SGD", 2), ("SAM", 1), ("SAM", 2)]);
    let trainings = json(&run.join("results.json"))["trainings"].clone();
    assert_eq!(trainings[1]["eigenvalues"].as_array().unwrap().len(), 3);
    assert!(fs::read_to_string(run.join("report.md")).unwrap().contains("| SAM |"));
    for picture in ["accuracy.png", "loss.png"] {
        assert!(fs::read(run.join(picture)).unwrap().starts_with(b"\x89PNG"));
    }

    // The network is there to be used: it takes the digits and knows how they were standardised.
    let trained = TrainedClassifier::load(&run.join("sam-3.safetensors")).unwrap();
    assert_eq!((trained.classifier.image_shape(), trained.classifier.classes()), ([8, 8].into(), 10));
    let mean: f32 = trained.standardisation.mean.iter().sum::<f32>() / 64.0;
    let all = digits();
    let overall = all.images().iter().sum::<f32>() / all.images().len() as f32;
    assert!((mean - overall).abs() < 0.01, "{mean} for {overall}");
    assert_ne!(trained.weights, trained.classifier.parameters().initial(3));
}

#[test]
fn wrong_flags_and_values_are_refused_by_name() {
    let scratch = Scratch::new("flags");
    for (arguments, words) in [
        ("--frobnicate", &["--frobnicate"][..]),
        ("--model cmn", &["--model", "`vit`", "`cmn`"]),
        ("--model mlp:99999999999", &["--model", "16384", "`mlp:99999999999`"]),
        ("--data cifar", &["--data", "digits", "cifar"]),
        ("--label-noise 1.5", &["--label-noise", "less than 1", "1.5"]),
        ("--label-noise NaN", &["--label-noise", "NaN"]),
        ("--rho -1", &["--rho", "-1"]),
        ("--epochs 0", &["--epochs: expected 1 to ", "got 0"]),
        ("--batch 0", &["--batch: expected 1 to ", "got 0"]),
        ("--batch 100000", &["--batch", "1438", "100000"]),
        ("--batch 64 --chunks 7", &["--chunks", "64", "7"]),
    ] {
        refused(&scratch, arguments, words);
    }
}

#[test]
fn wrong_files_are_refused_by_name() {
    let scratch = Scratch::new("files");
    refused(&scratch, "--data mnist --data-dir nowhere", &["nowhere"]);

    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/fashion-mnist");
    let folder = scratch.0.join("data/fashion-mnist");
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let images = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let images = images.into_iter().find(|path| path.to_string_lossy().contains("train-images")).unwrap();
    let whole = fs::read(&images).unwrap();
    fs::write(&images, &whole[..whole.len() / 2]).unwrap();
    let name = images.file_name().unwrap().to_str().unwrap();
    refused(&scratch, "--data fashion-mnist", &[name, "expected", "got"]);

    fs::write(&images, &whole).unwrap();
    let labels = folder.join("train-labels-idx1-ubyte");
    let mut bytes = vec![0, 0, 8, 1, 0, 0, 0, 200];
    bytes.extend([3; 150]);
    bytes.extend([10; 50]);
    fs::write(&labels, bytes).unwrap();
    refused(&scratch, "--data fashion-mnist", &["train-labels-idx1-ubyte", "labels below 10", "10 at index 150"]);
}

/// Writes CIFAR-10 in its binary version, `images` in each file, whose labels are the brightness.
fn write_cifar(folder: &Path, images: usize) {
    fs::create_dir_all(folder).unwrap();
    let names = (1..=5).map(|index| format!("data_batch_{index}.bin")).chain(["test_batch.bin".to_owned()]);
    for (file, name) in names.enumerate() {
        let image = |index: usize| {
            let label = ((file + index) % 10) as u8;
            std::iter::once(label).chain((0..3072).map(move |place| 20 * label + (place % 7) as u8))
        };
        fs::write(folder.join(name), (0..images).flat_map(image).collect::<Vec<u8>>()).unwrap();
    }
}

#[test]
fn coloured_images_of_cifar_are_learnt_and_the_network_says_that_they_are_coloured() {
    let scratch = Scratch::new("cifar");
    let folder = scratch.0.join("data/cifar-10-batches-bin");
    refused(&scratch, "--data cifar-10", &["cifar-10-batches-bin", "tar xzf cifar-10-binary.tar.gz", "--data digits"]);
    write_cifar(&folder, 4);
    let small = "--data cifar-10 --model resnet:8,2 --seeds 1 --epochs 1 --batch 10 --lanczos 0";
    succeeds(&scratch, &format!("{small} --out run"));
    let trained = TrainedClassifier::load(&scratch.0.join("run/sam-0.safetensors")).unwrap();
    assert_eq!((trained.classifier.image_shape(), trained.classifier.classes()), ([32, 32, 3].into(), 10));

    let batch = folder.join("data_batch_3.bin");
    let whole = fs::read(&batch).unwrap();
    fs::write(&batch, &whole[..whole.len() / 2]).unwrap();
    refused(&scratch, small, &["data_batch_3.bin", "expected 4 images, as in", "data_batch_1.bin", "got 2"]);
    fs::write(&batch, &whole[1..]).unwrap();
    refused(&scratch, small, &["data_batch_3.bin", "3073 bytes", "12291"]);
    fs::remove_file(&batch).unwrap();
    refused(&scratch, small, &["data_batch_3.bin"]);
}

#[test]
fn a_place_that_cannot_take_the_run_is_refused() {
    let scratch = Scratch::new("place");
    fs::write(scratch.0.join("file"), "precious").unwrap();
    // A folder below a file is refused to everyone, one without rights not to an administrator.
    refused(&scratch, "--epochs 1 --model mlp:8 --out file/deeper", &["file/deeper"]);
    refused(&scratch, "--epochs 1 --model mlp:8 --out .", &["new or empty folder"]);
}

#[test]
fn what_cannot_be_resumed_is_refused_and_left_alone() {
    let scratch = Scratch::new("resume");
    refused(&scratch, "--resume nowhere", &["nowhere"]);
    fs::create_dir(scratch.0.join("empty")).unwrap();
    refused(&scratch, "--resume empty", &["empty", "checkpoint.safetensors"]);

    succeeds(&scratch, "--model mlp:8 --seeds 1 --epochs 1 --lanczos 0 --out run");
    refused(&scratch, "--resume run --model vit", &["run: --model", "`vit`", "`mlp:8`"]);
    refused(&scratch, "--resume run --data mnist", &["run: --data", "mnist", "digits"]);

    let path = scratch.0.join("run/checkpoint.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in [0, 4, 100, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        refused(&scratch, "--resume run", &["checkpoint.safetensors", "expected", &length.to_string()]);
    }
    fs::copy(scratch.0.join("run/sam-0.safetensors"), &path).unwrap();
    refused(&scratch, "--resume run", &["checkpoint.safetensors", "settings"]);

    // The state of another network, under settings that name this one.
    let mut foreign = Checkpoint::from_bytes("whole", &whole).unwrap();
    let settings = foreign.get("settings").unwrap().replace("mlp:8", "mlp:9");
    foreign.set("settings", settings);
    let record: Value = serde_json::from_str(foreign.get("record").unwrap()).unwrap();
    let (lines, stage) = (&record["lines"], &record["stage"]);
    let unfinished = serde_json::json!({ "lines": lines, "finished": [record["finished"][0]], "stage": stage });
    foreign.set("record", unfinished.to_string());
    foreign.save(&path).unwrap();
    // A finished run would be left alone.
    fs::remove_file(scratch.0.join("run/results.json")).unwrap();
    refused(&scratch, "--resume run", &["checkpoint.safetensors", "training.", "expected"]);
}

#[test]
fn a_run_that_was_killed_and_resumed_ends_in_the_same_bits() {
    const EPOCHS: usize = 12;
    let scratch = Scratch::new("killed");
    let arguments = format!("--model mlp:8 --seeds 1 --lanczos 3 --label-noise 0.2 --epochs {EPOCHS} --out");
    succeeds(&scratch, &format!("{arguments} whole"));

    let epochs = |folder: &str| {
        let checkpoint = Checkpoint::load(&scratch.0.join(folder).join("checkpoint.safetensors")).ok()?;
        let record: Value = serde_json::from_str(checkpoint.get("record").unwrap()).unwrap();
        Some(record["lines"].as_u64().unwrap() as usize)
    };
    // In the midst of SGD's training, then in the midst of SAM's.
    let mut child = sam(&scratch, &format!("{arguments} broken")).stdout(Stdio::null()).spawn().unwrap();
    for (least, range) in [(3, 3..EPOCHS), (EPOCHS + 3, EPOCHS + 3..2 * EPOCHS)] {
        while epochs("broken").is_none_or(|epochs| epochs < least) {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before {least} epochs");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let done = epochs("broken").unwrap();
        assert!(range.contains(&done), "killed after {done} epochs, meant to be in {range:?}");
        child = sam(&scratch, "--resume broken").stdout(Stdio::null()).spawn().unwrap();
    }
    assert!(child.wait().unwrap().success());

    for file in ["checkpoint.safetensors", "sgd-0.safetensors", "sam-0.safetensors", "metrics.jsonl"] {
        let [whole, broken] = ["whole", "broken"].map(|folder| fs::read(scratch.0.join(folder).join(file)).unwrap());
        assert!(whole == broken, "{file} differs");
    }
    let trainings = |folder: &str| json(&scratch.0.join(folder).join("results.json"))["trainings"].clone();
    assert_eq!(trainings("whole"), trainings("broken"));
}

#[test]
fn a_run_that_was_killed_before_its_first_checkpoint_resumes_from_its_configuration() {
    let scratch = Scratch::new("configured");
    let arguments = "--model mlp:8 --seeds 1, --lanczos 0 --epochs 2 --out";
    succeeds(&scratch, &format!("{arguments} whole"));
    fs::create_dir(scratch.0.join("killed")).unwrap();
    fs::copy(scratch.0.join("whole/config.json"), scratch.0.join("killed/config.json")).unwrap();
    fs::write(scratch.0.join("killed/metrics.jsonl"), "{\"an epoch\": \"without a checkpoint\"}\n{\"half").unwrap();
    fs::write(scratch.0.join("killed/.checkpoint.safetensors.17.part"), "half").unwrap();
    succeeds(&scratch, "--resume killed");
    let files = |folder: &str| {
        let mut files = contents(&scratch.0.join(folder));
        // They tell the time of a step, or of the whole.
        files.retain(|path, _| !["results.json", "report.md", "end.json"].iter().any(|name| path.ends_with(name)));
        let files = files.into_iter().map(|(path, bytes)| (path.file_name().unwrap().to_owned(), bytes));
        files.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(files("whole").keys().collect::<Vec<_>>(), files("killed").keys().collect::<Vec<_>>());
    assert!(files("whole") == files("killed"), "the resumed run ended in other bits");
}

#[test]
fn flags_beside_resume_are_refused_where_they_would_change_the_run() {
    let scratch = Scratch::new("changed");
    succeeds(&scratch, "--model mlp:8 --seeds 1 --epochs 1 --lanczos 0 --out run");
    for (flag, words) in [
        ("--rho 0.1", &["--rho", "`0.05", "`0.1"][..]),
        ("--adaptive", &["--adaptive", "`false`", "`true`"]),
        ("--seeds 2", &["--seeds", "`0`", "`0,1`"]),
        ("--seed 3", &["--seed", "`0`", "`3`"]),
        ("--quick", &["--quick", "`false`", "`true`"]),
        ("--out elsewhere", &["--out"]),
    ] {
        refused(&scratch, &format!("--resume run {flag}"), words);
    }
    succeeds(&scratch, "--resume run --model mlp:8 --epochs 1 --seeds 0,");
}

#[test]
fn every_variant_of_the_method_trains() {
    let scratch = Scratch::new("variants");
    for (index, variant) in [
        "--clip 1 --adaptive --rho 0.5",
        "--second-order --decay-inside",
        "--chunks 4 --smoothing 0.1",
        "--ascent linf --rho 0.001",
        "--ascent-steps 2",
        "--optimiser adamw --rate 0.002",
        "--model vit --dropout 0.1 --batch 256 --rate 0.02",
    ]
    .into_iter()
    .enumerate()
    {
        // A flag given twice is refused, so the small network is named only where the variant names none.
        let model = if variant.contains("--model") { "" } else { "--model mlp:8" };
        succeeds(&scratch, &format!("{model} {variant} --seeds 1 --epochs 1 --lanczos 0 --out {index}"));
        let metrics = fs::read_to_string(scratch.0.join(format!("{index}/metrics.jsonl"))).unwrap();
        let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
        let (loss, sharpened) = (last["loss"].as_f64().unwrap(), last["sharpened_loss"].as_f64().unwrap());
        assert!(sharpened > loss, "{variant}: the ascent went from {loss} to {sharpened}");
    }
}

#[test]
fn each_setting_of_a_study_of_sam_is_one_command_line() {
    let scratch = Scratch::new("study");
    for (index, variant) in [
        "--ascent random",
        "--perturb norms-and-biases --chunks 4",
        "--adaptive --adaptive-on weights --rho 1 --augment crop-flip --border black",
    ]
    .into_iter()
    .enumerate()
    {
        let small = "--model resnet:8,2 --batch 256 --seeds 1 --epochs 1 --lanczos 0";
        succeeds(&scratch, &format!("{small} {variant} --out {index}"));
    }
    refused(&scratch, "--augment crop-flip-cutout", &["--augment", "at least 17 x 17 pixels", "8 x 8"]);
    refused(&scratch, "--hole-of image", &["--hole-of has no effect with --augment none"]);
    refused(&scratch, "--preset wrn-28-10-cifar10", &["cifar-10-batches-bin", "no such folder"]);
    refused(&scratch, "--preset wrn-28-10-cifar11", &["--preset", "wrn-28-10-cifar10"]);
}

#[test]
fn a_study_trains_with_each_value_and_chooses_by_held_back_images() {
    let scratch = Scratch::new("values");
    let vary = "--vary label-noise=0,0.4 --vary rho=0.05,0.2 --double-sgd --validation 200";
    let small = "--model mlp:8 --seeds 1 --epochs 2 --lanczos 4 --density 2 --curvature-images 100";
    let output = succeeds(&scratch, &format!("{small} {vary} --out run"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let report = fs::read_to_string(scratch.0.join("run/report.md")).unwrap();
    for row in ["| SGD | 0.4 | - |", "| longer SGD | 0 | - |", "| SAM | 0.4 | 0.2 |"] {
        assert!(report.contains(row), "no row `{row}`: {report}");
    }
    assert!(
        report.contains("Chosen by the accuracy on the held-back images alone: SAM, label noise 0, rho 0."),
        "{report}"
    );
    assert!(scratch.0.join("run/accuracy.png").is_file());
    let results: Value = serde_json::from_slice(&fs::read(scratch.0.join("run/results.json")).unwrap()).unwrap();
    let trainings = results["trainings"].as_array().unwrap();
    assert_eq!(trainings.len(), 2 * (2 + 2));
    for training in trainings {
        let shares = training["density"].as_array().unwrap().iter().map(|node| node[1].as_f64().unwrap());
        assert!((shares.sum::<f64>() - 1.0).abs() < 1e-6, "{training}");
        assert!((0.0..=1.0).contains(&training["validation_accuracy"].as_f64().unwrap()), "{training}");
    }
    let epochs = fs::read_to_string(scratch.0.join("run/metrics.jsonl")).unwrap().lines().count();
    assert_eq!(epochs, 2 * (2 + 4 + 2 * 2), "twice the epochs for the longer trainings alone");
}

#[test]
fn held_back_images_are_not_trained_on() {
    let scratch = Scratch::new("held-back");
    // 1,438 of the digits are for training, the others for the test.
    refused(&scratch, "--images 1400 --validation 39", &["--validation", "at most 38 images beside --images 1400"]);
    refused(&scratch, "--validation 1438", &["--validation", "at most 1437"]);
    refused(&scratch, "--validation 1400", &["--batch: expected 1 to 38, got 64"]);
}

#[test]
fn both_passes_of_a_step_see_the_same_augmented_images() {
    let scratch = Scratch::new("passes");
    succeeds(&scratch, "--model mlp:8 --augment crop-flip --rho 0 --seeds 1 --epochs 2 --lanczos 0 --out run");
    let metrics = fs::read_to_string(scratch.0.join("run/metrics.jsonl")).unwrap();
    let rows: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_sam: Vec<_> = rows.iter().filter(|row| row["method"] == "SAM").collect();
    assert!(of_sam.len() == 2 && of_sam.iter().all(|row| row["loss"] == row["sharpened_loss"]), "{of_sam:?}");
    // Without augmentation the losses are others.
    succeeds(&scratch, "--model mlp:8 --rho 0 --seeds 1 --epochs 2 --lanczos 0 --out plain");
    assert_ne!(metrics, fs::read_to_string(scratch.0.join("plain/metrics.jsonl")).unwrap());
}

#[test]
fn recalculated_statistics_leave_the_weights_as_they_are() {
    let scratch = Scratch::new("recalculated");
    let small = "--model resnet:8,2 --batch 256 --seeds 1 --epochs 1 --lanczos 0";
    succeeds(&scratch, &format!("{small} --out first"));
    succeeds(&scratch, &format!("{small} --running-from recalculated --out recalculated"));
    let load = |folder: &str| TrainedClassifier::load(&scratch.0.join(folder).join("sam-0.safetensors")).unwrap();
    let (first, recalculated) = (load("first"), load("recalculated"));
    assert_eq!(first.weights, recalculated.weights);
    assert_ne!(first.statistics, recalculated.statistics);
}

#[test]
fn synchronised_batch_norm_takes_the_step_of_sgd_on_an_undivided_batch() {
    let scratch = Scratch::new("synchronised");
    // One step: 400 images are one batch.
    let step = "--model resnet:8,2 --images 400 --batch 400 --seeds 1 --epochs 1 --lanczos 0 --curvature-images 100 --vary rho=0.1";
    for (chunks, flags) in
        [("whole", "--chunks 1"), ("apart", "--chunks 4"), ("synchronised", "--chunks 4 --sync-batch-norm")]
    {
        succeeds(&scratch, &format!("{step} {flags} --out {chunks}"));
    }
    let load = |folder: &str| TrainedClassifier::load(&scratch.0.join(folder).join("sgd-0.safetensors")).unwrap();
    let [whole, apart, synchronised] = ["whole", "apart", "synchronised"].map(load);
    let distance = |a: &Data, b: &Data| {
        let squares = a.f32().iter().zip(b.f32()).map(|(a, b)| f64::from(a - b).powi(2));
        squares.sum::<f64>().sqrt()
    };
    // Both are sums of the same terms in another order: some 1e-6 of the step, which chunks by themselves change by a tenth.
    for (of_whole, of_apart, of_synchronised) in [
        (&whole.weights, &apart.weights, &synchronised.weights),
        (&whole.statistics, &apart.statistics, &synchronised.statistics),
    ] {
        let (far, near) = (distance(of_whole, of_apart), distance(of_whole, of_synchronised));
        assert!(near < 1e-3 * far, "{near} is not far below {far}");
    }
}
