//! Wrong input of every kind to every command: one sentence, exit code 2, soon, and nothing is left behind.

mod scratch;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use scratch::Scratch;

/// Command lines, and words of the sentence that refuses them before a GPU is opened. `DATA` is a file of trajectories,
/// `FILE` a file of one letter, `FULL` a folder with a file.
const WITHOUT_A_GPU: &[(&str, &str)] = &[
    // Commands and flags that are not there.
    ("dance", "unrecognized subcommand 'dance'"),
    ("dt dance", "unrecognized subcommand 'dance'"),
    ("sam --frob 3", "unexpected argument '--frob' found (see `fourfold sam --help`)"),
    ("verify --kernel", "a value is required for '--kernel <NAME>'"),
    ("live snake", "[possible values: neuron, pes, sam, dt, car]"),
    ("live --frames many", "invalid value 'many' for '--frames <COUNT>'"),
    ("--seed -1 adapters", "invalid value '-1' for '--seed <NUMBER>'"),
    ("sam --seed 99999999999999999999999", "invalid value"),
    ("sam --seed 4294967296", "--seeds and --seed: expected 1 to 1048576 distinct seeds below 2^32"),
    ("sam --seeds 99999999999", "--seeds"),
    ("sam --seeds 1,1", "distinct seeds"),
    ("sam --quick --preset paper", "--quick: expected no other --preset"),
    ("pes --staggered compare toy", "subcommands come right after `pes`"),
    // Values of the wrong kind.
    ("sam --epochs 5.5", "invalid value '5.5' for '--epochs <COUNT>'"),
    ("sam --epochs", "a value is required for '--epochs <COUNT>'"),
    ("sam --optimiser frob", "[possible values: sgd, adamw]"),
    ("sam --model frob", "invalid value 'frob' for '--model <NAME>'"),
    (
        "pes schedule --data frob",
        "[possible values: digits, mnist, fashion-mnist, cifar-10, cifar-100, svhn, svhn-extra]",
    ),
    ("data collect frob", "invalid value 'frob' for '[ENV]'"),
    ("pes toy --estimator frob", "--estimator <NAME>"),
    ("pes frob", "PROBLEM takes toy, influence, lorenz, ridge or ridge:FILE, got `frob`"),
    ("pes", "PROBLEM is missing"),
    ("pes toy --theta 1", "--theta takes 2 numbers for this problem, got 1"),
    ("pes toy --theta nan,1", "--theta takes finite numbers"),
    // Numbers out of their range.
    ("sam --epochs 0", "--epochs: expected 1 to 1000000, got 0"),
    ("sam --batch 0", "--batch: expected 1 to 1438, got 0"),
    ("sam --batch 1000000000", "--batch: expected 1 to 1438"),
    ("sam --batch 64 --chunks 7", "--chunks: expected a divisor of the batch of 64, got 7"),
    ("sam --rho -1", "--rho: expected 0 to 1000000, got -1"),
    ("sam --rate inf", "--rate: expected 0 to 1000000, got inf"),
    ("sam --rho nan", "--rho: expected 0 to 1000000, got NaN"),
    ("sam --dropout 1 --model vit", "--dropout: expected 0 to less than 1, got 1"),
    ("dt train DATA --best 0", "--best: expected a number above 0 and up to 1, got 0"),
    ("dt train DATA --targets nan", "--targets"),
    ("dt control --steps 0", "--steps"),
    ("dt pong --asked 22", "--asked: expected returns from -21 to 21, got 22"),
    ("bench rollout --alive --environment pong", "--alive: expected --environment cart_pole_swing_up, got pong"),
    ("dt pong --games 0", "--games: expected 1 to 1000, got 0"),
    ("data compare-ale --frames 0", "--frames: expected 1 to 100000000, got 0"),
    ("dt sweep --targets 2", "--targets: expected 3 to 1000, got 2"),
    ("dt key-to-door --side 1", "--side: expected 2 to 100, got 1"),
    ("dt key-to-door --share 0", "--share"),
    ("neuron train --generations 0", "unexpected argument '--generations'"),
    ("neuron train --steps 0", "--steps: expected 1 to 1e13, got 0"),
    ("neuron reshuffle --intervals 0", "--intervals: expected 1 to 1000 steps, got 0"),
    ("neuron clone --steps 300 --window 7", "--window"),
    ("neuron drive", "--weights <FILE>"),
    ("neuron drive --weights nothing.npz", "nothing.npz"),
    ("neuron drive --weights FILE", "FILE: expected a whole .npz, .npy or safetensors file"),
    ("neuron drive --weights FILE --episodes 1", "--episodes: expected 2 to 4096, got 1"),
    ("neuron drive --weights FILE --intervals 0", "--intervals: expected 1 to 1000, got 0"),
    ("neuron drive --weights FILE --missing 2", "--missing: expected 0 to 1, got 2"),
    ("neuron drive --weights FILE --missing 0.3,0.3", "expected distinct values"),
    ("neuron drive --weights FILE --backgrounds noise,noise", "--backgrounds: expected distinct values"),
    ("neuron drive train --rounds 0", "--rounds: expected 1 to 1000, got 0"),
    ("neuron drive train --lanes 1", "--lanes: expected 2 to 4096, got 1"),
    ("neuron drive train --disturbance 2", "--disturbance: expected 0 to 1, got 2"),
    ("neuron drive evolve --members 3", "--members: expected an even number (antithetic pairs), got 3"),
    ("neuron drive evolve --deviation 0", "--deviation: expected a number above 0"),
    ("neuron drive evolve --start FILE", "FILE: expected a whole .npz, .npy or safetensors file"),
    ("neuron drive --horizon 9 train", "--horizon: subcommands come right after `neuron drive`"),
    ("neuron pong --horizon 3001", "--horizon: expected 1 to 3000, got 3001"),
    ("neuron pong --student pictures --occlusion 0.5,0.5", "--occlusion: expected distinct values"),
    ("neuron pong --occlusion 0.5", "--occlusion"),
    ("neuron pong --student pictures --patch 5", "--patch"),
    ("neuron watch --world car", "--weights: expected a file of a network that sees"),
    ("neuron watch --world car --weights FILE", "FILE: expected a whole .npz, .npy or safetensors file"),
    ("neuron watch --world pong --easy", "--easy"),
    ("pes toy --iterations 0", "--iterations: expected 1 to"),
    ("pes toy --particles 3", "--particles: expected an even number (antithetic pairs), got 3"),
    ("pes control --budget 0", "--budget"),
    ("pes control --task frob", "frob"),
    ("pes hyperparameters --data digits --layers 0", "--layers: expected 1 to 64, got 0"),
    ("pes variance --particles 1", "--particles"),
    ("data collect cart-pole --episodes 0", "--episodes: expected 1 to 100000, got 0"),
    ("data collect pendulum --stage medium,medium", "--stage: expected distinct values, got `medium` twice"),
    ("verify --cases 99999999999", "--cases"),
    ("live neuron --gif nowhere/film.gif", "--gif: expected a file in a folder that exists, got nowhere/film.gif"),
    ("live neuron --press 3:s", "--gif"),
    ("live neuron --gif film.gif --press s", "expected FRAME:KEY, as in 60:s"),
    ("live neuron --adapter x", "--adapter: a film takes it, a window does not"),
    ("verify --hours 0", "expected more than 0, at most 10000"),
    ("verify --hours 1 --cases 3", "'--cases"),
    ("play --noise-channels 28", "--noise-channels: expected 0 to 27, got 28"),
    ("play --every 0", "--every: expected 1 to 100, got 0"),
    // Sizes that no machine holds, and runs without end.
    ("dt shortest-paths --walks 1000000000", "--walks: expected 1 to 1000000, got 1000000000"),
    ("dt shortest-paths --context 100000000", "--context"),
    ("dt train DATA --width 100000", "--width: expected 1 to 8192, got 100000"),
    ("dt train DATA --training-steps 99999999999", "--training-steps: expected 1 to 1000000000"),
    ("dt control --width 1000000", "--width"),
    ("dt key-to-door --episodes 100000000000", "--episodes"),
    ("sam --ascent-steps 100000", "--ascent-steps: expected 1 to 64, got 100000"),
    ("sam --lanczos 10000000", "--lanczos: expected 0 to 1000, got 10000000"),
    ("sam --density 5 --lanczos 0", "--density: expected --lanczos of at least 1"),
    ("sam --vary rho", "expected FLAG=VALUE,VALUE, as in rho=0.05,0.1, got `rho`"),
    ("sam --vary rho=0.1,-1", "--rho: expected 0 to 1000000, got -1"),
    ("sam --vary seed=1,2", "--vary: expected a flag of a training, as rho, epochs or label-noise, got `seed`"),
    ("sam --vary batch=64,100000", "--batch: expected 1 to 1438, got 100000"),
    ("sam --model mlp:1000000,1000000", "hidden widths up to 16384"),
    ("sam --model mlp:16384,16384", "--model: expected a network of at most"),
    ("neuron train --strategy pgpe --members 1000000000", "--members"),
    ("neuron train --members 64", "--strategy"),
    ("pes toy --particles 1000000000", "--particles: expected 2 to 16777216, got 1000000000"),
    ("pes hyperparameters --data digits --layers 100000", "--layers: expected 1 to 64, got 100000"),
    ("pes variance --hidden 100000", "--hidden"),
    ("pes variance --repeats 100000000000", "--repeats"),
    ("pes learned-optimiser --digits --hidden 100000", "--hidden: expected 1 to 1024, got 100000"),
    ("data collect cart-pole --episodes 100000000000", "--episodes: expected 1 to 100000"),
    // Flags without effect.
    ("adapters --out x", "--out has no effect on `fourfold adapters`: leave it out"),
    ("live --out x", "--out has no effect on `fourfold live`: leave it out"),
    ("runs --seed 3", "--seed has no effect on `fourfold runs`: leave it out"),
    ("data inspect DATA --quick", "--quick has no effect on `fourfold data inspect`: leave it out"),
    ("play --tensorboard", "--tensorboard has no effect on `fourfold play`: leave it out"),
    ("sam --optimiser adamw --momentum 0.5", "--momentum has no effect with --optimiser adamw: leave it out"),
    ("sam --dropout 0.1", "--dropout has no effect with --model mlp:128: leave it out"),
    ("sam --data-dir here", "--data-dir has no effect with --data digits: leave it out"),
    ("dt train DATA --workers 2", "--workers has no effect without --gymnasium: leave it out"),
    ("dt train DATA --python python3", "--python has no effect without --gymnasium: leave it out"),
    ("dt train DATA --targets 3", "--targets has no effect without --gymnasium"),
    ("dt train DATA --gymnasium", "--gymnasium needs --env"),
    ("dt train DATA --heads 3", "decision transformer: expected heads that divide the width of 128, got 3"),
    ("dt key-to-door --full --side 5", "--side has no effect with --full: leave it out"),
    ("pes toy --estimator tbptt --sigma 1", "--sigma has no effect with --estimator tbptt: leave it out"),
    ("pes lorenz --estimator uoro --chunks 2", "--chunks has no effect with --estimator uoro"),
    ("pes influence --estimator full-es", "--estimator full-es needs an inner problem that ends"),
    ("pes toy --particles 10 --chunks 20", "--chunks takes a number that divides the 5 antithetic pairs"),
    ("bench pes --kernel matmul", "unexpected argument"),
    ("verify --sanitize --out x", "--out: this writes no run"),
    // Files and folders.
    ("sam --out FILE", "FILE"),
    ("sam --out FILE/deeper", "FILE/deeper"),
    ("sam --out FULL", "FULL: expected a new or empty folder, got one with files in it"),
    ("demo --out FULL", "FULL: expected a new or empty folder, got one with files in it"),
    (
        "sam --data mnist",
        "data/mnist: expected the images of mnist, got no such folder: fetch them by `cargo xtask data`",
    ),
    ("pes schedule --data fashion-mnist", "`cargo xtask data`"),
    ("dt train nowhere", "nowhere"),
    ("dt train FILE", "FILE"),
    ("data inspect nowhere", "nowhere"),
    ("data inspect FILE", "FILE"),
    ("neuron watch --weights nothing.safetensors", "nothing.safetensors"),
    ("neuron watch --weights FILE", "FILE"),
    ("neuron train --weights FILE", "FILE"),
    ("pes learned-optimiser --digits --weights FILE", "FILE"),
    ("pes ridge:nowhere.csv", "nowhere.csv"),
    ("play nobody", "nobody: expected a file, a folder or one of"),
    ("play FILE", "FILE"),
    ("play --gif nowhere/film.gif", "--gif: expected a file in a folder that exists, got nowhere/film.gif"),
    ("runs nowhere", "nowhere: expected a run or a folder of runs"),
    ("compile --driver nowhere.json", "--driver: expected a manifest of Vulkan, a file, got nowhere.json"),
    ("verify --expectations nowhere.txt", "nowhere.txt"),
    ("verify report nowhere", "nowhere"),
    ("verify diff nowhere FULL", "nowhere"),
    // Runs to resume and settings to take.
    ("sam --resume nowhere", "nowhere"),
    ("sam --resume FULL", "FULL: expected config.json"),
    ("sam --resume FULL --out x", "--out: a resumed run stays in its folder"),
    ("sam --config FILE", "--config FILE: expected the config.json of a run of `fourfold sam`"),
    ("sam --config FULL --resume FULL", "--config"),
    ("verify --resume FULL", "FULL"),
    ("verify --resume OTHER", "OTHER: expected a run of `fourfold verify`, got one of `fourfold sam`"),
    ("verify --resume OTHER --out x", "--out: a resumed run stays in its folder"),
    ("pes toy --config OTHER", "got one of `fourfold sam`"),
    ("pes --resume OTHER", "OTHER"),
    ("verify --kernel sofmax", "--kernel: expected the beginning of one of"),
];

