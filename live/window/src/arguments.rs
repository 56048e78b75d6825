//! The command line.

use fourfold_scenes::{Entry, SCENES};

/// The settings of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// The word of the scene to begin with.
    pub word: String,
    /// The random seed.
    pub seed: u32,
    /// Close the window after so many frames.
    pub frames: Option<u64>,
    /// Compute on the window's device.
    pub share: bool,
    /// A checkpoint to begin with.
    pub load: Option<String>,
}

impl Default for Arguments {
    fn default() -> Self {
        let word = SCENES.first().map_or("", |entry| entry.word).to_owned();
        Self { word, seed: 1, frames: None, share: false, load: None }
    }
}

impl Arguments {
    /// The text of `--help`.
    pub const HELP: &str = "Watch the four methods learn and act in a window

Usage: fourfold live [neuron|pes|sam|dt|car] [--seed N] [--load FILE] [--share] [--frames N]

  --seed N     Random seed [default: 1]
  --load FILE  Begin with a checkpoint of `fourfold neuron train` and its like
  --share      Compute on the device that draws the window; without it on a device of its own, whose loss leaves the window
  --frames N   Close the window after N frames and print the frames a second

Keys: the letter on each control, with shift the other way; space pauses; 1 to 5 change the scene; ctrl + and - scale text";

    /// Reads arguments; `None` asks for the help.
    ///
    /// # Errors
    /// A word or a value that is not known, as one sentence.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let (mut parsed, mut arguments) = (Self::default(), arguments);
        let mut named = false;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument}: expected a value, got none"));
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--share" => parsed.share = true,
                "--load" => parsed.load = Some(value()?),
                "--seed" => parsed.seed = number(&argument, &value()?)?,
                "--frames" => parsed.frames = Some(number::<u64>(&argument, &value()?)?.max(1)),
                word if !word.starts_with('-') && !named => {
                    Entry::named(word).map_err(|error| error.to_string())?;
                    parsed.word = word.to_owned();
                    named = true;
                }
                other => {
                    let expected = "a scene, --seed, --load, --share, --frames or --help";
                    return Err(format!("arguments: expected {expected}, got `{other}`"));
                }
            }
        }
        Ok(Some(parsed))
    }
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name}: expected a whole number of at least 0, got `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_scene_and_its_settings_are_read() {
        let parsed = parse("neuron --seed 7 --frames 30 --share").unwrap().unwrap();
        assert_eq!((parsed.word.as_str(), parsed.seed, parsed.frames, parsed.share), ("neuron", 7, Some(30), true));
        assert_eq!(parse("").unwrap().unwrap(), Arguments::default());
        assert_eq!(parse("neuron --help").unwrap(), None);
    }

    #[test]
    fn what_is_not_known_is_one_sentence() {
        for (line, got) in [
            ("snake", "scene: expected one of neuron"),
            ("--seed x", "--seed: expected a whole number of at least 0, got `x`"),
            ("--seed", "--seed: expected a value, got none"),
            ("--fast", "arguments: expected a scene, --seed, --load, --share, --frames or --help, got `--fast`"),
            ("neuron neuron", "arguments: expected a scene, --seed, --load, --share, --frames or --help, got `neuron`"),
        ] {
            let sentence = parse(line).unwrap_err();
            assert!(sentence.starts_with(got), "{line}: {sentence}");
        }
    }
}
