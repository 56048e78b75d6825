//! Minari's data sets: a group `episode_N` for each episode, with `observations` (steps + 1, ..), `actions` (steps, ..),
//! `rewards`, `terminations` and `truncations` (steps); `metadata.json` says what the spaces are.
//!
//! Observations of a dictionary are sub-groups, whose arrays follow each other in the order of their names; those of a tuple
//! are named `_index_0`, `_index_1` and so on, and follow each other in the order of these numbers.

use hdf5_reader::group::Group;
use serde_json::{Map, Value};

use super::super::Error;
use super::column::{Column, count_of_choices};
use super::hdf5::File;
use super::{Actions, Steps, Trajectories};

/// The deepest nesting of dictionaries of observations.
const DEEPEST: usize = 8;

/// Returns true for a file of Minari's.
pub(super) fn has_episodes(file: &File) -> Result<bool, Error> {
    let (groups, _) = file.members(&file.root)?;
    Ok(groups.iter().any(|name| number(name).is_some()))
}

/// The number of an episode from the name of its group.
fn number(name: &str) -> Option<u64> {
    number_behind("episode_", name)
}

/// The number behind a prefix, as Python writes numbers: `01` is none.
fn number_behind(prefix: &str, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    digits.parse().ok().filter(|number: &u64| number.to_string() == digits)
}

pub(super) fn read(file: &File, metadata: Option<&str>) -> Result<Trajectories, Error> {
    let metadata = match metadata {
        Some(text) => Metadata::parse(file.name, text)?,
        // Before Minari 0.5 the same entries were attributes of the file.
        None => Metadata(file.texts(&file.root)?.into_iter().map(|(key, text)| (key, Value::from(text))).collect()),
    };
    let (groups, _) = file.all_members(&file.root, "/")?;
    let mut episodes: Vec<(u64, String)> = groups.into_iter().filter_map(|name| Some((number(&name)?, name))).collect();
    episodes.sort();
    metadata.expect_count(file.name, "total_episodes", episodes.len())?;

    let action_space = metadata.space(file.name, "action_space")?;
    // Discrete spaces may begin at another number than zero.
    let integer = |key: &str| action_space.as_ref().and_then(|space| space.get(key)?.as_i64());
    let first = integer("start").unwrap_or(0);
    let mut steps = Steps::default();
    let mut shape: Option<(usize, usize, bool)> = None;
    for (_, name) in &episodes {
        let episode = Episode::read(file, name)?;
        let own = (episode.width(), episode.actions.width(), episode.actions.is_whole());
        if *shape.get_or_insert(own) != own {
            let show = |(observations, actions, whole): (usize, usize, bool)| {
                let kind = if whole { "integers" } else { "floats" };
                format!("{observations} observations and {actions} {kind} as actions")
            };
            let expected = shape.map_or_else(String::new, show);
            return Err(Error::tensor(file.name, name, format!("{expected}, as in the first episode"), show(own)));
        }
        episode.add_to(&mut steps, first)?;
    }
    let Some((observations, width, whole)) = shape else {
        return Err(Error::content(file.name, "groups `episode_0`, `episode_1` and so on", "none"));
    };
    metadata.expect_count(file.name, "total_steps", steps.rewards.len())?;

    let actions = if whole {
        let taken = count_of_choices(&steps.actions);
        Actions::Discrete(integer("n").and_then(|n| usize::try_from(n).ok()).unwrap_or(taken))
    } else {
        Actions::Continuous(width)
    };
    let mut trajectories = Trajectories::new(file.name, observations, actions, steps)?;
    for (key, value) in metadata.0 {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if key == "dataset_id" {
            trajectories = trajectories.named(&text);
        }
        trajectories.set_note(&key, text);
    }
    Ok(trajectories)
}

/// The arrays of one episode.
struct Episode<'a> {
    observations: Vec<Column<'a>>,
    actions: Column<'a>,
    rewards: Column<'a>,
    terminations: Column<'a>,
}

impl<'a> Episode<'a> {
    fn read(file: &File<'a>, name: &str) -> Result<Self, Error> {
        let group = file.group(&file.root, name)?;
        let (groups, _) = file.members(&group)?;
        let column = |key: &str| file.column(&group, &format!("{name}/{key}"));
        let mut observations = Vec::new();
        if groups.iter().any(|own| own == "observations") {
            collect(file, &file.group(&group, "observations")?, &format!("{name}/observations"), 0, &mut observations)?;
        } else {
            observations.push(column("observations")?);
        }
        let episode = Self {
            observations,
            actions: column("actions")?,
            rewards: column("rewards")?,
            terminations: column("terminations")?,
        };
        let truncations = column("truncations")?;
        let count = episode.rewards.rows();
        if count == 0 {
            return Err(episode.rewards.wrong("at least one step", "none"));
        }
        for column in [&episode.actions, &episode.terminations, &truncations] {
            column.expect_rows(count, "as many as there are rewards")?;
        }
        for column in &episode.observations {
            column.expect_rows(count + 1, "one more than there are rewards")?;
        }
        let attributes = file.texts(&group)?;
        let total = attributes.iter().find(|(key, _)| key == "total_steps");
        if let Some((_, total)) = total.filter(|(_, total)| *total != count.to_string()) {
            let expected = format!("{total} rows, as the attribute total_steps says");
            return Err(episode.rewards.wrong(expected, count.to_string()));
        }
        Ok(episode)
    }

