//! `fourfold`: verifies and measures the kernels, and runs the trainings.

use std::process::ExitCode;

use fourfold_demos::arguments::{Parsed, parse};
use fourfold_demos::commands;

fn main() -> ExitCode {
    let outcome = match parse(std::env::args_os()) {
        Ok(Parsed::Run(arguments)) => commands::run(&arguments),
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
