//! Several trainings that differ in some flags: `--vary` and `--double-sgd`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use clap::{ArgAction, Args, Command, FromArgMatches};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Settings;
use crate::failure::Failure;
use crate::limits;

/// Trainings of one run, at most.
const MOST: usize = 200;

/// Flags that decide nothing in a training without an ascent.
const OF_THE_ASCENT: &[&str] =
    &["rho", "ascent", "ascent-steps", "perturb", "adaptive", "adaptive-on", "second-order", "decay-inside"];

/// Flags that are the same for all trainings of a run: the data, what is measured, and what makes the list of trainings.
const COMMON: &[&str] = &[
    "data",
    "data-dir",
    "images",
    "validation",
    "start",
    "vary",
    "double-sgd",
    "lanczos",
    "density",
    "curvature-images",
    "curvature-norm",
];

/// A flag and the values that it takes in turn: `rho=0.05,0.1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Variation {
    pub flag: String,
    pub values: Vec<String>,
}

impl FromStr for Variation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected FLAG=VALUE,VALUE, as in rho=0.05,0.1, got `{text}`");
        let (flag, values) = text.split_once('=').ok_or_else(expected)?;
        let flag = flag.trim().trim_start_matches("--").to_owned();
        let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        if flag.is_empty() || values.iter().any(String::is_empty) {
            return Err(expected());
        }
        match values.iter().enumerate().find(|(index, value)| values[..*index].contains(value)) {
            Some((_, twice)) => Err(format!("expected each value once, got `{twice}` twice in `{text}`")),
            None => Ok(Self { flag, values }),
        }
    }
}

impl TryFrom<String> for Variation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Variation> for String {
    fn from(variation: Variation) -> Self {
        variation.to_string()
    }
}

impl fmt::Display for Variation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.flag, self.values.join(","))
    }
}

impl Variation {
    /// Returns true for a flag that also decides a training without an ascent.
    pub fn is_of_both(&self) -> bool {
        !OF_THE_ASCENT.contains(&&*self.flag)
    }

    /// Returns the flag in words.
    pub fn words(&self) -> String {
        self.flag.replace('-', " ")
    }
}

/// One of the trainings that a run compares, for each seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// Its name, unlike all others: `SAM, rho 0.1`.
    pub name: String,
    /// The first part of the name.
    pub method: String,
    pub settings: Settings,
    pub sharpness_aware: bool,
    /// The value of each flag that is varied, where it decides this training.
    pub values: BTreeMap<String, String>,
}

impl Settings {
    /// Lists the trainings: without `--vary` and `--double-sgd` the two methods.
    ///
    /// # Errors
    /// A flag that cannot be varied, a value that it does not take, or more trainings than a run may have.
    pub fn arms(&self) -> Result<Vec<Arm>, Failure> {
        if !self.vary.is_empty() {
            limits::distinct("--vary", self.vary.iter().map(|variation| &variation.flag))?;
        }
        let count: usize = self.vary.iter().map(|variation| variation.values.len()).product();
        if count > MOST {
            return Err(Failure::Input(format!("--vary: expected at most {MOST} combinations, got {count}")));
        }
        let mut points = vec![(self.clone(), BTreeMap::new())];
        for variation in &self.vary {
            let of_value = |(settings, values): &(Settings, BTreeMap<String, String>), value: &String| {
                let mut values = values.clone();
                values.insert(variation.flag.clone(), value.clone());
                Ok((settings.with(&variation.flag, value)?, values))
            };
            let each = points.iter().flat_map(|point| variation.values.iter().map(move |value| of_value(point, value)));
            points = each.collect::<Result<_, Failure>>()?;
        }
        let mut arms: Vec<Arm> = Vec::new();
        for (settings, values) in points {
            let [plain, aware] = settings.method_names();
            let mut add = |name: &str, sharpness_aware: bool, settings: &Settings| {
                let decides = |variation: &&Variation| sharpness_aware || variation.is_of_both();
                let own: Vec<_> = self.vary.iter().filter(decides).collect();
                let parts = own.iter().map(|own| format!(", {} {}", own.words(), values[&own.flag]));
                let (method, name) = (name.to_owned(), format!("{name}{}", parts.collect::<String>()));
                if !arms.iter().any(|arm| arm.name == name) {
                    let values = own.into_iter().map(|own| (own.flag.clone(), values[&own.flag].clone())).collect();
                    arms.push(Arm { name, method, settings: settings.clone(), sharpness_aware, values });
                }
            };
            add(plain, false, &settings);
            if self.double_sgd {
                let longer = Settings { epochs: settings.epochs.saturating_mul(2), ..settings.clone() };
                add(&format!("longer {plain}"), false, &longer);
            }
            add(aware, true, &settings);
        }
        Ok(arms)
    }