    /// Numbers in an observation.
    fn width(&self) -> usize {
        self.observations.iter().map(Column::width).sum()
    }

    fn add_to(self, steps: &mut Steps, first_choice: i64) -> Result<(), Error> {
        let count = self.rewards.rows();
        let mut parts = Vec::new();
        for mut column in self.observations {
            // The observation behind the last step is not used.
            column.truncate(count);
            parts.push((column.width(), column.floats()?));
        }
        for row in 0..count {
            for (width, values) in &parts {
                steps.observations.extend_from_slice(&values[row * width..(row + 1) * width]);
            }
        }
        let actions = if self.actions.is_whole() { self.actions.choices(first_choice) } else { self.actions.floats() };
        steps.actions.extend(actions?);
        steps.rewards.extend(self.rewards.scalars()?);
        steps.ends.push(steps.rewards.len());
        steps.terminated.push(self.terminations.flags()?.last().copied().unwrap_or(false));
        Ok(())
    }
}

/// The arrays of a group and of the groups in it, in the order of Gymnasium's spaces.
fn collect<'a>(
    file: &File<'a>,
    group: &Group,
    path: &str,
    depth: usize,
    columns: &mut Vec<Column<'a>>,
) -> Result<(), Error> {
    let (groups, arrays) = file.all_members(group, path)?;
    if depth == DEEPEST {
        let expected = format!("observations nested at most {DEEPEST} deep");
        return Err(Error::tensor(file.name, path, expected, "deeper ones"));
    }
    let mut names: Vec<(&String, bool)> =
        groups.iter().map(|name| (name, true)).chain(arrays.iter().map(|name| (name, false))).collect();
    let element = |name: &str| number_behind("_index_", name);
    let is_tuple = names.iter().all(|(name, _)| element(name).is_some());
    names.sort_by_key(|(name, _)| (element(name).filter(|_| is_tuple), *name));
    if names.is_empty() {
        return Err(Error::tensor(file.name, path, "arrays", "none"));
    }
    for (place, (name, is_group)) in names.into_iter().enumerate() {
        if is_tuple && element(name) != Some(place as u64) {
            return Err(Error::tensor(file.name, path, format!("`_index_{place}` of a tuple"), format!("`{name}`")));
        }
        let path = format!("{path}/{name}");
        if is_group {
            collect(file, &file.group(group, name)?, &path, depth + 1, columns)?;
        } else {
            columns.push(file.column(group, &path)?);
        }
    }
    Ok(())
}

/// The entries of `metadata.json`.
struct Metadata(Map<String, Value>);

impl Metadata {
    fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let metadata = match serde_json::from_str(&without_infinities(text)) {
            Ok(Value::Object(entries)) => Self(entries),
            Ok(_) => return Err(Error::content(file, "an object in metadata.json beside it", "another value")),
            Err(error) => return Err(Error::content(file, "JSON in metadata.json beside it", format!("{error}"))),
        };
        match metadata.0.get("data_format").and_then(Value::as_str) {
            None | Some("hdf5") => Ok(metadata),
            Some(other) => Err(Error::content(file, "data_format `hdf5` in metadata.json", format!("`{other}`"))),
        }
    }

    /// Checks a count that the metadata may state.
    fn expect_count(&self, file: &str, key: &str, got: usize) -> Result<(), Error> {
        let stated = match self.0.get(key) {
            // Minari writes counts as integers; old attributes come as texts.
            Some(value) => value.as_u64().or_else(|| value.as_str()?.parse().ok()),
            None => None,
        };
        match stated {
            Some(stated) if stated != got as u64 => {
                Err(Error::content(file, format!("{key} {stated}, as the metadata says"), got.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// A space, if the metadata state it: a text of JSON inside the JSON.
    ///
    /// # Errors
    /// If it is something else.
    fn space(&self, file: &str, key: &str) -> Result<Option<Map<String, Value>>, Error> {
        let Some(value) = self.0.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        let parsed = value.as_str().map(|text| serde_json::from_str(&without_infinities(text)));
        match parsed {
            Some(Ok(Value::Object(space))) => Ok(Some(space)),
            _ => Err(Error::content(file, format!("JSON of a space as {key} in the metadata"), value.to_string())),
        }
    }
}

/// Python writes numbers into JSON that it has none of: `Infinity`, `-Infinity` and `NaN` become null, but in strings.
fn without_infinities(text: &str) -> String {
    let (mut mended, mut rest) = (String::with_capacity(text.len()), text);
    let (mut in_string, mut escaped) = (false, false);
    while let Some(character) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !in_string && rest.starts_with(word));
        if let Some(word) = word {
            mended.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        if character == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && character == '\\' && !escaped;
        mended.push(character);
        rest = &rest[character.len_utf8()..];
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_lacks_become_null_outside_of_strings() {
        let text = r#"{"low": [-Infinity, NaN], "high": Infinity, "name": "Infinity \" NaN"}"#;
        let mended = r#"{"low": [null, null], "high": null, "name": "Infinity \" NaN"}"#;
        assert_eq!(without_infinities(text), mended);
    }

    #[test]
    fn a_data_set_in_another_format_is_refused_with_its_name() {
        let error = Metadata::parse("set", r#"{"data_format": "arrow"}"#).err().unwrap().to_string();
        assert_eq!(error, "set: expected data_format `hdf5` in metadata.json, got `arrow`");
    }
}
