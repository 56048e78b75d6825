//! Guides a reader of `--help`, or of a finished run, to the paper, an example and another command.

use std::path::Path;

use clap::Command;

/// The guide to a command.
#[derive(Debug, Clone, Copy)]
pub struct Guide {
    /// The words of the command line.
    path: &'static str,
    /// The paper that it follows; empty for none.
    paper: &'static str,
    /// A command line that is worth typing.
    pub example: &'static str,
    /// The command line to try after it.
    pub next: &'static str,
}

const SAM: &str = "Foret et al. 2021, Sharpness-Aware Minimization, arXiv:2010.01412";
const NEURON: &str = "Tang and Ha 2021, The Sensory Neuron as a Transformer, arXiv:2109.02869";
const PES: &str =
    "Vicol et al. 2021, Unbiased Gradient Estimation with Persistent Evolution Strategies, arXiv:2112.13835";
const DT: &str = "Chen, Lu et al. 2021, Decision Transformer, arXiv:2106.01345";

const fn guide(path: &'static str, paper: &'static str, example: &'static str, next: &'static str) -> Guide {
    Guide { path, paper, example, next }
}

/// A guide to every command and experiment.
pub(crate) const ALL: [Guide; 39] = [
    guide("adapters", "", "fourfold adapters", "fourfold verify"),
    guide("bench", "", "fourfold bench --kernel softmax", "fourfold verify"),
    guide("compile", "", "fourfold compile --kernel matmul --chip navi21", "fourfold verify"),
    guide("data collect", "", "fourfold data collect pendulum --quick", "fourfold data inspect FILE"),
    guide("data compare-ale", "", "fourfold data compare-ale --frames 40000", "fourfold dt pong --quick"),
    guide("data inspect", "", "fourfold data inspect FILE --all", "fourfold dt train FILE"),
    guide("demo", "", "fourfold demo --quick", "fourfold play"),
    guide("dt control", DT, "fourfold dt control --quick", "fourfold dt sweep --quick"),
    guide(
        "dt key-to-door",
        DT,
        "fourfold dt key-to-door --episodes 3000 --seeds 1",
        "fourfold dt shortest-paths --quick",
    ),
    guide("dt pong", DT, "fourfold dt pong --quick", "fourfold data compare-ale"),
    guide("dt shortest-paths", DT, "fourfold dt shortest-paths --quick", "fourfold dt key-to-door --quick"),
    guide("dt sweep", DT, "fourfold dt sweep --quick", "fourfold dt train FILE"),
    guide("dt train", DT, "fourfold dt train FILE --quick", "fourfold data inspect FILE"),
    guide(
        "neuron ant",
        NEURON,
        "fourfold neuron ant --weights FILE --quick",
        "fourfold neuron drive --weights FILE --quick",
    ),
    guide("live", NEURON, "fourfold live neuron", "fourfold play"),
    guide("neuron clone", NEURON, "fourfold neuron clone --quick", "fourfold play"),
    guide("neuron drive", NEURON, "fourfold neuron drive --weights FILE --quick", "fourfold neuron reshuffle --quick"),
    guide(
        "neuron drive evolve",
        NEURON,
        "fourfold neuron drive evolve --generations 20 --episodes 8",
        "fourfold play runs/neuron-drive-evolve-001",
    ),
    guide(
        "neuron drive train",
        NEURON,
        "fourfold neuron drive train --rounds 2 --episodes 8",
        "fourfold play runs/neuron-drive-train-001",
    ),
    guide("neuron pong", NEURON, "fourfold neuron pong --quick", "fourfold dt pong --quick"),
    guide("neuron reshuffle", NEURON, "fourfold neuron reshuffle --intervals 50,200", "fourfold play"),
    guide("neuron train", NEURON, "fourfold neuron train --quick", "fourfold play"),
    guide("neuron watch", NEURON, "fourfold neuron watch --shuffle-at 200,600", "fourfold neuron reshuffle --quick"),
    guide("pes", PES, "fourfold pes toy --estimator pes --quick", "fourfold pes compare toy --quick"),
    guide("pes compare", PES, "fourfold pes compare toy --quick", "fourfold pes control --quick"),
    guide("pes control", PES, "fourfold pes control --quick", "fourfold pes variance --quick"),
    guide(
        "pes hyperparameters",
        PES,
        "fourfold pes hyperparameters --data digits --quick",
        "fourfold pes schedule --data digits --quick",
    ),
    guide(
        "pes learned-optimiser",
        PES,
        "fourfold pes learned-optimiser --digits --quick",
        "fourfold pes compare toy --quick",
    ),
    guide(
        "pes schedule",
        PES,
        "fourfold pes schedule --data digits --quick",
        "fourfold pes hyperparameters --data digits --quick",
    ),
    guide("pes variance", PES, "fourfold pes variance --quick", "fourfold pes compare toy --quick"),
    guide("play", NEURON, "fourfold play key-to-door", "fourfold play --list"),
    guide("runs", "", "fourfold runs", "fourfold play"),
    guide("sam", SAM, "fourfold sam --label-noise 0.4 --seeds 1 --quick", "fourfold sam --label-noise 0.4 --seeds 3"),
    guide("tune", "", "fourfold tune --quick", "fourfold bench"),
    guide("verify", "", "fourfold verify --kernel softmax", "fourfold bench --kernel softmax"),
    guide("verify builtins", "", "fourfold verify builtins --markdown", "fourfold verify litmus --quick"),
    guide("verify litmus", "", "fourfold verify litmus --quick", "fourfold verify builtins"),
    guide("verify report", "", "fourfold verify report ONE TWO", "fourfold verify diff ONE TWO"),
    guide("verify diff", "", "fourfold verify diff ONE TWO", "fourfold verify"),
];

impl Guide {
    /// Finds the guide to a command by its words.
    pub fn to(path: &str) -> Option<&'static Self> {
        ALL.iter().find(|guide| guide.path == path)
    }

    /// Returns the last lines of `--help`.
    pub fn help(&self) -> String {
        let paper = if self.paper.is_empty() { String::new() } else { format!("Paper: {}\n", self.paper) };
        format!("{paper}Example: {}", self.example)
    }
}

/// Returns the last lines of a command: where its run is, and the command to try after it.
pub fn ending(command: &str, run: Option<&Path>, next: Option<&str>) -> String {
    let place = run.map(|run| format!("The run is in {}\n", run.display())).unwrap_or_default();
    // `bench-pes` and its kin have the guide of `bench`.
    let guide = Guide::to(command).or_else(|| Guide::to(command.split([' ', '-']).next()?));
    let next = next.or_else(|| Some(guide?.next)).unwrap_or("fourfold --help");
    format!("{place}Next: {next}")
}

/// Shows the defaults of lists as they are typed, and adds a paper and an example to the help of a command.
pub fn guided(path: &str, command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        if defaults.len() < 2 {
            return arg;
        }
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        arg.hide_default_value(true).help(format!("{help} [default: {}]", defaults.join(",")))
    });
    let Some(guide) = Guide::to(path) else { return command };
    let before = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    command.after_help(before + &guide.help())
}