    /// Returns true if a run compares more than two trainings.
    pub fn is_study(&self) -> bool {
        self.double_sgd || !self.vary.is_empty()
    }

    /// Returns the settings with another value of a flag.
    fn with(&self, flag: &str, value: &str) -> Result<Self, Failure> {
        let command = Self::augment_args(Command::new("sam")).no_binary_name(true);
        let id = flag.replace('-', "_");
        let known = command.get_arguments().find(|arg| arg.get_id() == &*id && arg.get_long() == Some(flag));
        let Some(arg) = known.filter(|_| !COMMON.contains(&flag)) else {
            return Err(Failure::Input(format!(
                "--vary: expected a flag of a training, as rho, epochs or label-noise, got `{flag}`"
            )));
        };
        let arguments = match (arg.get_action(), value) {
            (ArgAction::SetTrue, "true") => vec![format!("--{flag}")],
            (ArgAction::SetTrue, "false") => vec![],
            (ArgAction::SetTrue, _) => {
                return Err(Failure::Input(format!("--vary {flag}: expected true or false, got `{value}`")));
            }
            _ => vec![format!("--{flag}={value}")],
        };
        let wrong = |error: clap::Error| {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Failure::Input(format!("--vary {flag}: {line}"))
        };
        let changed = command.try_get_matches_from(arguments).and_then(|matches| Self::from_arg_matches(&matches));
        let changed = serde_json::to_value(changed.map_err(wrong)?).map_err(Failure::run)?;
        let mut settings: Value = serde_json::to_value(self).map_err(Failure::run)?;
        settings[&id] = changed[&id].clone();
        serde_json::from_value(settings).map_err(Failure::run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::defaults;
    use crate::options::Preset;

    fn names(vary: &[&str], double_sgd: bool) -> Vec<String> {
        let vary = vary.iter().map(|text| text.parse().unwrap()).collect();
        let settings = Settings { vary, double_sgd, ..defaults(Preset::Default).unwrap() };
        settings.arms().unwrap().into_iter().map(|arm| arm.name).collect()
    }

    #[test]
    fn a_run_compares_the_two_methods_unless_more_is_asked_for() {
        assert_eq!(names(&[], false), ["SGD", "SAM"]);
        assert_eq!(names(&[], true), ["SGD", "longer SGD", "SAM"]);
    }

    #[test]
    fn a_training_without_an_ascent_is_not_repeated_for_flags_of_the_ascent() {
        assert_eq!(names(&["rho=0.1,0.2"], false), ["SGD", "SAM, rho 0.1", "SAM, rho 0.2"]);
        assert_eq!(names(&["adaptive=false,true"], false), ["SGD", "SAM, adaptive false", "ASAM, adaptive true"]);
        assert_eq!(
            names(&["label-noise=0,0.4", "rho=0.1,0.2"], false),
            [
                "SGD, label noise 0",
                "SAM, label noise 0, rho 0.1",
                "SAM, label noise 0, rho 0.2",
                "SGD, label noise 0.4",
                "SAM, label noise 0.4, rho 0.1",
                "SAM, label noise 0.4, rho 0.2",
            ]
        );
    }

    #[test]
    fn the_settings_of_a_training_differ_in_the_varied_flag_alone() {
        let vary = vec!["ascent-steps=1,3".parse().unwrap()];
        let settings = Settings { rate: 0.3, vary, ..defaults(Preset::Default).unwrap() };
        let arms = settings.arms().unwrap();
        assert_eq!(arms[2].settings, Settings { ascent_steps: 3, ..settings });
    }

    #[test]
    fn flags_and_values_that_there_are_not_are_refused_by_name() {
        let refused = |text: &str| match text.parse::<Variation>() {
            Err(message) => message,
            Ok(variation) => {
                let settings = Settings { vary: vec![variation], ..defaults(Preset::Default).unwrap() };
                settings.arms().unwrap_err().to_string()
            }
        };
        assert!(refused("rho").contains("FLAG=VALUE,VALUE"));
        assert!(refused("rho=0.1,0.1").contains("`0.1` twice"));
        assert!(refused("data=digits").contains("a flag of a training"));
        assert!(refused("radius=1").contains("got `radius`"));
        assert!(refused("rho=much").contains("much"));
        assert!(refused("adaptive=yes").contains("true or false"));
        let vary = vec!["rho=1".parse().unwrap(), "rho=2".parse().unwrap()];
        let twice = Settings { vary, ..defaults(Preset::Default).unwrap() }.arms().unwrap_err().to_string();
        assert!(twice.contains("--vary") && twice.contains("`rho` twice"), "{twice}");
    }
}
