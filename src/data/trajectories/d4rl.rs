//! D4RL's HDF5 files: `observations` (steps, ..), `actions` (steps, ..), `rewards` and `terminals` (steps), and
//! `timeouts` (steps) in all but the oldest. Steps of an episode stand one behind the other.

use super::super::Error;
use super::column::count_of_choices;
use super::hdf5::File;
use super::{Actions, Steps, Trajectories};

/// In files without `timeouts`, an episode's time is up after so many steps, as in the environments that they are from.
const TIME_LIMIT: usize = 1000;

pub(super) fn read(file: &File) -> Result<Trajectories, Error> {
    let column = |key| file.column(&file.root, key);
    let [observations, actions] = [column("observations")?, column("actions")?];
    let [rewards, terminals] = [column("rewards")?, column("terminals")?];
    let timeouts = file.optional_column(&file.root, "timeouts")?;

    let count = rewards.rows();
    for column in [&observations, &actions, &terminals].into_iter().chain(&timeouts) {
        column.expect_rows(count, "as many as there are rewards")?;
    }
    let terminals = terminals.flags()?;
    let timeouts = timeouts.map(|column| column.flags()).transpose()?;
    let (mut ends, mut terminated, mut start) = (Vec::new(), Vec::new(), 0);
    for step in 0..count {
        let is_up = match &timeouts {
            Some(timeouts) => timeouts[step],
            None => step + 1 - start == TIME_LIMIT,
        };
        if terminals[step] || is_up {
            start = step + 1;
            ends.push(start);
            terminated.push(terminals[step]);
        }
    }
    // The tail is an episode that was not played to its end: its returns-to-go are not known.
    let kept = start;
    if kept == 0 {
        let got = format!("none in {count} steps");
        return Err(Error::content(file.name, "an episode that ends (`terminals`, `timeouts`)", got));
    }

    let (kind, mut values) = if actions.is_whole() {
        let choices = actions.choices(0)?;
        (Actions::Discrete(count_of_choices(&choices)), choices)
    } else {
        (Actions::Continuous(actions.width()), actions.floats()?)
    };
    values.truncate(kept * kind.width());
    let (mut seen, mut rewards) = (observations.floats()?, rewards.scalars()?);
    seen.truncate(kept * observations.width());
    rewards.truncate(kept);
    let steps = Steps { observations: seen, actions: values, rewards, ends, terminated };
    let mut trajectories = Trajectories::new(file.name, observations.width(), kind, steps)?;
    if kept < count {
        trajectories.set_note("steps of an unfinished episode, left out", (count - kept).to_string());
    }
    if let Ok(metadata) = file.group(&file.root, "metadata")
        && let Some(algorithm) = file.text(&metadata, "algorithm")
    {
        trajectories.set_note("algorithm", algorithm);
    }
    Ok(trajectories)
}
