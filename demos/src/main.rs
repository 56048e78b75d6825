//! `fourfold`: verifies and measures the kernels, and runs the experiments.

use std::process::ExitCode;

use fourfold_demos::command_line::{Parsed, parse};
use fourfold_demos::failure::Failure;
use fourfold_demos::run::stop;
use fourfold_demos::{output, runtime_folder, tell};

fn main() -> ExitCode {
    output::outlive_the_terminal();
    runtime_folder::provide();
    let outcome = match parse(std::env::args_os()) {
        Ok(Parsed::Run(call)) => call.run(),
        Ok(Parsed::Print(text)) => {
            output::write(format_args!("{text}"));
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    match outcome.and_then(|()| output::failure().map_or(Ok(()), Err)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure == Failure::Stopped {
                return ExitCode::from(stop::code());
            }
            tell!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
