//! The `.npz` files of the `imitation` library: `obs` (steps + episodes, ..), since each episode keeps the observation
//! behind its last step; `acts` (steps, ..), `rews` (steps), `terminal` (episodes), and `indices` (episodes - 1), the
//! steps at which all episodes but the first begin. Its `infos` are pickled objects, and are left alone. `terminal` is true
//! of an episode that was recorded to its end, and its recorder counts the end of the time as one.

use super::super::Error;
use super::super::numpy::Archive;
use super::column::{Column, count_of_choices};
use super::{Actions, Steps, Trajectories};

/// No array is unpacked past this many bytes.
const MOST_BYTES: u64 = 1 << 32;

pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Trajectories, Error> {
    let archive = Archive::open(file, bytes)?;
    let column = |key| Column::from_numpy(file, key, &archive.read(key, MOST_BYTES)?);
    let [observations, actions] = [column("obs")?, column("acts")?];
    let [rewards, terminal, indices] = [column("rews")?, column("terminal")?, column("indices")?];

    let (count, episodes) = (actions.rows(), terminal.rows());
    observations.expect_rows(count + episodes, "as many as there are actions and episodes together")?;
    rewards.expect_rows(count, "as many as there are actions")?;
    indices.expect_rows(episodes.saturating_sub(1), "one less than there are episodes")?;

    let mut ends = Vec::with_capacity(episodes);
    for (row, index) in indices.integers()?.into_iter().enumerate() {
        let previous = ends.last().copied().unwrap_or(0);
        match usize::try_from(index) {
            Ok(index) if previous < index && index < count => ends.push(index),
            _ => {
                let expected = format!("ascending steps between 0 and {count}");
                return Err(indices.wrong(expected, format!("{index} in row {row}")));
            }
        }
    }
    ends.push(count);

    let (kind, values) = if actions.is_whole() {
        let choices = actions.choices(0)?;
        (Actions::Discrete(count_of_choices(&choices)), choices)
    } else {
        (Actions::Continuous(actions.width()), actions.floats()?)
    };
    let (width, seen) = (observations.width(), observations.floats()?);
    let mut before_actions = Vec::with_capacity(count * width);
    let mut start = 0;
    for (episode, &end) in ends.iter().enumerate() {
        // Each episode before this one has a further row.
        before_actions.extend_from_slice(&seen[(start + episode) * width..(end + episode) * width]);
        start = end;
    }
    let steps = Steps {
        observations: before_actions,
        actions: values,
        rewards: rewards.scalars()?,
        ends,
        terminated: terminal.flags()?,
    };
    Trajectories::new(file, width, kind, steps)
}
