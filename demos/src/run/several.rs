//! A run that several ranks share: one folder, one clock, and one mind about when to stop.

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use serde_json::json;

use super::folder::RunFolder;
use super::{BETWEEN, Configuration, Run, ending, stop};
use crate::adapter::describe;
use crate::failure::Failure;
use crate::options::Common;
use crate::ranks::{Ranks, checksum};

/// Makes the folder of a run, which the root writes for all.
pub(super) fn folder(
    common: &Common,
    gpu: &Gpu,
    name: &str,
    configuration: &Configuration,
) -> Result<RunFolder, Failure> {
    let ranks = &common.ranks;
    let made = ranks.is_root().then(|| {
        let mut facts = json!(configuration);
        if ranks.are_several() {
            facts["ranks"] = json!(ranks.size());
        }
        RunFolder::create(common.out.as_deref(), name, gpu, facts)
    });
    let made = ranks.agreed(made.transpose())?;
    let path = made.as_ref().map_or(String::new(), |folder| folder.path().to_string_lossy().into_owned());
    let path = ranks.text_of_root(&path)?;
    Ok(made.unwrap_or_else(|| RunFolder::of_another(path.into())))
}

impl Run {
    /// Returns the processes that share this run.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Checks that all ranks do the same, and lets each say how to go on when another is gone.
    pub(super) fn join(&self) -> Result<(), Failure> {
        if self.ranks.are_several() {
            let Self { configuration, gpu, .. } = self;
            let facts = [json!(configuration).to_string(), describe(gpu.info()), env!("CARGO_PKG_VERSION").to_owned()];
            self.ranks.same(checksum(facts.iter().map(String::as_bytes)), "the settings, adapter and version")?;
            let hint = ending::resume_hint(&configuration.command, self.path());
            self.ranks.set_hint(format!("{hint}, by as many ranks as you like"));
        }
        Ok(())
    }

    /// Checks that all ranks have come to the same state.
    pub(super) fn compare(&self, state: &Checkpoint) -> Result<(), Failure> {
        if !self.ranks.are_several() {
            return Ok(());
        }
        let bytes = state.tensors().map(|(_, _, values)| values.bytes());
        self.ranks.same(checksum(bytes), "the numbers")
    }

    /// Returns true after a signal to any rank.
    pub(super) fn stopped(&self) -> Result<bool, Failure> {
        self.ranks.any(stop::asked())
    }

    /// Returns true if the last checkpoint is old enough, by the clock of the root.
    pub(super) fn is_due(&self) -> Result<bool, Failure> {
        let due = self.saved.is_none_or(|saved| saved.elapsed() >= BETWEEN);
        Ok(self.ranks.of_root(due.into())? == 1)
    }

    /// Names the slowest rank, behind what the progress says.
    pub(super) fn slowest(&self) -> String {
        self.ranks.slowest().map_or(String::new(), |(rank, over)| {
            format!(", rank {rank} is the slowest ({:.0} % over the mean)", 100.0 * over)
        })
    }
}
