//! `cargo xtask fuzz` and `cargo xtask graphs`: mutated files for every reader, and random graphs on kernels, as many as one
//! likes.

use std::ffi::OsString;

use crate::{Failure, Result, cargo_with};

pub const USAGE: &str = "\
cargo xtask fuzz [READER] [FLAGS]

Gives mutated files to the readers of data sets, checkpoints and run folders, or to READER alone, and prints a table. Each
file must be read, or refused in one line of at most 200 characters without control characters, without a panic, within a
second, and with no more memory than it could hold. A file that breaks a bound is kept in target/tmp/fuzz/ and named by its
number. The same seed and number give the same file.

  --files N   mutated files of each reader, as 1000 or 1e6 (default 10000)
  --seed N    random seed (default 1)
  --first N   number of the first file, to begin at one that broke a bound (default 0)";

pub const GRAPHS_USAGE: &str = "\
cargo xtask graphs [FLAGS]

Builds random graphs of all operations, with shapes of one element and of more than 65,535, and their gradients, taken once and
twice, and compares them on the GPU with the f64 reference. A graph that differs is made as small as it gets while it differs,
and printed. The same seed and number give the same graph.

  --count N   graphs, as 1000 or 1e5 (default 1000)
  --seed N    random seed (default 1)
  --first N   number of the first graph, to begin at one that differs (default 0)";

/// A campaign of a test, whose flags become its environment.
struct Campaign {
    test: &'static str,
    /// The test's name begins so.
    filter: &'static str,
    prefix: &'static str,
    flags: &'static [&'static str],
    /// The first flag where it is not given.
    default: &'static str,
    /// What an argument that is no flag says.
    word: Option<&'static str>,
    usage: &'static str,
}

const FILES: Campaign = Campaign {
    test: "fuzz",
    filter: "no_mutated_file",
    prefix: "FOURFOLD_FUZZ",
    flags: &["files", "seed", "first"],
    default: "10000",
    word: Some("READER"),
    usage: USAGE,
};

const GRAPHS: Campaign = Campaign {
    test: "random_graphs",
    filter: "no_random_graph",
    prefix: "FOURFOLD_GRAPHS",
    flags: &["count", "seed", "first"],
    default: "1000",
    word: None,
    usage: GRAPHS_USAGE,
};

impl Campaign {
    /// The environment of the test.
    fn environment(&self, arguments: &[OsString]) -> Result<Vec<(String, String)>> {
        let Self { prefix, flags, default, word, usage, .. } = self;
        let mut environment = vec![(format!("{prefix}_{}", flags[0].to_uppercase()), (*default).to_owned())];
        let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
        while let Some(argument) = arguments.next() {
            let (name, value) = match (argument.strip_prefix("--"), word) {
                (Some(flag), _) if flags.contains(&flag) => {
                    let text = arguments.next().unwrap_or_default();
                    let value = whole(&text)
                        .ok_or_else(|| Failure::usage(format!("--{flag}: expected a whole number, got `{text}`")))?;
                    (flag.to_uppercase(), value.to_string())
                }
                (None, Some(word)) => ((*word).to_owned(), argument),
                _ => {
                    let flags = flags.join(", --");
                    return Err(Failure::usage(format!("expected --{flags}, got `{argument}`\n\n{usage}")));
                }
            };
            environment.push((format!("{prefix}_{name}"), value));
        }
        Ok(environment)
    }

    fn run(&self, arguments: &[OsString]) -> Result {
        let environment = self.environment(arguments)?;
        // With the workspace the features are those of every other test, so that nothing is compiled twice.
        let fixed =
            ["test", "--workspace", "--test", self.test, "--", "--nocapture", "--test-threads", "1", self.filter];
        cargo_with(&environment, &fixed, &[])
    }
}

/// A whole number, as `1000000` or `1e6`.
fn whole(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number >= 0.0 && number.fract() == 0.0 && number < 1e18).then_some(number as u64)
    })
}

/// Gives mutated files to readers.
///
/// # Errors
/// Wrong flags, or a bound that was broken.
pub fn run(arguments: &[OsString]) -> Result {
    FILES.run(arguments)
}

/// Judges random graphs.
///
/// # Errors
/// Wrong flags, or a graph that differs.
pub fn graphs(arguments: &[OsString]) -> Result {
    GRAPHS.run(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(campaign: &Campaign, arguments: &[&str]) -> Result<Vec<(String, String)>> {
        campaign.environment(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_become_the_environment_of_the_test() {
        let environment = parsed(&FILES, &["npz", "--files", "1e6", "--seed", "7"]).unwrap();
        let shown: Vec<String> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected =
            ["FILES=10000", "READER=npz", "FILES=1000000", "SEED=7"].map(|text| format!("FOURFOLD_FUZZ_{text}"));
        assert_eq!(shown, expected);
    }

    #[test]
    fn numbers_that_are_not_whole_and_unknown_flags_are_wrong_input() {
        for arguments in [&["--files", "1.5"][..], &["--files"], &["--seed", "x"], &["--quick"]] {
            assert_eq!(parsed(&FILES, arguments).unwrap_err().code, 2, "{arguments:?}");
        }
        assert_eq!(parsed(&GRAPHS, &["npz"]).unwrap_err().code, 2);
    }
}
