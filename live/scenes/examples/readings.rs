//! Prints the readings of a scene after some steps from its seed, a name and a value on each line: what the page in a browser
//! is held against.
//!
//! ```text
//! cargo run --manifest-path live/Cargo.toml --package fourfold-scenes --example readings -- sam 1 100
//! ```

use std::process::ExitCode;
use std::time::{Duration, Instant};

use fourfold::Gpu;
use fourfold_scenes::{Stage, Value};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [word, seed, steps] = &arguments[..] else {
        return Err(format!("expected SCENE SEED STEPS, got {} arguments", arguments.len()).into());
    };
    let (seed, steps): (u32, u64) = (seed.parse()?, steps.parse()?);
    let mut stage = Stage::open(&Gpu::open()?, word, seed)?;
    stage.set("play", Value::On(false))?;
    for _ in 0..steps {
        stage.set("step", Value::Pressed)?;
    }
    let start = Instant::now();
    loop {
        let before = stage.counts();
        stage.frame(start.elapsed().as_secs_f64())?;
        let after = stage.counts();
        let is_idle = after.unanswered == before.unanswered && after.steps == before.steps;
        if is_idle && after.steps >= steps {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    for reading in stage.readings() {
        println!("{}\t{}", reading.name, reading.value);
    }
    Ok(())
}