/// The same where only a GPU, or what lies behind it, can refuse.
const WITH_A_GPU: &[(&str, &str)] = &[
    ("adapters --adapter 7", "--adapter: expected"),
    ("sam --adapter nobody", "--adapter: expected"),
    (
        "bench --kernel frob",
        "--kernel: expected the beginning of a kernel's name, such as matmul or softmax, got `frob`",
    ),
];

/// The longest that a refusal may take; on a quiet machine it takes a tenth of it.
const SOON: Duration = Duration::from_secs(10);

/// Checks rows, and returns those that are wrong.
fn faults(rows: &[(&str, &str)], adapter: Option<&str>) -> Vec<String> {
    let scratch = Scratch::new(if adapter.is_some() { "wrong-input" } else { "wrong-input-gpu" });
    fs::write(scratch.0.join("FILE"), "x").unwrap();
    for folder in ["FULL", "OTHER"] {
        fs::create_dir(scratch.0.join(folder)).unwrap();
    }
    fs::write(scratch.0.join("FULL/thesis.txt"), "precious").unwrap();
    fs::write(scratch.0.join("OTHER/config.json"), r#"{"command":"sam","seed":0,"settings":{}}"#).unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/trajectories/d4rl.hdf5");
    let mut faults = Vec::new();
    for (line, words) in rows {
        let mut command = scratch.fourfold();
        command.args(line.split(' ').map(|word| if word == "DATA" { data.as_os_str() } else { word.as_ref() }));
        // With this, whoever opens a GPU is refused for it.
        if let Some(adapter) = adapter {
            command.env("WGPU_ADAPTER_NAME", adapter);
        }
        let begun = Instant::now();
        let output = command.output().unwrap();
        let (took, said) = (begun.elapsed(), String::from_utf8_lossy(&output.stderr).into_owned());
        let left = fs::read_dir(&scratch.0).unwrap().count() + fs::read_dir(scratch.0.join("FULL")).unwrap().count();
        let is_right = output.status.code() == Some(2)
            && said.lines().count() == 1
            && said.starts_with("error: ")
            && said.contains(words)
            && output.stdout.is_empty();
        if !is_right || took > SOON || left != 4 {
            let code = output.status.code();
            faults
                .push(format!("`{line}`: code {code:?} after {took:?}, {left} files, expected `{words}`, got {said}"));
        }
    }
    faults
}

#[test]
fn wrong_input_is_one_sentence_before_a_gpu_is_opened() {
    let faults = faults(WITHOUT_A_GPU, Some("no such adapter"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn wrong_input_that_only_a_gpu_shows_is_one_sentence() {
    let faults = faults(WITH_A_GPU, None);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
