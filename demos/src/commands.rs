//! The commands, one a file.

pub mod adapters;
pub mod bench;
pub mod data;
pub mod demo;
pub mod dt;
pub mod neuron;
pub mod pes;
pub mod sam;
pub mod verify;

use crate::Failure;
use crate::arguments::{Arguments, Command};

/// Does what the command line asks for.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let common = &arguments.common;
    match &arguments.command {
        Command::Adapters(arguments) => adapters::run(common, arguments),
        Command::Bench(arguments) => bench::run(common, arguments),
        Command::Data(arguments) => data::run(common, arguments),
        Command::Demo => demo::run(common),
        Command::Dt(arguments) => dt::run(common, arguments),
        Command::Neuron(arguments) => neuron::run(common, arguments),
        Command::Pes(arguments) => pes::run(common, arguments),
        Command::Sam(arguments) => sam::run(common, arguments),
        Command::Verify(arguments) => verify::run(common, arguments),
    }
}
