//! `fourfold`: verifies and measures the kernels, and runs the experiments.

use std::process::ExitCode;

use fourfold_demos::command_line::{Parsed, parse};
use fourfold_demos::runtime_folder;

fn main() -> ExitCode {
    runtime_folder::provide();
    let outcome = match parse(std::env::args_os()) {
        Ok(Parsed::Run(call)) => call.run(),
        Ok(Parsed::Print(text)) => {
            print!("{text}");
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
