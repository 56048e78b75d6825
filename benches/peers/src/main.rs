//! Times burn and Fourfold on the same adapter, turn and turn about, and prints a table in markdown.
//!
//! See `benches/README.md` for what each column may and may not be read as.

mod cold;
mod half;
mod measure;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use fourfold::wgpu::DeviceType;
use fourfold_peers_work::{self as work, Half};
use measure::Samples;

const USAGE: &str = "\
usage: fourfold-peers [--rounds N] [--warm-up N] [--cold N] [--burn vulkan|webgpu] [--work TEXT] [--json FILE]
  --rounds N    timed samples of each library and row (default 9)
  --warm-up N   untimed runs before them: shaders compile and burn tunes its kernels (default 3)
  --cold N      pairs of cold starts, each in a fresh process with empty caches (default 1, 0 to leave out)
  --burn PATH   what burn compiles its kernels to: wgsl (default) or spirv
  --work TEXT   only the rows whose name contains TEXT
  --json FILE   also write one JSON line for each row and library";

struct Options {
    rounds: usize,
    warm_up: usize,
    cold: usize,
    spirv: bool,
    only: String,
    json: Option<String>,
}

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some(work::SERVE) => half::open().and_then(|gpu| half::jobs(&gpu)).and_then(work::serve),
        Some(work::FIRST_STEP) => half::first_step().map(|loss| println!("{loss}")),
        _ => options().and_then(|options| compare(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options { rounds: 9, warm_up: 3, cold: 1, spirv: false, only: String::new(), json: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        if flag == "--help" {
            println!("{USAGE}");
            std::process::exit(0);
        }
        let mut value = || arguments.next().ok_or(format!("{flag} needs a value\n{USAGE}"));
        match flag.as_str() {
            "--rounds" => options.rounds = number(&value()?)?.max(1),
            "--warm-up" => options.warm_up = number(&value()?)?.max(1),
            "--cold" => options.cold = number(&value()?)?,
            "--burn" => options.spirv = spirv(&value()?)?,
            "--work" => options.only = value()?,
            "--json" => options.json = Some(value()?),
            _ => return Err(format!("unknown argument '{flag}'\n{USAGE}")),
        }
    }
    Ok(options)
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("expected a whole number, got '{text}'"))
}

fn spirv(text: &str) -> Result<bool, String> {
    match text {
        "wgsl" => Ok(false),
        "spirv" => Ok(true),
        _ => Err(format!("--burn takes wgsl or spirv, got '{text}'")),
    }
}

/// The half in burn lies beside this program once it is built, which the Cargo that runs this program does.
fn build_burn_half(spirv: bool) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        let built = Command::new(cargo)
            .args(["build", "--package", "burn-half", "--profile", profile])
            .args(spirv.then_some(["--features", "vulkan"]).into_iter().flatten())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        if !built.is_ok_and(|status| status.success()) {
            return Err("the half in burn does not build".into());
        }
    }
    Ok(own.with_file_name(format!("burn-half{}", std::env::consts::EXE_SUFFIX)))
}

fn compare(options: &Options) -> Result<(), String> {
    let burn_half = build_burn_half(options.spirv)?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let info = half::open()?.info().clone();
    let burn_arguments = if info.device_type == DeviceType::Cpu { &["software"][..] } else { &[] };

    let mut rows: Vec<Samples> = Vec::new();
    for pair in 0..options.cold {
        eprintln!("cold starts, pair {} of {}", pair + 1, options.cold);
        let burn = cold::starts("burn", &burn_half, burn_arguments)?;
        let fourfold = cold::starts("fourfold", &own, &[])?;
        if rows.is_empty() {
            rows = ["cold start to the first training step", "second start, with the caches of the first"]
                .map(Samples::whole)
                .into();
        }
        rows[0].push(burn.cold, fourfold.cold);
        rows[1].push(burn.second, fourfold.second);
    }

    let mut burn = Half::start("burn", &burn_half, burn_arguments)?;
    let mut fourfold = Half::start("Fourfold", &own, &[])?;
    for (index, row) in work::TABLE.iter().enumerate().filter(|(_, row)| row.name.contains(&options.only)) {
        eprintln!("{}", row.name);
        let counts = (options.warm_up, options.rounds);
        rows.push(measure::interleave(index, row, &mut burn, &mut fourfold, counts)?);
        let apart = measure::disagreement(&burn.result(index)?, &fourfold.result(index)?)?;
        if apart > row.agreement {
            return Err(format!("{}: the results lie {apart:e} apart, {:e} is allowed", row.name, row.agreement));
        }
    }

    let path = if options.spirv { "SPIR-V" } else { "WGSL" };
    println!(
        "Adapter: {} ({}). burn 0.22.1 through {path}. Times: minimum / median; rates from the minimum.\n",
        info.name, info.driver_info
    );
    println!("{}", measure::TABLE_HEAD);
    rows.iter().for_each(|row| println!("{}", row.table_row()));
    match &options.json {
        Some(file) => {
            let lines: String = rows.iter().map(Samples::json_lines).collect();
            std::fs::write(file, lines).map_err(|error| format!("{file}: {error}"))
        }
        None => Ok(()),
    }
}
