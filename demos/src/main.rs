//! `fourfold`: verifies and measures the kernels, and runs the experiments.

use std::process::ExitCode;
use std::time::Duration;

use fourfold_demos::command_line::{Parsed, parse};
use fourfold_demos::failure::Failure;
use fourfold_demos::ranks::Ranks;
use fourfold_demos::run::stop;
use fourfold_demos::{output, runtime_folder, tell};

fn main() -> ExitCode {
    output::outlive_the_terminal();
    runtime_folder::provide();
    let ranks = match Ranks::of_process() {
        Ok(ranks) => ranks,
        Err(failure) => {
            tell!("error: {failure}");
            return ExitCode::from(failure.code());
        }
    };
    let outcome = ranks.agreed(parse(std::env::args_os())).and_then(|parsed| match parsed {
        Parsed::Run(mut call) => {
            call.common.quiet |= !ranks.is_root();
            call.common.ranks = ranks.clone();
            call.run()
        }
        Parsed::Print(text) => {
            if ranks.is_root() {
                output::write(format_args!("{text}"));
            }
            Ok(())
        }
    });
    let failure = outcome.and_then(|()| output::failure().map_or(Ok(()), Err)).err();
    let code = failure.as_ref().map_or(0, Failure::code);
    match &failure {
        None | Some(Failure::Elsewhere(_)) => {}
        Some(Failure::Stopped) => {
            ranks.part_ways(failure.as_ref());
            return ExitCode::from(stop::code());
        }
        Some(failure) => {
            // Where all ranks fail alike, the root says so for all.
            if !ranks.is_root() {
                std::thread::sleep(Duration::from_secs(3));
            }
            tell!("error: {failure}");
        }
    }
    if !ranks.part_ways(failure.as_ref()) {
        ranks.abort(code);
    }
    ExitCode::from(code)
}
